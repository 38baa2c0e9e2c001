"""Where the ``keys`` commands work: on the data folder of this machine, or on a server over REST."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from offhook.protocol.keys import Key, MadeKey, NewKey
from offhook.services.cli.server import Server, one, open_server
from offhook.services.cli.workspace import workspace_of

if TYPE_CHECKING:
    from offhook.services.store import Keys

#: Most keys that are listed.
_MOST = 1000
_KEYS = "/v1/keys"


class Place(Protocol):
    """Keys of a workspace. Every method raises ``OffhookError`` with a sentence."""

    def keys(self) -> list[Key]:
        """The keys, newest first."""

    def create(self, wanted: NewKey) -> MadeKey:
        """Make a key. Raises ``KeyUnfit``."""

    def rotate(self, id_: str, *, overlap: float) -> MadeKey:
        """Make a key like this one, which runs out."""

    def revoke(self, id_: str) -> Key:
        """From now on the key does not count."""


@contextmanager
def open_place(server: str | None, key: str | None, data: Path, store: str | None) -> Iterator[Place]:
    """The keys that the options name. Raises a usage error where they do not fit together."""
    if server is not None:
        with open_server(server, key) as opened:
            yield _Remote(opened)
        return
    from offhook.services.store import open_keys, store_file

    workspace = workspace_of(data)
    kept = open_keys(store or store_file(data))
    try:
        kept.adopt(workspace.id, workspace.secret_key_hash)
        yield _Local(kept, workspace.id)
    finally:
        kept.close()


class _Local:
    def __init__(self, kept: "Keys", workspace: str) -> None:
        self._kept = kept
        self._workspace = workspace

    def keys(self) -> list[Key]:
        return self._kept.page(self._workspace, limit=_MOST)

    def create(self, wanted: NewKey) -> MadeKey:
        return self._kept.create(self._workspace, wanted)

    def rotate(self, id_: str, *, overlap: float) -> MadeKey:
        return self._kept.rotate(self._workspace, id_, overlap=overlap)

    def revoke(self, id_: str) -> Key:
        return self._kept.revoke(self._workspace, id_)


class _Remote:
    def __init__(self, server: Server) -> None:
        self._server = server

    def keys(self) -> list[Key]:
        return msgspec.convert(self._server.every(_KEYS, "keys", most=_MOST), list[Key])

    def create(self, wanted: NewKey) -> MadeKey:
        body = {name: value for name, value in msgspec.to_builtins(wanted).items() if value}
        return msgspec.convert(self._server.ask("POST", _KEYS, json=body), MadeKey)

    def rotate(self, id_: str, *, overlap: float) -> MadeKey:
        made = self._server.ask("POST", f"{one(_KEYS, id_)}/rotate", json={"overlap": int(overlap)})
        return msgspec.convert(made, MadeKey)

    def revoke(self, id_: str) -> Key:
        return msgspec.convert(self._server.ask("POST", f"{one(_KEYS, id_)}/revoke"), Key)
