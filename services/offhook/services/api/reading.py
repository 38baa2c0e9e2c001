"""Reading what a request brings: query and JSON body into Structs, each fault with the place where it is."""

import re
from typing import Any, TypeVar

import msgspec

from offhook.protocol.errors import Reason
from offhook.protocol.signal.fields import clean, clean_value
from offhook.protocol.signal.strict_json import read_value
from offhook.services.api.problems import Problem
from offhook.services.api.route import AnyRequest

T = TypeVar("T")

#: Where msgspec says that it found the fault, and which field it means.
_PLACE = re.compile(r" - at (?:`key` in )?`\$(.*?)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_FIELD = re.compile(r"(?:unknown|required) field `(.*)`\Z", re.DOTALL)
#: Headers that decide something: given twice, it is not clear what they say.
_ONCE = ("authorization", "content-type", "content-encoding", "idempotency-key", "origin")


def check_headers(request: AnyRequest) -> None:
    """Raises ``Problem`` where a header that must stand alone comes twice."""
    for name in _ONCE:
        if len(request.headers.getall(name, [])) > 1:
            raise Problem(400, "invalid_request", f"The header {name} is given more than once.")


def read_query(request: AnyRequest, kind: type[T]) -> T:
    """The query as ``kind``; ``a[b]=c`` is an entry of the dict ``a``. Raises ``Problem`` that names the culprit."""
    values: dict[str, Any] = {}
    for name, value in request.query_params.items():
        whole, bracket, key = name.partition("[")
        entry = bool(bracket) and key.endswith("]")
        place = values.setdefault(whole, {}) if entry else values
        key = clean(key[:-1]) if entry else name
        if not isinstance(place, dict) or key in place:
            raise _wrong_parameter(name, "is given more than once.")
        place[key] = clean(value)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        pointer, message = _explain(error)
        raise _wrong_parameter(pointer.removeprefix("/"), message) from error


def _wrong_parameter(name: str, message: str) -> Problem:
    shown = name[:100]
    return Problem(400, Reason.INVALID_FIELD.value, f"{shown}: {message}", parameters=[shown])


async def read_json(request: AnyRequest) -> Any:
    """The JSON body as plain values, its strings cleaned; a body left out is an empty object. Raises ``Problem``."""
    body = await request.body()
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported_media_type", "Send the body as application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "unsupported_media_type", "Send the body as it is, without Content-Encoding.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, Reason.INVALID_JSON.value, "The body is not UTF-8.") from error
    return _whole(clean_value(read_value(text, "body")))


def _whole(value: Any) -> Any:
    """``1.0`` is an integer, too (JSON Schema 6.1.1)."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case _:
            return value


def read_struct(value: Any, kind: type[T]) -> T:
    """Plain values as ``kind``. Raises ``Problem`` with the JSON ``pointer`` (RFC 6901) of the culprit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        pointer, message = _explain(error)
        detail = f"{pointer}: {message}" if pointer else message
        raise Problem(422, Reason.INVALID_FIELD.value, detail, pointer=pointer) from error


def _explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """The pointer to a fault and a sentence about it."""
    text = str(error)
    place = _PLACE.search(text)
    message = text if place is None else text[: place.start()]
    steps = [] if place is None else [name or index for name, index in _STEP.findall(place[1])]
    field = _FIELD.search(message)
    if field is not None:
        steps.append(field[1])
    if message.startswith("Invalid enum value"):
        # It would repeat the value, which may be a key in the wrong place.
        message = "Not one of the values that stand here"
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return pointer[:200], f"{message[:300]}."
