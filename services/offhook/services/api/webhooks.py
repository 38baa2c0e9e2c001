"""``/v1/webhooks``: who is told of calls (R6)."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Literal, Protocol

import msgspec

from offhook.protocol.record import BadCursor
from offhook.protocol.webhooks import WEBHOOK_EVENTS, Delivery, MadeWebhook, SentDelivery, Webhook
from offhook.services.api.access import Threads
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route

#: Most deliveries on one page, and webhooks of one workspace.
MAX_PAGE = 200
MAX_WEBHOOKS = 100
#: Longest time for which two secrets sign, seconds.
MAX_OVERLAP = 30 * 86400

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Events = Annotated[
    tuple[Literal[WEBHOOK_EVENTS], ...],  # type: ignore[valid-type]
    msgspec.Meta(max_length=len(WEBHOOK_EVENTS)),
]
Standing = Literal["enabled", "disabled"]

#: Checks where a URL leads; raises ``UrlNotAllowed``.
CheckUrl = Callable[[str], Awaitable[object]]
#: The wall clock, seconds since the epoch.
Now = Callable[[], float]


class WebhookKeeper(Protocol):
    """Where webhooks are kept. Synchronous; used from several worker threads. All raise ``RecordsAway``."""

    def create(self, workspace: str, url: str, events: Sequence[str], *, now: float) -> MadeWebhook:
        """Make a webhook. Raises ``WebhookUnfit``."""

    def page(self, workspace: str) -> list[Webhook]:
        """All webhooks, newest first."""

    def get(self, workspace: str, id_: str) -> Webhook:
        """One webhook. Raises ``WebhookNotFound``, as all that follow."""

    def delete(self, workspace: str, id_: str) -> None:
        """Delete a webhook."""

    def change(
        self,
        workspace: str,
        id_: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: Standing | None = None,
    ) -> Webhook:
        """Change what is given."""

    def enable(self, workspace: str, id_: str) -> Webhook:
        """Send to it again."""

    def rotate(self, workspace: str, id_: str, *, overlap: float, now: float) -> MadeWebhook:
        """Give it a new secret."""

    def deliveries(
        self,
        workspace: str,
        id_: str,
        *,
        state: str | None = None,
        limit: int = 50,
        after: tuple[float, str] | None = None,
    ) -> list[Delivery]:
        """What it was told, newest first."""

    def delivery(self, workspace: str, id_: str, message: str) -> SentDelivery:
        """One message on its way to it."""

    def replay(
        self, workspace: str, id_: str, *, message: str | None = None, since: float | None = None, now: float
    ) -> int:
        """Send messages again."""


class WebhookList(msgspec.Struct, frozen=True):
    """The webhooks of the workspace, newest first."""

    webhooks: tuple[Webhook, ...]
    cursor: None = None


class WebhookRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The webhook that is wanted."""

    url: Url
    #: The events it gets; empty: all.
    events: Events = ()


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    url: Url | None = None
    #: The events it gets; empty: all.
    events: Events | None = None
    state: Standing | None = None


class SecretRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a secret is replaced."""

    #: Seconds for which the old secret signs beside the new one.
    overlap: Annotated[int, msgspec.Meta(ge=0, le=MAX_OVERLAP)] = 86400


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    state: Literal["pending", "delivered", "failed"] | None = None


class DeliveryPage(msgspec.Struct, frozen=True):
    """Some deliveries, newest event first, and the cursor to go on with (null: these were the last)."""

    deliveries: tuple[Delivery, ...]
    cursor: str | None


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send again: one message, or all since a time that were given up."""

    message: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    since: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None


class Replayed(msgspec.Struct, frozen=True):
    """How many messages are sent again."""

    count: int


