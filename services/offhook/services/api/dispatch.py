"""What every request to a route passes on its way to the handler, and its answer on the way back."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import anyio
import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from offhook.protocol.signal.fields import clean
from offhook.services.api.access import Access, Threads
from offhook.services.api.problems import Problem, answer_headers
from offhook.services.api.reading import check_headers, read_json, read_query, read_struct
from offhook.services.api.route import AnyRequest, Ask, Nothing, Route

#: Longest ``Idempotency-Key``, characters.
MAX_IDEMPOTENCY_KEY = 255
#: Seconds to write down what became of a request whose client went away.
LAST_WRITE = 5.0

_encoder = msgspec.json.Encoder()


class Kept(Protocol):
    """An answer that was given before."""

    @property
    def status(self) -> int:
        """Its status."""

    @property
    def body(self) -> bytes:
        """Its JSON."""


class Answers(Protocol):
    """Where answers to requests with an ``Idempotency-Key`` are kept for a day. Synchronous, from any thread."""

    def begin(self, id_: str, fingerprint: str, *, secret: str) -> Kept | str | None:
        """The answer kept; ``in_flight`` or ``different``; None: the request is yours to answer."""

    def finish(self, id_: str, status: int, body: bytes, *, secret: str) -> None:
        """Keep the answer."""

    def drop(self, id_: str) -> None:
        """No answer came of it."""


class Dispatch:
    """Makes route handlers of rows."""

    def __init__(self, access: Access, answers: Callable[[], Answers], in_thread: Threads) -> None:
        self._access = access
        self._answers = answers
        self._in_thread = in_thread

    def handlers(self, routes: Sequence[Route]) -> list[HTTPRouteHandler]:
        """The handlers of all rows, one for each path."""
        paths: dict[str, dict[str, Route]] = {}
        for route in routes:
            paths.setdefault(route.path, {})[route.method] = route
        return [self._handler(path, methods) for path, methods in paths.items()]

    def _handler(self, path: str, routes: dict[str, Route]) -> HTTPRouteHandler:
        async def serve(request: AnyRequest) -> Response[Any]:
            route = routes.get(request.method)
            return _answer_options(list(routes.values())) if route is None else await self._serve(route, request)

        methods: list[Any] = [*routes, "OPTIONS"]
        return HTTPRouteHandler(path.replace("}", ":str}"), http_method=methods, status_code=200)(serve)

    async def _serve(self, route: Route, request: AnyRequest) -> Response[Any]:
        headers = answer_headers(request)
        if route.from_pages:
            # No cookie is ever looked at, so any page may read an answer that its own key brought it.
            headers["Access-Control-Allow-Origin"] = "*"
        check_headers(request)
        key, text, allowance = await self._access.check(request, route)
        headers |= allowance.headers
        query = read_query(request, route.query or Nothing)
        value = {} if route.body is None else await read_json(request)
        ask = Ask(
            key=key,
            path={name: clean(value) for name, value in request.path_params.items()},
            query=query,
            body=read_struct(value, route.body or Nothing),
            request=request,
        )
        if route.streams:
            response: Response[Any] = await route.handle(ask)
            response.headers.update(headers)
            return response
        repeat = request.headers.get("idempotency-key") if route.method == "POST" else None
        if repeat is None:
            status, body = await self._answer(route, ask)
        else:
            id_, fingerprint = _identity(ask, _checked(repeat)), _fingerprint(request, value)
            kept = await self._in_thread(partial(self._answers().begin, id_, fingerprint, secret=text), abandon=False)
            if isinstance(kept, str):
                raise _REFUSED[kept]()
            if kept is None:
                status, body = await self._answer_once(route, ask, id_, text)
            else:
                status, body = kept.status, kept.body
                headers["Idempotency-Replayed"] = "true"
        return Response(body, status_code=status, media_type="application/json", headers=headers)

    async def _answer(self, route: Route, ask: Ask[Any, Any]) -> tuple[int, bytes]:
        result = await route.handle(ask)
        return route.status, b"" if route.gives is None else _encoder.encode(result)

    async def _answer_once(self, route: Route, ask: Ask[Any, Any], id_: str, secret: str) -> tuple[int, bytes]:
        """Answer, and keep the answer; a request that comes to nothing may be sent again."""
        answers, done = self._answers(), False
        try:
            status, body = await self._answer(route, ask)
            with anyio.move_on_after(LAST_WRITE, shield=True):
                await self._in_thread(partial(answers.finish, id_, status, body, secret=secret), abandon=False)
                done = True
        finally:
            if not done:
                with anyio.move_on_after(LAST_WRITE, shield=True):
                    await self._in_thread(partial(answers.drop, id_), abandon=False)
        return status, body


def _checked(key: str) -> str:
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY or not all("!" <= character <= "~" for character in key):
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters, such as a UUID.",
        )
    return key


def _identity(ask: Ask[Any, Any], key: str) -> str:
    return hashlib.sha256(f"{ask.workspace}\0{key}".encode()).hexdigest()


def _fingerprint(request: AnyRequest, value: Any) -> str:
    """Of everything that the request asks for, however its JSON is written."""
    asked = (request.method, request.url.path, sorted(request.query_params.multi_items()), value)
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _in_flight() -> Problem:
    return Problem(
        409,
        "idempotency_in_flight",
        "The first request with this Idempotency-Key is still being answered; try again in a moment.",
        headers={"Retry-After": "1"},
    )


def _reused() -> Problem:
    return Problem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used with another request; use a new one for each new request.",
    )


_REFUSED = {"in_flight": _in_flight, "different": _reused}


def _answer_options(routes: Sequence[Route]) -> Response[bytes]:
    """The methods of a path; to a browser also what a page of another site may send there (Fetch 4.8)."""
    headers = {"Allow": ", ".join([*(route.method for route in routes), "OPTIONS"])}
    if methods := [route.method for route in routes if route.from_pages]:
        headers |= {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
            "Access-Control-Max-Age": "600",
        }
    return Response(b"", status_code=204, headers=headers)
