"""``/v1/keys``: the keys of the workspace (R1)."""

import base64
from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

import msgspec

from offhook.protocol.keys import MAX_DOMAINS, MAX_NAME, SCOPES, Key, KeyKind, KeyMode, MadeKey, NewKey, Scope
from offhook.protocol.record import BadCursor
from offhook.services.api.access import Threads
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route

#: Most keys on one page.
MAX_PAGE = 200
#: Longest time for which an old key counts beside its successor, seconds.
MAX_OVERLAP = 30 * 86400


class KeyRing(Protocol):
    """Where keys are kept. Synchronous; used from several worker threads. All raise ``RecordsAway``."""

    def find(self, text: str) -> Key | None:
        """The key that is ``text`` and counts now."""

    def create(self, workspace: str, wanted: NewKey) -> MadeKey:
        """Make a key. Raises ``KeyUnfit``."""

    def page(
        self, workspace: str, *, kind: KeyKind | None = None, limit: int, after: tuple[float, str] | None = None
    ) -> list[Key]:
        """Keys, newest first, behind the one made at ``after``."""

    def get(self, workspace: str, id_: str) -> Key:
        """One key. Raises ``KeyNotFound``."""

    def rotate(self, workspace: str, id_: str, *, overlap: float) -> MadeKey:
        """Make a key like this one, which runs out. Raises ``KeyNotFound``, ``KeyUnfit``."""

    def revoke(self, workspace: str, id_: str) -> Key:
        """From now on the key does not count. Raises ``KeyNotFound``."""

    def spend(self, key: Key) -> float:
        """Take one call token of the key's quota of today: 0, or the seconds until there are some again."""


class KeyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    kind: KeyKind | None = None


class KeyPage(msgspec.Struct, frozen=True):
    """Some keys, newest first, and the cursor to go on with (null: these were the last)."""

    keys: tuple[Key, ...]
    cursor: str | None


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that is wanted."""

    kind: KeyKind
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
    mode: KeyMode = "live"
    #: What a secret key may do; left out: everything.
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(max_length=len(SCOPES))] = ()
    #: Whose pages may use a publishable key: ``example.com``, ``*.example.com``, ``http://localhost:3000``.
    domains: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=300)], ...], msgspec.Meta(max_length=MAX_DOMAINS)
    ] = ()
    #: Calls that a publishable key starts at most, in a minute and in a day (UTC).
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    per_day: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a key is replaced."""

    #: Seconds for which the old key counts beside the new one.
    overlap: Annotated[int, msgspec.Meta(ge=0, le=MAX_OVERLAP)] = 86400


class KeysResource:
    """The keys of the workspace."""

    def __init__(self, ring: Callable[[], KeyRing], in_thread: Threads) -> None:
        self._ring = ring
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/keys", handle=self.list, summary="List keys",
                scope="keys:read", query=KeyQuery, gives=KeyPage,
            ),
            Route(
                method="POST", path="/v1/keys", handle=self.create, summary="Make a key",
                scope="keys:write", body=KeyRequest, gives=MadeKey, status=201,
            ),
            Route(
                method="GET", path="/v1/keys/{key_id}", handle=self.show, summary="Read a key",
                scope="keys:read", gives=Key,
            ),
            Route(
                method="POST", path="/v1/keys/{key_id}/rotate", handle=self.rotate, summary="Replace a key",
                scope="keys:write", body=Rotation, gives=MadeKey, status=201,
            ),
            Route(
                method="POST", path="/v1/keys/{key_id}/revoke", handle=self.revoke, summary="Revoke a key",
                scope="keys:write", body=Nothing, gives=Key,
            ),
        ]  # fmt: skip

    async def list(self, ask: Ask[KeyQuery, Nothing]) -> KeyPage:
        """Keys, newest first, without the keys themselves."""
        query = ask.query
        after = None if query.cursor is None else _read_cursor(query.cursor)
        read = partial(self._ring().page, ask.workspace, kind=query.kind, limit=query.limit + 1, after=after)
        found = await self._in_thread(read)
        page = tuple(found[: query.limit])
        return KeyPage(page, _cursor(page[-1]) if len(found) > query.limit else None)

    async def create(self, ask: Ask[Nothing, KeyRequest]) -> MadeKey:
        """The answer is the only time that the key is shown. Nobody can make a key that may do more than their own."""
        body = ask.body
        if body.kind == "secret":
            wide = [scope for scope in body.scopes or ("*",) if not ask.key.allows(scope)]
            if wide:
                raise Problem(403, "scope_missing", f"This key cannot hand on the scope {wide[0]}.", scope=wide[0])
        wanted = NewKey(**{name: getattr(body, name) for name in KeyRequest.__struct_fields__})
        return await self._in_thread(partial(self._ring().create, ask.workspace, wanted), abandon=False)

    async def show(self, ask: Ask[Nothing, Nothing]) -> Key:
        """One key, without the key itself."""
        return await self._in_thread(partial(self._ring().get, ask.workspace, ask.path["key_id"]))

    async def rotate(self, ask: Ask[Nothing, Rotation]) -> MadeKey:
        """A new key like this one; the old one counts for ``overlap`` seconds more."""
        id_ = ask.path["key_id"]
        old = await self._in_thread(partial(self._ring().get, ask.workspace, id_))
        wide = [scope for scope in old.scopes if not ask.key.allows(scope)]
        if wide:
            raise Problem(403, "scope_missing", f"This key cannot hand on the scope {wide[0]}.", scope=wide[0])
        rotate = partial(self._ring().rotate, ask.workspace, id_, overlap=ask.body.overlap)
        return await self._in_thread(rotate, abandon=False)

    async def revoke(self, ask: Ask[Nothing, Nothing]) -> Key:
        """The key is worthless at once; what it has started goes on."""
        return await self._in_thread(partial(self._ring().revoke, ask.workspace, ask.path["key_id"]), abandon=False)


def _cursor(last: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((last.created_at, last.id))).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[float, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest key.") from error
