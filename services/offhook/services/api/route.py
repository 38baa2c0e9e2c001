"""A route of a resource: one row that says everything about it, and what its handler is given.

The row is what the request passes (``dispatch``) and what the OpenAPI document shows (``openapi``): the two cannot
differ.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar import Request

from offhook.protocol.keys import Key, Scope
from offhook.protocol.signal.fields import MAX_ID, MAX_TEXT

AnyRequest = Request[Any, Any, Any]

#: A name in variables or metadata, and the metadata of a call.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
Metadata = dict[Name, Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]]

Q = TypeVar("Q")
B = TypeVar("B")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query or a body without fields."""


class Ask(msgspec.Struct, Generic[Q, B], frozen=True, kw_only=True):
    """A request that has passed every check on its way to a handler."""

    #: The key that asks; the handler acts for its workspace and no other.
    key: Key
    #: Parameters of the path, by name.
    path: dict[str, str]
    query: Q
    body: B
    request: AnyRequest

    @property
    def workspace(self) -> str:
        """The workspace of the key."""
        return self.key.workspace


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path."""

    method: str
    #: As OpenAPI writes it: ``/v1/calls/{call_id}``.
    path: str
    #: Takes an ``Ask`` and returns what is to be sent as JSON, a Struct of type ``gives``.
    handle: Callable[[Ask[Any, Any]], Awaitable[Any]]
    #: One line for the document; the handler's docstring follows it.
    summary: str
    #: What a secret key must be allowed to do.
    scope: Scope
    #: Structs of the query and of the JSON body; None: there is none.
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    #: Struct of the answer; None: 204 without a body.
    gives: type[msgspec.Struct] | None = None
    status: int = 200
    #: Media types of an answer that the handler streams (a ``Stream``), instead of ``gives``.
    streams: tuple[str, ...] = ()
    #: True: a part of that stream can be asked for (``Range``).
    in_parts: bool = False
    #: True: a publishable key may ask too, from a page of one of its domains.
    from_pages: bool = False

    @property
    def tag(self) -> str:
        """The resource it belongs to."""
        return self.path.removeprefix("/v1").split("/")[1]
