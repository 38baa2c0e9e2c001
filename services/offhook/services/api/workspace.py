"""``/v1/workspace``: the workspace of the key, how many calls it may have (R4), and for how long they are kept."""

from functools import partial
from typing import Annotated, Protocol

import msgspec

from offhook.services.api.access import Threads
from offhook.services.api.route import Ask, Nothing, Route

MAX_CALLS = 1_000_000
#: A hundred years.
MAX_DAYS = 36_500


class Lines(Protocol):
    """Where calls are counted. All raise ``BusAway``."""

    async def active(self, workspace: str) -> int:
        """Calls that live now."""

    async def limit(self, workspace: str) -> int | None:
        """Calls that may live at a time; None: any number."""

    async def set_limit(self, workspace: str, limit: int | None) -> None:
        """Set the limit, for calls that come from now on."""


class Keeping(Protocol):
    """Where calls are kept. Both may take a while, and raise ``RecordsAway``."""

    def kept_days(self, workspace: str) -> int | None:
        """Days after their end for which calls are kept; None: for ever."""

    def keep_days(self, workspace: str, days: int | None) -> None:
        """Set it; what is older by now is erased within ten minutes."""


class WorkspaceShown(msgspec.Struct, frozen=True):
    """A workspace."""

    id: str
    #: Calls that may live at a time, of all channels; null: any number.
    max_calls: int | None
    #: Calls that live now.
    active_calls: int
    #: Days after their end for which calls are kept; then they are erased. Null: for ever.
    keep_days: int | None


class WorkspaceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; what is left out stays."""

    #: Calls that may live at a time; null: any number.
    max_calls: Annotated[int, msgspec.Meta(ge=0, le=MAX_CALLS)] | msgspec.UnsetType | None = msgspec.UNSET
    #: Days after their end for which calls are kept; older ones are erased within ten minutes. Null: for ever.
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)] | msgspec.UnsetType | None = msgspec.UNSET


class WorkspaceResource:
    """The workspace of the key."""

    def __init__(self, lines: Lines, keeping: Keeping, in_thread: Threads) -> None:
        self._lines = lines
        self._keeping = keeping
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/workspace", handle=self.show, summary="Read the workspace",
                scope="workspace:read", gives=WorkspaceShown,
            ),
            Route(
                method="PATCH", path="/v1/workspace", handle=self.change, summary="Change the workspace",
                scope="workspace:write", body=WorkspaceChange, gives=WorkspaceShown,
            ),
        ]  # fmt: skip

    async def show(self, ask: Ask[Nothing, Nothing]) -> WorkspaceShown:
        """The workspace, how many of its lines are taken, and for how long it keeps its calls."""
        return await self._read(ask.workspace)

    async def change(self, ask: Ask[Nothing, WorkspaceChange]) -> WorkspaceShown:
        """Calls that live go on, also above a new limit; new ones are refused with ``at_capacity``."""
        wanted = ask.body
        if wanted.max_calls is not msgspec.UNSET:
            await self._lines.set_limit(ask.workspace, wanted.max_calls)
        if wanted.keep_days is not msgspec.UNSET:
            await self._in_thread(partial(self._keeping.keep_days, ask.workspace, wanted.keep_days), abandon=False)
        return await self._read(ask.workspace)

    async def _read(self, workspace: str) -> WorkspaceShown:
        return WorkspaceShown(
            id=workspace,
            max_calls=await self._lines.limit(workspace),
            active_calls=await self._lines.active(workspace),
            keep_days=await self._in_thread(partial(self._keeping.kept_days, workspace)),
        )
