"""The outbox in the database: what webhooks are to be told, and what came of it. Synchronous, as the store is.

Messages are written in the transaction that changes the record, so that none is lost and none is told of what did not
happen.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from offhook.protocol.webhooks import (
    DISABLE_AFTER,
    Attempt,
    DueMessage,
    Told,
    Webhook,
    body_of,
    message_id,
    tell,
    wait_after,
)
from offhook.services.store.engine import away, transaction
from offhook.services.store.projecting import Taken
from offhook.services.store.reading import read_records, read_summaries, struct
from offhook.services.store.rows import insert_rows
from offhook.services.store.tables import webhook_attempts, webhook_deliveries, webhook_messages, webhooks

#: Seconds for which a message that is being sent belongs to whoever took it.
CLAIM = 60.0
#: Seconds for which messages are kept for replay.
KEPT = 30 * 86_400.0


class StoreOutbox:
    """The ``Outbox`` port. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take_due(self, *, now: float, limit: int) -> list[DueMessage]:
        """Messages to be sent now. They are not given out again for ``CLAIM`` seconds."""
        query = (
            select(
                webhook_deliveries.c.webhook, webhook_deliveries.c.message, webhook_deliveries.c.attempts,
                webhook_deliveries.c.first_at, webhook_messages.c.body, webhooks.c.url, webhooks.c.secret,
                webhooks.c.former_secret, webhooks.c.former_until,
            )
            .join(webhooks, webhooks.c.id == webhook_deliveries.c.webhook)
            .join(webhook_messages, webhook_messages.c.id == webhook_deliveries.c.message)
            .where(webhook_deliveries.c.state == "pending", webhook_deliveries.c.next_at <= now)
            .where(webhooks.c.state == "enabled")
            .order_by(webhook_deliveries.c.next_at)
            .limit(limit)
        )  # fmt: skip
        with away():
            with self._engine.connect() as connection:
                # Nothing is to be sent nearly always: that needs no writer's lock.
                if connection.execute(query.limit(1)).first() is None:
                    return []
            with transaction(self._engine) as connection:
                rows = connection.execute(query.with_for_update(of=webhook_deliveries, skip_locked=True)).all()
                for row in rows:
                    here = _delivery(row.webhook, row.message)
                    connection.execute(update(webhook_deliveries).where(here).values(next_at=now + CLAIM))
        return [_due(row, now) for row in rows]

    def note(self, due: DueMessage, attempt: Attempt, *, chance: float) -> Webhook | None:
        """Write down what came of an attempt; the webhook if it was disabled by it."""
        now = attempt.at + attempt.took
        facts = {"webhook": due.webhook, "message": due.message, **msgspec.to_builtins(attempt)}
        with away(), transaction(self._engine) as connection:
            here = _delivery(due.webhook, due.message)
            if connection.execute(select(webhook_deliveries.c.state).where(here)).first() is None:
                # Webhook or call were erased meanwhile.
                return None
            connection.execute(insert(webhook_attempts), facts)
            attempts = due.attempts + 1
            wait = wait_after(attempts, first_at=due.first_at, now=now, chance=chance)
            state = "delivered" if attempt.came_through else "failed" if wait is None else "pending"
            values = {"state": state, "attempts": attempts, "next_at": now + (wait or 0.0)}
            connection.execute(update(webhook_deliveries).where(here).values(values))
            return _note_health(connection, due.webhook, attempt, now=now)

    def drop_old(self, *, now: float) -> int:
        """Delete messages that are too old to be sent again, with their deliveries; how many."""
        with away(), transaction(self._engine) as connection:
            old = (webhook_messages.c.at < now - KEPT) & webhook_messages.c.id.not_in(
                select(webhook_deliveries.c.message).where(webhook_deliveries.c.state == "pending")
            )
            return connection.execute(delete(webhook_messages).where(old)).rowcount


