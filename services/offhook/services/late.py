"""What is kept in the database, opened when it is first needed: a role need not wait for the database's library."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from offhook.protocol.record import CallFilter, CallPage, CallRecord, Erased
from offhook.services.settings import Settings

if TYPE_CHECKING:
    from offhook.services.store import Keys, Replies, Store, StoredAgents, Webhooks, Widgets
    from offhook.services.tokens import Workspace


class _Closed(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closed)


class Late(Generic[T]):
    """Something of the database, opened when it is first needed; from any thread."""

    def __init__(self, open_it: Callable[[], T]) -> None:
        self._open = open_it
        self._lock = threading.Lock()
        self._opened: T | None = None

    def __call__(self) -> T:
        """The thing. Raises what opening it raises."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """Let go of it."""
        if self._opened is not None:
            self._opened.close()


class LateHistory:
    """The records of calls, opened when they are first read: the page need not wait for the database's library."""

    def __init__(self, place: str | Path) -> None:
        def open_it() -> "Store":
            from offhook.services.store import open_store

            return open_store(place)

        #: The store; from any thread. Raises what ``open_store`` raises.
        self.open = Late(open_it)

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        """See ``Store``."""
        return self.open().calls(wanted, limit=limit, cursor=cursor)

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """See ``Store``."""
        return self.open().call(start, exact=exact)

    def export_page(self, wanted: CallFilter, *, cursor: str | None = None) -> tuple[list[CallRecord], str | None]:
        """See ``Store``."""
        return self.open().export_page(wanted, cursor=cursor)

    def erase(self, call: str, *, now: float) -> Erased | None:
        """See ``Store``."""
        return self.open().erase(call, now=now)

    def erasure(self, call: str, *, workspace: str | None = None) -> Erased | None:
        """See ``Store``."""
        return self.open().erasure(call, workspace=workspace)

    def kept_days(self, workspace: str) -> int | None:
        """See ``Store``."""
        return self.open().kept_days(workspace)

    def keep_days(self, workspace: str, days: int | None) -> None:
        """See ``Store``."""
        self.open().keep_days(workspace, days)

    def webhooks(self) -> "Webhooks":
        """See ``Store``."""
        return self.open().webhooks()

    def close(self) -> None:
        """Let go of the database."""
        self.open.close()


def store_place(settings: Settings) -> str | Path:
    """Where the records are kept."""
    return settings.store or settings.data / "offhook.db"


def late_keys(settings: Settings, workspace: "Workspace") -> Late["Keys"]:
    """The keys of all workspaces; the first secret key of this one is among them."""

    def open_it() -> "Keys":
        from offhook.services.store import open_keys

        keys = open_keys(store_place(settings))
        keys.adopt(workspace.id, workspace.secret_key_hash)
        return keys

    return Late(open_it)


def late_replies(settings: Settings) -> Late["Replies"]:
    """Answers to requests that may be repeated."""

    def open_it() -> "Replies":
        from offhook.services.store import open_replies

        return open_replies(store_place(settings))

    return Late(open_it)


def late_widgets(settings: Settings) -> Late["Widgets"]:
    """Widgets of all workspaces."""

    def open_it() -> "Widgets":
        from offhook.services.store import open_widgets

        return open_widgets(store_place(settings))

    return Late(open_it)


def late_agents(settings: Settings) -> Late["StoredAgents"]:
    """Agents with their versions."""

    def open_it() -> "StoredAgents":
        from offhook.services.store import open_stored_agents

        return open_stored_agents(store_place(settings))

    return Late(open_it)
