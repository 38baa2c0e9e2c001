"""Where the ``webhooks`` commands work: on the data folder of this machine, or on a server over REST."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from offhook.protocol.webhooks import Delivery, MadeWebhook, SentDelivery, Webhook, parse_networks
from offhook.services.cli.server import Server, one, open_server
from offhook.services.cli.workspace import workspace_of

if TYPE_CHECKING:
    from offhook.services.store import Webhooks

_WEBHOOKS = "/v1/webhooks"


class Place(Protocol):
    """Webhooks of a workspace. Every method raises ``OffhookError`` with a sentence."""

    def webhooks(self) -> list[Webhook]:
        """All webhooks, newest first."""

    def create(self, url: str, events: Sequence[str]) -> MadeWebhook:
        """Have a URL told of calls."""

    def change(
        self,
        id_: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: Literal["enabled", "disabled"] | None = None,
    ) -> Webhook:
        """Change what is given."""

    def delete(self, id_: str) -> None:
        """Delete a webhook with its log of deliveries."""

    def rotate(self, id_: str, *, overlap: int) -> MadeWebhook:
        """Give it a new secret; the old one signs for ``overlap`` seconds more."""

    def deliveries(self, id_: str, *, state: str | None, limit: int) -> list[Delivery]:
        """What it was told, newest first."""

    def delivery(self, id_: str, message: str) -> SentDelivery:
        """One message on its way to it."""

    def replay(self, id_: str, *, message: str | None, since: float | None) -> int:
        """Send one message again, or all since a time that were given up; how many."""


@contextmanager
def open_place(
    server: str | None, key: str | None, data: Path, store: str | None, webhook_allow: Sequence[str] = ()
) -> Iterator[Place]:
    """The webhooks that the options name. Raises a usage error where they do not fit together."""
    if server is not None:
        with open_server(server, key) as opened:
            yield _Remote(opened)
        return
    from offhook.services.store import open_store, store_file

    workspace = workspace_of(data).id
    kept = open_store(store or store_file(data))
    try:
        yield _Local(kept.webhooks(), workspace, webhook_allow)
    finally:
        kept.close()


class _Local:
    def __init__(self, kept: "Webhooks", workspace: str, allow: Sequence[str]) -> None:
        self._kept = kept
        self._workspace = workspace
        self._allow = allow

    def webhooks(self) -> list[Webhook]:
        return self._kept.page(self._workspace)

    def create(self, url: str, events: Sequence[str]) -> MadeWebhook:
        self._check(url)
        return self._kept.create(self._workspace, url, events, now=time.time())

    def change(
        self,
        id_: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: Literal["enabled", "disabled"] | None = None,
    ) -> Webhook:
        if url is not None:
            self._check(url)
        return self._kept.change(self._workspace, id_, url=url, events=events, state=state)

    def delete(self, id_: str) -> None:
        self._kept.delete(self._workspace, id_)

    def rotate(self, id_: str, *, overlap: int) -> MadeWebhook:
        return self._kept.rotate(self._workspace, id_, overlap=float(overlap), now=time.time())

    def deliveries(self, id_: str, *, state: str | None, limit: int) -> list[Delivery]:
        return self._kept.deliveries(self._workspace, id_, state=state, limit=limit)

    def delivery(self, id_: str, message: str) -> SentDelivery:
        return self._kept.delivery(self._workspace, id_, message)

    def replay(self, id_: str, *, message: str | None, since: float | None) -> int:
        return self._kept.replay(self._workspace, id_, message=message, since=since, now=time.time())

    def _check(self, url: str) -> None:
        import anyio

        from offhook.services.webhooks import check_webhook_url

        async def check() -> None:
            await check_webhook_url(url, allowed=parse_networks(self._allow))

        anyio.run(check)


class _Remote:
    def __init__(self, server: Server) -> None:
        self._server = server

    def webhooks(self) -> list[Webhook]:
        return msgspec.convert(self._server.ask("GET", _WEBHOOKS)["webhooks"], list[Webhook])

    def create(self, url: str, events: Sequence[str]) -> MadeWebhook:
        made = self._server.ask("POST", _WEBHOOKS, json={"url": url, "events": list(events)})
        return msgspec.convert(made, MadeWebhook)

    def change(
        self,
        id_: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: Literal["enabled", "disabled"] | None = None,
    ) -> Webhook:
        wanted: dict[str, Any] = {"url": url, "events": events and list(events), "state": state}
        body = {name: value for name, value in wanted.items() if value is not None}
        return msgspec.convert(self._server.ask("PATCH", one(_WEBHOOKS, id_), json=body), Webhook)

    def delete(self, id_: str) -> None:
        self._server.ask("DELETE", one(_WEBHOOKS, id_))

    def rotate(self, id_: str, *, overlap: int) -> MadeWebhook:
        made = self._server.ask("POST", f"{one(_WEBHOOKS, id_)}/rotate", json={"overlap": overlap})
        return msgspec.convert(made, MadeWebhook)

    def deliveries(self, id_: str, *, state: str | None, limit: int) -> list[Delivery]:
        query = {} if state is None else {"state": state}
        found = self._server.every(f"{one(_WEBHOOKS, id_)}/deliveries", "deliveries", most=limit, **query)
        return msgspec.convert(found, list[Delivery])

    def delivery(self, id_: str, message: str) -> SentDelivery:
        path = one(f"{one(_WEBHOOKS, id_)}/deliveries", message)
        return msgspec.convert(self._server.ask("GET", path), SentDelivery)

    def replay(self, id_: str, *, message: str | None, since: float | None) -> int:
        body = {"since": since} if message is None else {"message": message}
        return int(self._server.ask("POST", f"{one(_WEBHOOKS, id_)}/replay", json=body)["count"])
