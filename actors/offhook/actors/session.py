"""The session actor: owns the one state of a call.

It takes reports from its mailbox, applies ``step``, appends the event to the call's log, and then posts the effects to
the other actors. Only it decides. The log is the call: an actor that starts (again) folds it first, so it can die at
any point. Between the append and the posting an order can get lost with its actor; the timeout of the state that waits
for the outcome repairs that.

The append is the one thing it awaits besides its mailbox: until the event stands in the log, it has not happened, and
nothing may follow from it.
"""

import logging

import anyio
import msgspec

from offhook.actors.inbox import Inbox, send_to_dead_letters
from offhook.actors.mailbox import Mailbox, MailboxFull, Stopped
from offhook.actors.ports import Bus, BusAway, Clock, WrongSequence
from offhook.protocol import subjects
from offhook.protocol.call import (
    Call,
    CallEffect,
    CallEvent,
    CallState,
    LogEntry,
    NoEdge,
    deadline,
    step,
)
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import OffhookError
from offhook.protocol.messages import TO_AGENT, TO_MEDIA, TO_SESSION, BadMessage, Envelope, Taken, decode_entry, encode

log = logging.getLogger("offhook.session")


class Report(msgspec.Struct, frozen=True):
    """An event on its way to the session, with who reported it."""

    event: CallEvent
    source: str = ""
    number: int = 0


class OwnershipLost(OffhookError):
    """Somebody else has written to this call's log: this actor must not act any more."""


class SessionActor:
    """Owns one call."""

    def __init__(self, call_id: str, *, bus: Bus, clock: Clock, owner: int) -> None:
        self.mailbox: Mailbox[Report] = Mailbox()
        self.call = Call(id=call_id)
        self._bus = bus
        self._clock = clock
        self._owner = owner
        self._seq = 0
        self._revision = 0
        #: The last report taken from each source, and whether it changed something.
        self._taken: dict[str, tuple[int, bool]] = {}

    async def run(self) -> None:
        """Rebuild the call from its log, then take events until it has ended. Raises ``OwnershipLost``."""
        await self._rebuild()
        subject = subjects.session(self.call.id)
        async with self._bus.subscribe(subject) as stream, anyio.create_task_group() as tasks:
            inbox = Inbox(self._bus, stream, subject=subject, kinds=TO_SESSION, call=self.call.id)
            tasks.start_soon(self._collect, inbox)
            try:
                while self.call.state is not CallState.ENDED:
                    await self._take(await self._next())
            except Stopped:
                log.info("session stopped", extra={"call": self.call.id})
            tasks.cancel_scope.cancel()

    # ── taking events ──────────────────────────────────────────────────────────────────────────────────────────

    async def _next(self) -> Report:
        """The next report, or the timeout of the present state, whichever comes first."""
        until = deadline(self.call)
        assert until is not None
        with anyio.move_on_after(max(0.0, until - self._clock.now())):
            return await self.mailbox.get()
        return Report(ev.TimedOut(state=self.call.state, epoch=self.call.epoch))

    async def _take(self, report: Report) -> None:
        known, accepted = self._taken.get(report.source, (0, True))
        if report.number and report.number <= known:
            await self._confirm(report, accepted=accepted)
            return
        accepted = True
        now = self._clock.now()
        try:
            after, effects = step(self.call, report.event, now)
        except NoEdge as error:
            accepted = False
            log.debug("event changes nothing", extra={"call": self.call.id, "why": str(error)})
        else:
            entry = LogEntry(
                call=self.call.id,
                seq=self._seq + 1,
                at=now,
                owner=self._owner,
                event=report.event,
                source=report.source,
                number=report.number,
            )
            await self._append(entry)
            self._seq = entry.seq
            self.call = after
            for effect in effects:
                await self._post(effect)
        if report.number:
            self._taken[report.source] = (report.number, accepted)
            await self._confirm(report, accepted=accepted)

    async def _collect(self, inbox: Inbox) -> None:
        async for envelope in inbox:
            assert isinstance(envelope.body, TO_SESSION)
            try:
                self.mailbox.put(Report(envelope.body, envelope.source, envelope.number))
            except MailboxFull:
                # It comes again: nobody was told that it was taken.
                log.warning("session is behind", extra={"call": self.call.id})
            except Stopped:
                return

    # ── log and bus ────────────────────────────────────────────────────────────────────────────────────────────

    async def _rebuild(self) -> None:
        while True:
            try:
                stored = await self._bus.read_log(subjects.log(self.call.id))
                break
            except BusAway:
                await anyio.sleep(0.5)
        self.call, self._seq, self._revision, self._taken = Call(id=self.call.id), 0, 0, {}
        for message in stored:
            self._revision = message.revision
            try:
                entry = decode_entry(message.subject, message.data)
            except BadMessage as error:
                # No session wrote that; the call goes on without it.
                await send_to_dead_letters(self._bus, message.subject, message.data, error, revision=message.revision)
                continue
            self._seq = entry.seq
            try:
                self.call, _ = step(self.call, entry.event, entry.at)
            except NoEdge as error:
                log.warning("entry passed over", extra={"call": self.call.id, "why": str(error)})
            if entry.number:
                self._taken[entry.source] = (entry.number, True)

    async def _append(self, entry: LogEntry) -> None:
        """Append until it stands there; a bus that is away may have taken it, so look before giving up."""
        data = encode(entry)
        subject = subjects.log(self.call.id)
        while True:
            try:
                self._revision = await self._bus.append(subject, data, last=self._revision)
            except BusAway:
                log.warning("log waits for the bus", extra={"call": self.call.id})
                await anyio.sleep(0.5)
            except WrongSequence:
                stored = await self._bus.read_log(subject)
                if not stored or stored[-1].data != data:
                    raise OwnershipLost(f"call {self.call.id} is owned by somebody else") from None
                self._revision = stored[-1].revision
                return
            else:
                return

    async def _post(self, effect: CallEffect) -> None:
        if isinstance(effect, do.OpenMedia):
            subject = subjects.OPEN_CALL
        elif isinstance(effect, TO_MEDIA):
            subject = subjects.media(self.call.id)
        elif isinstance(effect, TO_AGENT):
            subject = subjects.agent(self.call.id)
        else:
            subject = subjects.signaling(self.call.id)
        envelope = Envelope(call=self.call.id, owner=self._owner, seq=self._seq, body=effect)
        await self._publish(subject, envelope)

    async def _confirm(self, report: Report, *, accepted: bool) -> None:
        taken = Taken(report.source, report.number, accepted)
        await self._publish(subjects.taken(self.call.id), Envelope(call=self.call.id, owner=self._owner, body=taken))

    async def _publish(self, subject: str, envelope: Envelope) -> None:
        try:
            await self._bus.publish(subject, encode(envelope))
        except BusAway:
            log.warning("order lost, the bus is away", extra={"call": self.call.id, "subject": subject})
