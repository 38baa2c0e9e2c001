"""The worker: sends what the outbox holds, until it is cancelled."""

import logging
import random
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import anyio

from offhook.protocol.record import RecordsAway
from offhook.protocol.webhooks import Attempt, DueMessage, Webhook
from offhook.protocol.webhooks.address import Network
from offhook.services.webhooks.sending import send

log = logging.getLogger("offhook.webhooks")

#: Seconds between two looks into the outbox, and messages that are on their way at one time.
LOOK = 0.5
AT_ONCE = 16
#: Seconds between two looks for messages that are too old to keep.
CLEAN = 3600.0


class Outbox(Protocol):
    """Where messages wait. Synchronous, used from worker threads; every method raises ``RecordsAway``."""

    def take_due(self, *, now: float, limit: int) -> Sequence[DueMessage]:
        """Messages to be sent now; they are not given out again for a while."""

    def note(self, due: DueMessage, attempt: Attempt, *, chance: float) -> Webhook | None:
        """Write down what came of an attempt; the webhook if it was disabled by it."""

    def drop_old(self, *, now: float) -> int:
        """Delete messages that are too old to be sent again."""


async def run_webhooks(outbox: Outbox, *, allowed: Sequence[Network]) -> None:
    """Send what the outbox holds; never returns. Several processes may do so on one outbox."""
    tls = await anyio.to_thread.run_sync(ssl.create_default_context)
    next_cleaning = 0.0
    slots = anyio.Semaphore(AT_ONCE)
    async with anyio.create_task_group() as tasks:
        while True:
            # Whoever is slow to answer holds one slot, and the others take what is due next.
            await slots.acquire()
            free = 1 + _take_all(slots)
            due: Sequence[DueMessage] = ()
            try:
                if anyio.current_time() >= next_cleaning:
                    await anyio.to_thread.run_sync(partial(outbox.drop_old, now=time.time()))
                    next_cleaning = anyio.current_time() + CLEAN
                due = await anyio.to_thread.run_sync(partial(outbox.take_due, now=time.time(), limit=free))
            except RecordsAway as error:
                log.warning("outbox is away", extra={"why": str(error)})
            for one in due:
                tasks.start_soon(_send_one, outbox, one, allowed, tls, slots)
            for _ in range(free - len(due)):
                slots.release()
            if not due:
                await anyio.sleep(LOOK)


def _take_all(slots: anyio.Semaphore) -> int:
    """Take the slots that are free now; how many."""
    free = slots.value
    for _ in range(free):
        slots.acquire_nowait()
    return free


async def _send_one(
    outbox: Outbox, one: DueMessage, allowed: Sequence[Network], tls: ssl.SSLContext, slots: anyio.Semaphore
) -> None:
    try:
        attempt = await send(one.url, id=one.message, body=one.body, secrets=one.secrets, allowed=allowed, tls=tls)
        chance = random.random()  # noqa: S311 - jitter keeps no secret
        disabled = await anyio.to_thread.run_sync(partial(outbox.note, one, attempt, chance=chance))
    except RecordsAway as error:
        # It is sent again, with the same id.
        log.warning("outbox is away", extra={"why": str(error)})
        return
    finally:
        slots.release()
    if attempt.error is not None:
        log.info("webhook did not come through", extra={"webhook": one.webhook, "why": attempt.error})
    if disabled is not None:
        log.warning("webhook disabled", extra={"webhook": disabled.id, "why": disabled.notice})
