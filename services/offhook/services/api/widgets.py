"""``/v1/widgets``: what pages show, as data (W1, W8, W9)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

import msgspec

from offhook.protocol.widgets import Widget, WidgetFields
from offhook.services.api.access import Threads
from offhook.services.api.agents import encode_cursor, read_cursor
from offhook.services.api.route import Ask, Nothing, Route

#: Most widgets on one page.
MAX_PAGE = 200


class WidgetStore(Protocol):
    """Where widgets are kept. Synchronous; used from several worker threads. All raise ``RecordsAway``."""

    def create(self, workspace: str, wanted: WidgetFields) -> Widget:
        """Raises ``KeyUnfit`` for a domain that is none."""

    def change(self, workspace: str, code: str, wanted: WidgetFields) -> Widget:
        """Raises ``WidgetNotFound``, ``KeyUnfit``."""

    def delete(self, workspace: str, code: str) -> None:
        """Raises ``WidgetNotFound``."""

    def get(self, workspace: str, code: str) -> Widget:
        """Raises ``WidgetNotFound``."""

    def page(self, workspace: str, *, limit: int, after: tuple[float, str] | None = None) -> list[Widget]:
        """Newest first, behind the one made at ``after``."""


class WidgetQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which widgets to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class WidgetPage(msgspec.Struct, frozen=True):
    """Some widgets, newest first, and the cursor to go on with (null: these were the last)."""

    widgets: tuple[Widget, ...]
    cursor: str | None


class WidgetsResource:
    """The widgets of the workspace."""

    def __init__(self, store: Callable[[], WidgetStore], in_thread: Threads) -> None:
        self._store = store
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        one = "/v1/widgets/{widget_id}"
        return [
            Route(
                method="GET", path="/v1/widgets", handle=self.list, summary="List widgets",
                scope="widgets:read", query=WidgetQuery, gives=WidgetPage,
            ),
            Route(
                method="POST", path="/v1/widgets", handle=self.create, summary="Make a widget",
                scope="widgets:write", body=WidgetFields, gives=Widget, status=201,
            ),
            Route(
                method="GET", path=one, handle=self.show, summary="Read a widget", scope="widgets:read", gives=Widget
            ),
            Route(
                method="PUT", path=one, handle=self.change, summary="Change a widget",
                scope="widgets:write", body=WidgetFields, gives=Widget,
            ),
            Route(
                method="DELETE", path=one, handle=self.delete, summary="Delete a widget",
                scope="widgets:write", status=204,
            ),
        ]  # fmt: skip

    async def list(self, ask: Ask[WidgetQuery, Nothing]) -> WidgetPage:
        """Widgets, newest first."""
        query = ask.query
        after = None if query.cursor is None else read_cursor(query.cursor)
        found = await self._in_thread(partial(self._store().page, ask.workspace, limit=query.limit + 1, after=after))
        page = tuple(found[: query.limit])
        more = len(found) > query.limit
        return WidgetPage(page, encode_cursor(page[-1].created_at, page[-1].code) if more else None)

    async def create(self, ask: Ask[Nothing, WidgetFields]) -> Widget:
        """A widget with a code of its own."""
        return await self._in_thread(partial(self._store().create, ask.workspace, ask.body), abandon=False)

    async def show(self, ask: Ask[Nothing, Nothing]) -> Widget:
        """One widget."""
        return await self._in_thread(partial(self._store().get, ask.workspace, ask.path["widget_id"]))

    async def change(self, ask: Ask[Nothing, WidgetFields]) -> Widget:
        """The widget as the body says it; what is left out gets its default. Its code stays."""
        change = partial(self._store().change, ask.workspace, ask.path["widget_id"], ask.body)
        return await self._in_thread(change, abandon=False)

    async def delete(self, ask: Ask[Nothing, Nothing]) -> None:
        """Take the widget away."""
        await self._in_thread(partial(self._store().delete, ask.workspace, ask.path["widget_id"]), abandon=False)
