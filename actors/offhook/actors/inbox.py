"""The inbox of an actor: one subscription, of which only what the actor can take comes out.

Whatever else arrives goes to the dead letters with its reason: bytes that are no message, a newer version, a body that
has no business on this subject, a message of another call, an order that no owner signed or that an earlier owner
signed. No actor has to look again, and none dies of it.

Promised: what comes out came in that order; after an order of an owner, none of an earlier owner comes out. Not
promised: that a dead letter is kept while the bus is away.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from offhook.actors.ports import Bus, BusAway
from offhook.protocol import subjects
from offhook.protocol.messages import OWNED, BadMessage, Envelope, bury, decode_envelope, encode

log = logging.getLogger("offhook.inbox")


class Inbox:
    """The envelopes that come on ``subject`` with a body of one of ``kinds``.

    With ``call`` only those of this call are taken, and orders only from its owner: the latest known, ``owner`` at
    first. A subject of many calls (``call`` is empty) takes the orders of whoever owns something.
    """

    def __init__(
        self,
        bus: Bus,
        stream: AsyncIterator[bytes],
        *,
        subject: str,
        kinds: tuple[type, ...],
        call: str = "",
        owner: int = 1,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._kinds = kinds
        self._call = call
        self._owner = owner

    def __aiter__(self) -> AsyncIterator[Envelope]:
        return self

    async def __anext__(self) -> Envelope:
        while True:
            data = await anext(self._stream)
            try:
                return self._accept(decode_envelope(data))
            except BadMessage as error:
                await send_to_dead_letters(self._bus, self._subject, data, error)

    def _accept(self, envelope: Envelope) -> Envelope:
        if self._call and envelope.call != self._call:
            raise BadMessage("wrong_call", f"call {envelope.call!r} on {self._subject!r}")
        if not isinstance(envelope.body, self._kinds):
            raise BadMessage("unexpected", f"{type(envelope.body).__name__} on {self._subject!r}")
        if isinstance(envelope.body, OWNED):
            self._check_owner(envelope)
        return envelope

    def _check_owner(self, envelope: Envelope) -> None:
        kind = type(envelope.body).__name__
        if envelope.owner < 1:
            raise BadMessage("no_owner", f"{kind} from nobody who owns the call")
        if not self._call:
            return
        if envelope.owner < self._owner:
            raise BadMessage("stale_owner", f"{kind} from owner {envelope.owner}, the call is with {self._owner}")
        self._owner = envelope.owner


@asynccontextmanager
async def open_stream(bus: Bus, subject: str, *, group: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
    """``Bus.subscribe`` for those who have nothing else to do while the bus is away: waits for it."""
    async with AsyncExitStack() as stack:
        while True:
            try:
                stream = await stack.enter_async_context(bus.subscribe(subject, group=group))
                break
            except BusAway:
                await anyio.sleep(0.5)
        yield stream


async def send_to_dead_letters(bus: Bus, subject: str, data: bytes, error: BadMessage, *, revision: int = 0) -> None:
    """Keep what could not be taken for the operator."""
    log.warning("message refused", extra={"subject": subject, "why": str(error)})
    try:
        await bus.publish(subjects.DEAD_LETTERS, encode(bury(subject, data, error, revision=revision)))
    except BusAway:
        log.warning("dead letter lost, the bus is away", extra={"subject": subject})
