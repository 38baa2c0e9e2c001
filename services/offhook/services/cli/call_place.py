"""Where the ``calls`` commands work: on the data folder of this machine, or on a server over REST."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from offhook.protocol.call import Recording
from offhook.protocol.record import AmbiguousCall, CallFilter, CallNotFound, CallRecord, CallSummary, Erased
from offhook.services.cli.server import Server, one, open_server
from offhook.services.cli.where import Where
from offhook.services.settings import recordings_folder

if TYPE_CHECKING:
    from offhook.actors.operator import Order
    from offhook.services.store import Store

#: Calls read from the store at a time.
_PAGE = 200
#: Newest calls of a server among which the beginning of an id is looked for.
SOUGHT = 1000
_CALLS = "/v1/calls"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Place(Protocol):
    """Calls there were. Every method raises ``OffhookError`` with a sentence."""

    def calls(self, wanted: CallFilter, limit: int) -> list[CallSummary]:
        """The newest calls that pass the filter, newest first."""

    def call(self, start: str) -> CallRecord:
        """One call, by its id or the beginning of it. Raises ``CallNotFound``, ``AmbiguousCall``."""

    def records(self, wanted: CallFilter) -> Iterator[CallRecord]:
        """All calls that pass the filter, newest first."""

    def say_where(self, recording: Recording) -> str:
        """Where the file of a recording is, in words."""


@contextmanager
def open_place(where: Where, bucket: tuple[str | None, str | None] = (None, None)) -> Iterator[Place]:
    """The calls that the options name. Raises a usage error where they do not fit together.

    ``bucket`` is the URL and the endpoint of the bucket that recordings of the data folder may have been moved to.
    """
    if where.server is not None:
        with open_remote(where.server, where.key) as remote:
            yield remote
        return
    with open_kept(where.data, where.store) as kept:
        yield _Local(kept, where.data, *bucket)


@contextmanager
def open_remote(server: str, key: str | None) -> Iterator["RemoteCalls"]:
    """The calls of a server. Raises as ``open_place``."""
    with open_server(server, key) as opened:
        yield RemoteCalls(opened)


@contextmanager
def open_kept(data: Path, place: str | None = None) -> Iterator["Store | None"]:
    """The store at a URL, or that of a data folder; None where nothing was ever stored (and nothing is made)."""
    from offhook.services.store import open_store, store_file

    file = store_file(data)
    if place is None and not file.exists():
        yield None
        return
    store = open_store(place or file)
    try:
        yield store
    finally:
        store.close()


class _Local:
    def __init__(self, kept: "Store | None", data: Path, bucket: str | None, endpoint: str | None) -> None:
        self._kept = kept
        self._data = data
        self._bucket = bucket
        self._endpoint = endpoint

    def calls(self, wanted: CallFilter, limit: int) -> list[CallSummary]:
        found: list[CallSummary] = []
        cursor = None
        while self._kept is not None and len(found) < limit:
            page = self._kept.calls(wanted, limit=min(limit - len(found), _PAGE), cursor=cursor)
            found += page.calls
            cursor = page.cursor
            if cursor is None:
                break
        return found

    def call(self, start: str) -> CallRecord:
        if self._kept is None:
            raise CallNotFound(f"There is no call {start!r}: there were no calls yet.")
        return self._kept.call(start)

    def records(self, wanted: CallFilter) -> Iterator[CallRecord]:
        for some in () if self._kept is None else self._kept.export(wanted):
            yield from some

    def say_where(self, recording: Recording) -> str:
        import anyio

        from offhook.services.recordings import open_recordings

        name, file = recording.key, recordings_folder(self._data) / recording.key
        if file.exists():
            return str(file)
        if self._bucket is None:
            return f"{name} (not in this data folder any more)"
        try:
            found = anyio.run(open_recordings(self._data, self._bucket, self._endpoint).find, name)
        except OSError as error:
            return f"{name} (not in this data folder; {self._bucket} cannot be asked: {error})"
        if found is None:
            return f"{name} (neither in this data folder nor in {self._bucket} any more)"
        return f"{self._bucket.rstrip('/')}/{name}"


class RemoteCalls:
    """The calls of a server: a ``Place``, and what a server does by itself."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def calls(self, wanted: CallFilter, limit: int) -> list[CallSummary]:
        """See ``Place``."""
        return msgspec.convert(self._server.every(_CALLS, "calls", most=limit, **_query(wanted)), list[CallSummary])

    def call(self, start: str) -> CallRecord:
        """See ``Place``; the beginning of an id is looked for among the newest calls."""
        return msgspec.convert(self._server.ask("GET", one(_CALLS, self.find(start))), CallRecord)

    def records(self, wanted: CallFilter) -> Iterator[CallRecord]:
        """See ``Place``."""
        with self._server.stream(f"{_CALLS}/export", "application/x-ndjson", **_query(wanted)) as pieces:
            rest = b""
            for piece in pieces:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield msgspec.json.decode(line, type=CallRecord)

    def say_where(self, recording: Recording) -> str:
        """See ``Place``."""
        return f"{recording.key} (at the server; 'offhook calls recording' copies it)"

    def find(self, start: str) -> str:
        """The whole id: the server takes no other. Raises ``CallNotFound``, ``AmbiguousCall``."""
        if _ID.fullmatch(start):
            return start
        newest = [call.id for call in self.calls(CallFilter(), SOUGHT)]
        found = [id_ for id_ in newest if start and id_.startswith(start)]
        if start in found or len(found) == 1:
            return start if start in found else found[0]
        if found:
            raise AmbiguousCall(f"Several calls begin with {start!r}. Write more of the id.")
        seen = f"the newest {SOUGHT:,} calls" if len(newest) == SOUGHT else "the calls"
        raise CallNotFound(
            f"There is no call {start!r} among {seen} of the server. 'offhook calls --json' shows whole ids; those are "
            "found whatever their age."
        )

    def erase(self, call: str) -> Erased:
        """Erase the call with this whole id. Raises ``OffhookError``."""
        return msgspec.convert(self._server.ask("DELETE", one(_CALLS, call)), Erased)

    def order(self, call: str, order: "Order") -> None:
        """Give an order to the call with this whole id. Raises ``OffhookError``."""
        self._server.ask("POST", f"{one(_CALLS, call)}/{order}")

    def sound(self, call: str) -> AbstractContextManager[Iterator[bytes]]:
        """The recording of the call with this whole id, piece by piece. Raises ``OffhookError``."""
        return self._server.stream(f"{one(_CALLS, call)}/recording", "audio/ogg")


def _query(wanted: CallFilter) -> dict[str, str]:
    facts: dict[str, Any] = msgspec.to_builtins(wanted)
    metadata = facts.pop("metadata") or {}
    query = {name: str(value) for name, value in facts.items() if value is not None}
    return query | {f"metadata[{name}]": value for name, value in metadata.items()}
