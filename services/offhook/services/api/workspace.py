"""``/v1/workspace``: the workspace of the key, and how many calls it may have at a time (R4)."""

from typing import Annotated, Protocol

import msgspec

from offhook.services.api.route import Ask, Nothing, Route

MAX_CALLS = 1_000_000


class Lines(Protocol):
    """Where calls are counted. All raise ``BusAway``."""

    async def active(self, workspace: str) -> int:
        """Calls that live now."""

    async def limit(self, workspace: str) -> int | None:
        """Calls that may live at a time; None: any number."""

    async def set_limit(self, workspace: str, limit: int | None) -> None:
        """Set the limit, for calls that come from now on."""


class WorkspaceShown(msgspec.Struct, frozen=True):
    """A workspace."""

    id: str
    #: Calls that may live at a time, of all channels; null: any number.
    max_calls: int | None
    #: Calls that live now.
    active_calls: int


class WorkspaceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed."""

    #: Calls that may live at a time; null: any number.
    max_calls: Annotated[int, msgspec.Meta(ge=0, le=MAX_CALLS)] | None


class WorkspaceResource:
    """The workspace of the key."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

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
        """The workspace, and how many of its lines are taken."""
        id_ = ask.workspace
        return WorkspaceShown(id_, await self._lines.limit(id_), await self._lines.active(id_))

    async def change(self, ask: Ask[Nothing, WorkspaceChange]) -> WorkspaceShown:
        """Calls that live go on, also above a new limit; new ones are refused with ``at_capacity``."""
        await self._lines.set_limit(ask.workspace, ask.body.max_calls)
        return WorkspaceShown(ask.workspace, ask.body.max_calls, await self._lines.active(ask.workspace))
