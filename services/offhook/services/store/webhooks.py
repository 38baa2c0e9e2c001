"""Webhooks, their messages (the outbox) and deliveries in the database. Synchronous, as the store is."""

import secrets
import uuid
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from offhook.protocol.webhooks import (
    Attempt,
    Delivery,
    MadeWebhook,
    SentDelivery,
    Webhook,
    WebhookNotFound,
    check_events,
    new_secret,
)
from offhook.protocol.webhooks.signing import SIZE
from offhook.services.store.engine import away, transaction
from offhook.services.store.reading import struct
from offhook.services.store.tables import webhook_attempts, webhook_deliveries, webhook_messages, webhooks

_NO_MESSAGE = "This webhook was never to get a message with this id."


class Webhooks:
    """Webhooks of workspaces. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ── for their owners ───────────────────────────────────────────────────────────────────────────────────────

    def create(self, workspace: str, url: str, events: Sequence[str], *, now: float) -> MadeWebhook:
        """Make a webhook; whoever calls has checked the URL. Raises ``WebhookUnfit``."""
        made = MadeWebhook(
            id=f"wh_{uuid.uuid4().hex}", workspace=workspace, url=url, events=check_events(events), created_at=now,
            secret=new_secret(secrets.token_bytes(SIZE)),
        )  # fmt: skip
        with away(), transaction(self._engine) as connection:
            connection.execute(insert(webhooks), msgspec.to_builtins(made))
        return made

    def page(self, workspace: str) -> list[Webhook]:
        """The webhooks of a workspace, newest first."""
        query = select(webhooks).where(webhooks.c.workspace == workspace)
        with away(), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(webhooks.c.created_at.desc(), webhooks.c.id))
            return [struct(row, Webhook) for row in rows]

    def get(self, workspace: str, id_: str) -> Webhook:
        """One webhook. Raises ``WebhookNotFound``."""
        with away(), self._engine.connect() as connection:
            return _get(connection, workspace, id_)

    def delete(self, workspace: str, id_: str) -> None:
        """Delete a webhook with its log of deliveries. Raises ``WebhookNotFound``."""
        with away(), transaction(self._engine) as connection:
            _get(connection, workspace, id_)
            connection.execute(delete(webhooks).where(webhooks.c.id == id_))

    def enable(self, workspace: str, id_: str) -> Webhook:
        """Send to it again, what waits first. Raises ``WebhookNotFound``."""
        return self.change(workspace, id_, state="enabled")

    def change(
        self,
        workspace: str,
        id_: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: Literal["enabled", "disabled"] | None = None,
    ) -> Webhook:
        """Change what is given; whoever calls has checked the URL. Raises ``WebhookNotFound``, ``WebhookUnfit``.

        One that is disabled is told of nothing that happens meanwhile; what waits for it goes on waiting.
        """
        values: dict[str, Any] = {} if state is None else {"state": state, "notice": None, "failing_since": None}
        if url is not None:
            values["url"] = url
        if events is not None:
            values["events"] = check_events(events)
        with away(), transaction(self._engine) as connection:
            if values:
                connection.execute(update(webhooks).where(_mine(workspace, id_)).values(values))
            return _get(connection, workspace, id_)

    def rotate(self, workspace: str, id_: str, *, overlap: float, now: float) -> MadeWebhook:
        """Give it a new secret; the one before signs too for ``overlap`` more seconds. Raises ``WebhookNotFound``."""
        secret = new_secret(secrets.token_bytes(SIZE))
        with away(), transaction(self._engine) as connection:
            kept = _get(connection, workspace, id_)
            values = {"former_secret": webhooks.c.secret, "former_until": now + overlap, "secret": secret}
            connection.execute(update(webhooks).where(_mine(workspace, id_)).values(values))
        return MadeWebhook(**msgspec.structs.asdict(kept), secret=secret)

    def deliveries(
        self,
        workspace: str,
        id_: str,
        *,
        state: str | None = None,
        limit: int = 50,
        after: tuple[float, str] | None = None,
    ) -> list[Delivery]:
        """The log of deliveries, newest event first, behind the one at ``after``. Raises ``WebhookNotFound``."""
        query = _deliveries(id_)
        if state is not None:
            query = query.where(webhook_deliveries.c.state == state)
        if after is not None:
            at, message = after
            same = (webhook_messages.c.at == at) & (webhook_messages.c.id < message)
            query = query.where((webhook_messages.c.at < at) | same)
        query = query.order_by(webhook_messages.c.at.desc(), webhook_messages.c.id.desc()).limit(limit)
        with away(), self._engine.connect() as connection:
            _get(connection, workspace, id_)
            return [_with_last(connection, struct(row, Delivery)) for row in connection.execute(query)]

    def delivery(self, workspace: str, id_: str, message: str) -> SentDelivery:
        """One delivery with all there is to know of it. Raises ``WebhookNotFound``, also for a message not to it."""
        query = _deliveries(id_).add_columns(webhook_messages.c.body).where(webhook_messages.c.id == message)
        with away(), self._engine.connect() as connection:
            _get(connection, workspace, id_)
            row = connection.execute(query).first()
            if row is None:
                raise WebhookNotFound(_NO_MESSAGE)
            history = tuple(struct(each, Attempt) for each in connection.execute(_attempts(id_, message)))
            delivery = _with_last(connection, struct(row, Delivery))
        return SentDelivery(**msgspec.structs.asdict(delivery), body=row.body, history=history)

    def replay(
        self, workspace: str, id_: str, *, message: str | None = None, since: float | None = None, now: float
    ) -> int:
        """Send messages again, each with its id: one, or all that did not come through since then; how many.

        Raises ``WebhookNotFound``, also for a message it never was to get.
        """
        here = webhook_deliveries.c.webhook == id_
        with away(), transaction(self._engine) as connection:
            _get(connection, workspace, id_)
            if message is not None:
                here &= webhook_deliveries.c.message == message
            else:
                newer = select(webhook_messages.c.id).where(webhook_messages.c.at >= (since or 0.0))
                here &= (webhook_deliveries.c.state == "failed") & webhook_deliveries.c.message.in_(newer)
            values = {"state": "pending", "attempts": 0, "first_at": now, "next_at": now}
            count = connection.execute(update(webhook_deliveries).where(here).values(values)).rowcount
            if message is not None and not count:
                raise WebhookNotFound(_NO_MESSAGE)
        return count


def _mine(workspace: str, id_: str) -> Any:
    return (webhooks.c.id == id_) & (webhooks.c.workspace == workspace)


def _get(connection: Connection, workspace: str, id_: str) -> Webhook:
    row = connection.execute(select(webhooks).where(_mine(workspace, id_))).first()
    if row is None:
        raise WebhookNotFound("There is no webhook with this id.")
    return struct(row, Webhook)


def _deliveries(webhook: str) -> Any:
    return (
        select(webhook_deliveries, webhook_messages.c.call, webhook_messages.c.event, webhook_messages.c.at)
        .join(webhook_messages, webhook_messages.c.id == webhook_deliveries.c.message)
        .where(webhook_deliveries.c.webhook == webhook)
    )


def _with_last(connection: Connection, delivery: Delivery) -> Delivery:
    row = connection.execute(_attempts(delivery.webhook, delivery.message).limit(1)).first()
    if row is None:
        return delivery
    return msgspec.structs.replace(delivery, status=row.status, error=row.error, took=row.took)


def _attempts(webhook: str, message: str) -> Any:
    """The newest first."""
    return (
        select(webhook_attempts)
        .where(webhook_attempts.c.webhook == webhook, webhook_attempts.c.message == message)
        .order_by(webhook_attempts.c.id.desc())
    )
