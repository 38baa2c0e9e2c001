"""Where the ``widgets`` commands work: on the data folder of this machine, or on a server over REST."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from offhook.protocol.widgets import Widget, WidgetFields
from offhook.services.cli.server import Server, one, open_server
from offhook.services.cli.workspace import workspace_of

if TYPE_CHECKING:
    from offhook.services.store import Widgets

#: Most widgets that are listed.
_MOST = 1000
_WIDGETS = "/v1/widgets"


class Place(Protocol):
    """Widgets of a workspace. Every method raises ``OffhookError`` with a sentence."""

    def widgets(self) -> list[Widget]:
        """The widgets, newest first."""

    def get(self, code: str) -> Widget:
        """One widget."""

    def create(self, wanted: WidgetFields) -> Widget:
        """Make a widget with a code of its own."""

    def change(self, code: str, wanted: WidgetFields) -> Widget:
        """Have a widget be as wanted."""

    def delete(self, code: str) -> None:
        """Take a widget away."""


@contextmanager
def open_place(server: str | None, key: str | None, data: Path, store: str | None) -> Iterator[Place]:
    """The widgets that the options name. Raises a usage error where they do not fit together."""
    if server is not None:
        with open_server(server, key) as opened:
            yield _Remote(opened)
        return
    from offhook.services.store import open_widgets, store_file

    workspace = workspace_of(data).id
    kept = open_widgets(store or store_file(data))
    try:
        yield _Local(kept, workspace)
    finally:
        kept.close()


class _Local:
    def __init__(self, kept: "Widgets", workspace: str) -> None:
        self._kept = kept
        self._workspace = workspace

    def widgets(self) -> list[Widget]:
        return self._kept.page(self._workspace, limit=_MOST)

    def get(self, code: str) -> Widget:
        return self._kept.get(self._workspace, code)

    def create(self, wanted: WidgetFields) -> Widget:
        return self._kept.create(self._workspace, wanted)

    def change(self, code: str, wanted: WidgetFields) -> Widget:
        return self._kept.change(self._workspace, code, wanted)

    def delete(self, code: str) -> None:
        self._kept.delete(self._workspace, code)


class _Remote:
    def __init__(self, server: Server) -> None:
        self._server = server

    def widgets(self) -> list[Widget]:
        return msgspec.convert(self._server.every(_WIDGETS, "widgets", most=_MOST), list[Widget])

    def get(self, code: str) -> Widget:
        return msgspec.convert(self._server.ask("GET", one(_WIDGETS, code)), Widget)

    def create(self, wanted: WidgetFields) -> Widget:
        return msgspec.convert(self._server.ask("POST", _WIDGETS, json=msgspec.to_builtins(wanted)), Widget)

    def change(self, code: str, wanted: WidgetFields) -> Widget:
        changed = self._server.ask("PUT", one(_WIDGETS, code), json=msgspec.to_builtins(wanted))
        return msgspec.convert(changed, Widget)

    def delete(self, code: str) -> None:
        self._server.ask("DELETE", one(_WIDGETS, code))