class WebhooksResource:
    """The webhooks of the workspace."""

    def __init__(self, keeper: Callable[[], WebhookKeeper], check: CheckUrl, now: Now, in_thread: Threads) -> None:
        self._keeper = keeper
        self._check = check
        self._now = now
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        one = "/v1/webhooks/{webhook_id}"
        return [
            Route(
                method="GET", path="/v1/webhooks", handle=self.list, summary="List webhooks",
                scope="webhooks:read", gives=WebhookList,
            ),
            Route(
                method="POST", path="/v1/webhooks", handle=self.create, summary="Make a webhook",
                scope="webhooks:write", body=WebhookRequest, gives=MadeWebhook, status=201,
            ),
            Route(
                method="GET", path=one, handle=self.show, summary="Read a webhook",
                scope="webhooks:read", gives=Webhook,
            ),
            Route(
                method="PATCH", path=one, handle=self.change, summary="Change a webhook",
                scope="webhooks:write", body=WebhookChange, gives=Webhook,
            ),
            Route(
                method="DELETE", path=one, handle=self.delete, summary="Delete a webhook",
                scope="webhooks:write", status=204,
            ),
            Route(
                method="POST", path=f"{one}/enable", handle=self.enable, summary="Enable a webhook",
                scope="webhooks:write", body=Nothing, gives=Webhook,
            ),
            Route(
                method="POST", path=f"{one}/rotate", handle=self.rotate, summary="Replace a webhook's secret",
                scope="webhooks:write", body=SecretRotation, gives=MadeWebhook, status=201,
            ),
            Route(
                method="GET", path=f"{one}/deliveries", handle=self.deliveries, summary="List deliveries",
                scope="webhooks:read", query=DeliveryQuery, gives=DeliveryPage,
            ),
            Route(
                method="GET", path=f"{one}/deliveries/{{message_id}}", handle=self.delivery,
                summary="Read a delivery", scope="webhooks:read", gives=SentDelivery,
            ),
            Route(
                method="POST", path=f"{one}/replay", handle=self.replay, summary="Send messages again",
                scope="webhooks:write", body=ReplayRequest, gives=Replayed,
            ),
        ]  # fmt: skip

    async def list(self, ask: Ask[Nothing, Nothing]) -> WebhookList:
        """All webhooks, without their secrets."""
        return WebhookList(tuple(await self._in_thread(partial(self._keeper().page, ask.workspace))))

    async def create(self, ask: Ask[Nothing, WebhookRequest]) -> MadeWebhook:
        """The answer is the only time that the secret is shown. The URL must lead to public addresses."""
        body = ask.body
        await self._check(body.url)
        keeper = self._keeper()
        if len(await self._in_thread(partial(keeper.page, ask.workspace))) >= MAX_WEBHOOKS:
            raise Problem(409, "too_many_webhooks", f"A workspace has at most {MAX_WEBHOOKS} webhooks; delete one.")
        make = partial(keeper.create, ask.workspace, body.url, body.events, now=self._now())
        return await self._in_thread(make, abandon=False)

    async def show(self, ask: Ask[Nothing, Nothing]) -> Webhook:
        """One webhook, without its secret."""
        return await self._in_thread(partial(self._keeper().get, ask.workspace, ask.path["webhook_id"]))

    async def change(self, ask: Ask[Nothing, WebhookChange]) -> Webhook:
        """Change the URL, the events or the state. What happens while it is disabled, it is never told of."""
        body, id_ = ask.body, ask.path["webhook_id"]
        if body.url is not None:
            await self._in_thread(partial(self._keeper().get, ask.workspace, id_))
            await self._check(body.url)
        change = partial(self._keeper().change, ask.workspace, id_, url=body.url, events=body.events, state=body.state)
        return await self._in_thread(change, abandon=False)

    async def delete(self, ask: Ask[Nothing, Nothing]) -> None:
        """Delete a webhook with its log of deliveries."""
        delete = partial(self._keeper().delete, ask.workspace, ask.path["webhook_id"])
        await self._in_thread(delete, abandon=False)

    async def enable(self, ask: Ask[Nothing, Nothing]) -> Webhook:
        """Send again to a webhook that was disabled because nothing came through for three days."""
        enable = partial(self._keeper().enable, ask.workspace, ask.path["webhook_id"])
        return await self._in_thread(enable, abandon=False)

    async def rotate(self, ask: Ask[Nothing, SecretRotation]) -> MadeWebhook:
        """A new secret; the old one signs too for ``overlap`` seconds more."""
        id_, overlap = ask.path["webhook_id"], float(ask.body.overlap)
        rotate = partial(self._keeper().rotate, ask.workspace, id_, overlap=overlap, now=self._now())
        return await self._in_thread(rotate, abandon=False)

    async def deliveries(self, ask: Ask[DeliveryQuery, Nothing]) -> DeliveryPage:
        """What the webhook was told, and what came of it."""
        query = ask.query
        after = None if query.cursor is None else _read_cursor(query.cursor)
        read = partial(
            self._keeper().deliveries, ask.workspace, ask.path["webhook_id"],
            state=query.state, limit=query.limit + 1, after=after,
        )  # fmt: skip
        found = await self._in_thread(read)
        page = tuple(found[: query.limit])
        return DeliveryPage(page, _cursor(page[-1]) if len(found) > query.limit else None)

    async def delivery(self, ask: Ask[Nothing, Nothing]) -> SentDelivery:
        """What is sent, byte for byte, and what came of each attempt."""
        path = ask.path
        return await self._in_thread(
            partial(self._keeper().delivery, ask.workspace, path["webhook_id"], path["message_id"])
        )

    async def replay(self, ask: Ask[Nothing, ReplayRequest]) -> Replayed:
        """Send one message again (``message``), or all since a time that were given up (``since``)."""
        body = ask.body
        if (body.message is None) == (body.since is None):
            await self._in_thread(partial(self._keeper().get, ask.workspace, ask.path["webhook_id"]))
            raise Problem(422, "invalid_field", "Give either `message` or `since`.", pointer="/message")
        replay = partial(
            self._keeper().replay, ask.workspace, ask.path["webhook_id"],
            message=body.message, since=body.since, now=self._now(),
        )  # fmt: skip
        return Replayed(await self._in_thread(replay, abandon=False))


def _cursor(last: Delivery) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((last.at, last.message))).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[float, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest.") from error
    if "\0" in found[1]:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest.")
    return found
