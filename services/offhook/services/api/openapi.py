"""The OpenAPI 3.1 document, made from the same rows that requests pass (R7)."""

import inspect
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from offhook.services.api.problems import MEDIA_TYPE
from offhook.services.api.route import Route

_REFERENCE = "#/components/schemas/{name}"


class ProblemDocument(msgspec.Struct, frozen=True):
    """An error (RFC 9457). Programs test ``code``; ``detail`` tells a person what to do."""

    type: str
    title: str
    status: int
    detail: str
    #: A stable word.
    code: str
    #: Names this request in the server's log.
    request_id: str
    #: JSON pointer (RFC 6901) of the wrong value in the body.
    pointer: str | msgspec.UnsetType = msgspec.UNSET
    #: Names of the wrong parameters.
    parameters: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def describe(routes: Sequence[Route]) -> bytes:
    """The document, as JSON."""
    structs: list[type] = [ProblemDocument]
    for route in routes:
        structs += [struct for struct in (route.query, route.body, route.gives) if struct is not None]
    _, components = msgspec.json.schema_components(dict.fromkeys(structs), ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    for route in routes:
        if route.query is not None:
            components.pop(route.query.__name__, None)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "offhook",
            "version": version("offhook"),
            "description": "Voice calls between a web page and an agent. Every request carries a key: "
            "`Authorization: Bearer sk_...`. Errors are problem details with a stable `code`.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
        },
    }
    return msgspec.json.encode(document)


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    handler = inspect.getdoc(route.handle) or ""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _path_names(route.path)
    ]
    if route.query is not None:
        schema = components[route.query.__name__]
        parameters += [
            {"name": name, "in": "query", "required": name in schema.get("required", ()), **_written(part)}
            for name, part in schema["properties"].items()
        ]
    if route.method == "POST":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same request with the same key is answered once, for a day.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        )
    if route.in_parts:
        parameters.append(
            {
                "name": "Range",
                "in": "header",
                "required": False,
                "description": "Asks for a part, for example `bytes=0-65535` (RFC 9110 14.2).",
                "schema": {"type": "string"},
            }
        )
    operation: dict[str, Any] = {
        "operationId": f"{route.tag}_{getattr(route.handle, '__name__', route.method)}".replace("-", "_"),
        "tags": [route.tag],
        "summary": route.summary,
        "description": f"{handler}\n\nNeeds the scope `{route.scope}`"
        + (", or a publishable key and a page of one of its domains." if route.from_pages else "."),
        "parameters": parameters,
        "responses": {
            str(route.status): _given(route),
            **({"206": {**_given(route), "description": "The part that was asked for."}} if route.in_parts else {}),
            **_PROBLEMS,
        },
    }
    if route.body is not None:
        schema = {"$ref": _REFERENCE.format(name=route.body.__name__)}
        required = any(field.required for field in msgspec.structs.fields(route.body))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return operation


def _written(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter; one with entries is written ``name[key]=value``."""
    for kind in schema.get("anyOf", ()):
        if kind.get("type") == "object":
            return {"style": "deepObject", "explode": True, "schema": kind}
    return {"schema": schema}


def _given(route: Route) -> dict[str, Any]:
    if route.streams:
        return {
            "description": route.summary,
            "content": {kind: {"schema": {"type": "string"}} for kind in route.streams},
        }
    if route.gives is None:
        return {"description": "Done."}
    schema = {"$ref": _REFERENCE.format(name=route.gives.__name__)}
    return {"description": route.summary, "content": {"application/json": {"schema": schema}}}


_PROBLEMS = {
    status: {
        "description": why,
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="ProblemDocument")}}},
    }
    for status, why in (
        ("4XX", "The request cannot be answered as it is; `code` says why."),
        ("5XX", "The server cannot answer now, or has a fault."),
    )
}


def _path_names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