def tell_webhooks(connection: Connection, taken: list[Taken]) -> None:
    """Write what entries have to tell into the outbox, in the transaction that takes them (a ``Listener``)."""
    if not (listening := _listening(connection)):
        return
    told = [
        one
        for each in taken
        for one in tell(each.entry, each.gained, answered_before=each.before.call.answered_at is not None)
    ]
    _write(connection, told, listening)


def write_messages(connection: Connection, told: list[Told]) -> None:
    """Write messages and, for each webhook that wants them, deliveries; what stands there already stays as it is."""
    _write(connection, told, _listening(connection))


def _listening(connection: Connection) -> list[tuple[str, str, set[str]]]:
    """The webhooks that are told of anything: id, workspace, events."""
    return [
        (row.id, row.workspace, set(row.events))
        for row in connection.execute(
            select(webhooks.c.id, webhooks.c.workspace, webhooks.c.events).where(webhooks.c.state == "enabled")
        )
    ]


def _write(connection: Connection, told: list[Told], listening: list[tuple[str, str, set[str]]]) -> None:
    wanted = {
        message_id(one): (one, [id_ for id_, workspace, events in listening
                                if workspace == one.workspace and (not events or one.event in events)])
        for one in told
    }  # fmt: skip
    wanted = {id_: (one, ids) for id_, (one, ids) in wanted.items() if ids}
    if not wanted:
        return
    known = set(connection.execute(select(webhook_messages.c.id).where(webhook_messages.c.id.in_(wanted))).scalars())
    new = {id_: found for id_, found in wanted.items() if id_ not in known}
    ended = [one.call for one, _ in new.values() if one.event == "call.ended"]
    records = {record.id: record for record in read_records(connection, read_summaries(connection, ended))}
    messages, deliveries = list[dict[str, Any]](), list[dict[str, Any]]()
    for id_, (one, ids) in new.items():
        record = records.get(one.call) if one.event == "call.ended" else None
        messages.append({
            "id": id_, "workspace": one.workspace, "call": one.call, "event": one.event, "at": one.at,
            "body": body_of(one, record),
        })  # fmt: skip
        deliveries += [
            {
                "webhook": webhook,
                "message": id_,
                "state": "pending",
                "attempts": 0,
                "first_at": one.at,
                "next_at": one.at,
            }
            for webhook in ids
        ]
    insert_rows(connection, webhook_messages, messages)
    insert_rows(connection, webhook_deliveries, deliveries)


def _delivery(webhook: str, message: str) -> Any:
    return (webhook_deliveries.c.webhook == webhook) & (webhook_deliveries.c.message == message)


def _due(row: Any, now: float) -> DueMessage:
    former = [row.former_secret] if row.former_secret and row.former_until > now else []
    return DueMessage(
        webhook=row.webhook, message=row.message, url=row.url, body=row.body, secrets=(row.secret, *former),
        attempts=row.attempts, first_at=max(row.first_at, now) if not row.attempts else row.first_at,
    )  # fmt: skip


def _note_health(connection: Connection, webhook: str, attempt: Attempt, *, now: float) -> Webhook | None:
    """Keep since when nothing came through; after too long the webhook is disabled, and returned."""
    # The attempt refers to this row, and so do those of others: only a lock that allows that leads to no deadlock.
    query = select(webhooks).where(webhooks.c.id == webhook).with_for_update(key_share=True)
    row = connection.execute(query).one()
    since = None if attempt.came_through else row.failing_since or attempt.at
    values: dict[str, Any] = {"failing_since": since}
    gone = attempt.status == 410
    if gone or (since is not None and now - since >= DISABLE_AFTER):
        why = "the receiver says that it is gone (410)" if gone else "nothing came through for three days"
        values |= {"state": "disabled", "notice": f"Disabled, because {why}. Mend the receiver, then enable it again."}
    if values["failing_since"] != row.failing_since or "state" in values:
        connection.execute(update(webhooks).where(webhooks.c.id == webhook).values(values))
    if "state" not in values:
        return None
    return struct(connection.execute(select(webhooks).where(webhooks.c.id == webhook)).one(), Webhook)
