"""Reading calls for the command line: from the store of a data folder, as text for people or as JSON."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console, RenderableType

from offhook.protocol.record import CallFilter, CallNotFound, CallSummary
from offhook.services.cli.rendering import render_call, render_calls
from offhook.services.settings import recordings_folder

if TYPE_CHECKING:
    from offhook.services.store import Store

#: Calls read from the store at a time.
_PAGE = 200


def list_calls(
    data: Path,
    *,
    store: str | None = None,
    limit: int = 20,
    wanted: CallFilter | None = None,
    as_json: bool,
) -> str:
    """The newest calls as a table, or one JSON object a line."""
    with open_kept(data, store) as kept:
        found = [] if kept is None else list(_newest(kept, wanted or CallFilter(), limit))
    if as_json:
        return b"\n".join(map(msgspec.json.encode, found)).decode()
    if not found and wanted is not None and wanted != CallFilter():
        return "No such calls."
    return print_to_text(render_calls(found, now=time.time()))


def show_call(data: Path, call: str, *, store: str | None = None, as_json: bool) -> str:
    """One call, by its id or the beginning of it. Raises ``CallNotFound``, ``AmbiguousCall``."""
    with open_kept(data, store) as kept:
        if kept is None:
            raise CallNotFound(f"There is no call {call!r}: there were no calls yet.")
        record = kept.call(call)
    if as_json:
        return msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    folder = recordings_folder(data)
    there = record.recording is not None and (folder / record.recording.key).exists()
    return print_to_text(render_call(record, now=time.time(), recordings=folder if there else None))


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


def _newest(store: "Store", wanted: CallFilter, limit: int) -> Iterator[CallSummary]:
    cursor = None
    while limit > 0:
        page = store.calls(wanted, limit=min(limit, _PAGE), cursor=cursor)
        yield from page.calls
        limit -= len(page.calls)
        cursor = page.cursor
        if cursor is None:
            return


def print_to_text(part: RenderableType) -> str:
    """What ``rich`` prints, as text; colored on a terminal."""
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(part)
    return capture.get().rstrip("\n")
