"""Reading calls for the command line: as text for people or as JSON."""

import time

import msgspec
from rich.console import Console, RenderableType

from offhook.protocol.record import CallFilter
from offhook.services.cli.call_place import Place
from offhook.services.cli.rendering import render_call, render_calls


def list_calls(place: Place, *, limit: int = 20, wanted: CallFilter | None = None, as_json: bool) -> str:
    """The newest calls as a table, or one JSON object a line."""
    found = place.calls(wanted or CallFilter(), limit)
    if as_json:
        return b"\n".join(map(msgspec.json.encode, found)).decode()
    if not found and wanted is not None and wanted != CallFilter():
        return "No such calls."
    return print_to_text(render_calls(found, now=time.time()))


def show_call(place: Place, call: str, *, as_json: bool) -> str:
    """One call, by its id or the beginning of it. Raises ``CallNotFound``, ``AmbiguousCall``."""
    record = place.call(call)
    if as_json:
        return msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    lies = "" if record.recording is None else place.say_where(record.recording)
    return print_to_text(render_call(record, now=time.time(), recording=lies))


def print_to_text(part: RenderableType) -> str:
    """What ``rich`` prints, as text; colored on a terminal."""
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(part)
    return capture.get().rstrip("\n")
