"""The session actor: owns the one state of a call.

It takes reports from its mailbox, applies ``step``, appends the event to the call's log, and then posts the effects to
the other actors. Only it decides. The log is the call: an actor that starts (again) folds it first, so it can die at
any point. Between the append and the posting an order can get lost with its actor, and on the bus; so the orders that
stand are repeated, soon after a change of state and then ever more seldom.

The append is the one thing it awaits besides its mailbox: until the event stands in the log, it has not happened, and
nothing may follow from it.
"""

import logging

import anyio
import msgspec

from offhook.actors.inbox import Inbox, open_stream, send_to_dead_letters
from offhook.actors.mailbox import Mailbox, MailboxFull, Stopped
from offhook.actors.ports import Bus, BusAway, Clock, Stored, WrongSequence
from offhook.protocol import subjects
from offhook.protocol.call import (
    Call,
    CallEffect,
    CallEvent,
    CallState,
    LogEntry,
    NoEdge,
    answer_due,
    deadline,
    standing,
    step,
)
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import OffhookError
from offhook.protocol.messages import TO_AGENT, TO_MEDIA, TO_SESSION, BadMessage, Envelope, Taken, decode_entry, encode

log = logging.getLogger("offhook.session")

#: Seconds until the orders of a state are repeated for the first time; then it takes twice as long each time, at most
#: ``SELDOM``, but not while no voice node has the call.
REPEAT = 1.0
SELDOM = 8.0
#: Actors whose reports name their voice node and the opening they come from (``media voice-1 1``).
ON_VOICE_NODES = frozenset({"media", "agent", "node"})


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
        #: The epoch: revision of the key that says whose the call is.
        self.owner = owner
        self._seq = 0
        self._revision = 0
        #: The last report taken from each source, and whether it changed something.
        self._taken: dict[str, tuple[int, bool]] = {}
        self._repeat_after = REPEAT
        self._repeat_at = 0.0
        #: True once this owner has written: from then on the log refuses every earlier one.
        self._fenced = False

    async def run(self) -> None:
        """Rebuild the call from its log, then take events until it has ended. Raises ``OwnershipLost``."""
        subject = subjects.session(self.call.id)
        async with open_stream(self._bus, subject) as stream:
            await self._rebuild()
            await self._repeat_orders()
            async with anyio.create_task_group() as tasks:
                inbox = Inbox(self._bus, stream, subject=subject, kinds=TO_SESSION, call=self.call.id)
                tasks.start_soon(self._collect, inbox)
                lost = await self._serve()
                tasks.cancel_scope.cancel()
        if lost is not None:
            raise lost

    async def _serve(self) -> OwnershipLost | None:
        """Take events until the call has ended, or for as long as it is ours."""
        try:
            while self.call.state is not CallState.ENDED:
                if (report := await self._next()) is None:
                    if not self._fenced:
                        # The owner before us may have written after we read.
                        await self._rebuild()
                    await self._repeat_orders()
                else:
                    await self._take(report)
        except Stopped:
            log.info("session stopped", extra={"call": self.call.id})
        except OwnershipLost as lost:
            return lost
        return None

    # ── taking events ──────────────────────────────────────────────────────────────────────────────────────────

    async def _next(self) -> Report | None:
        """The next report, or what time has brought; None when the orders are to be repeated first."""
        until, event = self._due()
        allowed = max(0.0, until - self._clock.now())
        again = max(0.0, self._repeat_at - anyio.current_time())
        with anyio.move_on_after(min(allowed, again)):
            return await self.mailbox.get()
        return None if again < allowed else Report(event)

    def _due(self) -> tuple[float, CallEvent]:
        """What has happened when nobody reports anything until then, seconds since the epoch."""
        call, until, answer = self.call, deadline(self.call), answer_due(self.call)
        assert until is not None
        if answer is not None and answer < until:
            assert call.node is not None
            return answer, ev.lost_voice(call.node, can_return=not call.we_offer)
        return until, ev.TimedOut(state=call.state, epoch=call.epoch)

    async def _take(self, report: Report) -> None:
        known, accepted = self._taken.get(report.source, (0, True))
        if report.number and report.number <= known:
            await self._confirm(report, accepted=accepted)
            return
        accepted = True
        before, now = self.call, self._clock.now()
        try:
            if self._is_from_elsewhere(report.source):
                raise NoEdge(before.state, report.event)
            after, effects = step(before, report.event, now)
        except NoEdge as error:
            if not self._fenced and await self._has_grown():
                await self._repeat_orders()
                await self._take(report)
                return
            accepted = False
            log.debug("event changes nothing", extra={"call": self.call.id, "why": str(error)})
        else:
            entry = LogEntry(
                call=self.call.id,
                seq=self._seq + 1,
                at=now,
                owner=self.owner,
                event=report.event,
                source=report.source,
                number=report.number,
            )
            if not await self._append(entry):
                # An owner before us was not done yet. What it wrote counts; the report is looked at again after it.
                await self._rebuild()
                await self._repeat_orders()
                await self._take(report)
                return
            self._seq = entry.seq
            self.call = after
            for effect in effects:
                await self._post(effect)
            if after.epoch != before.epoch:
                self._repeat_soon()
        if report.number:
            self._taken[report.source] = (report.number, accepted)
            await self._confirm(report, accepted=accepted)

    def _is_from_elsewhere(self, source: str) -> bool:
        """Whether another voice node reports than the one that holds the call: it was lost, or an offer taken twice."""
        actor, _, place = source.partition(" ")
        node, _, opening = place.rpartition(" ")
        known = opening == str(self.call.opening) and self.call.node in {None, node}
        return actor in ON_VOICE_NODES and not known

    # ── orders that stand ──────────────────────────────────────────────────────────────────────────────────────

    def _repeat_soon(self) -> None:
        self._repeat_at = anyio.current_time() + REPEAT
        self._repeat_after = 2 * REPEAT

    async def _repeat_orders(self) -> None:
        """Orders can get lost, on the bus and with an owner that dies; whoever has obeyed already ignores them."""
        for effect in standing(self.call):
            await self._post(effect)
        if self.call.node is None:
            # Nobody has the call, and a caller waits; the next voice node may be starting now.
            self._repeat_after = REPEAT
        self._repeat_at = anyio.current_time() + self._repeat_after
        self._repeat_after = min(2 * self._repeat_after, SELDOM)

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

    async def _read_log(self) -> list[Stored]:
        while True:
            try:
                return await self._bus.read_log(subjects.log(self.call.id))
            except BusAway:
                await anyio.sleep(0.5)

    async def _rebuild(self) -> None:
        stored = await self._read_log()
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
            if entry.owner > self.owner:
                raise OwnershipLost(f"call {self.call.id} has a later owner")
            try:
                self.call, _ = step(self.call, entry.event, entry.at)
            except NoEdge as error:
                log.warning("entry passed over", extra={"call": self.call.id, "why": str(error)})
            if entry.number:
                self._taken[entry.source] = (entry.number, True)

    async def _has_grown(self) -> bool:
        """Read the log again; whether the owner before us has written since. What we refuse may follow on that."""
        before = self._revision
        await self._rebuild()
        return self._revision != before

    async def _append(self, entry: LogEntry) -> bool:
        """Append until it stands there; a bus that is away may have taken it, so look before giving up.

        False when something else stands there. Whether we are still the owner is seen when the log is read again.
        """
        data = encode(entry)
        subject = subjects.log(self.call.id)
        while True:
            try:
                self._revision = await self._bus.append(subject, data, last=self._revision)
                self._fenced = True
            except BusAway:
                log.warning("log waits for the bus", extra={"call": self.call.id})
                await anyio.sleep(0.5)
            except WrongSequence:
                stored = await self._read_log()
                if not stored or stored[-1].data != data:
                    return False
                self._revision = stored[-1].revision
                return True
            else:
                return True

    async def _post(self, effect: CallEffect) -> None:
        if isinstance(effect, do.OpenMedia):
            subject = subjects.OPEN_CALL
        elif isinstance(effect, TO_MEDIA):
            subject = subjects.media(self.call.id)
        elif isinstance(effect, TO_AGENT):
            subject = subjects.agent(self.call.id)
        else:
            subject = subjects.signaling(self.call.id)
        envelope = Envelope(call=self.call.id, owner=self.owner, seq=self._seq, body=effect)
        await self._publish(subject, envelope)

    async def _confirm(self, report: Report, *, accepted: bool) -> None:
        taken = Taken(report.source, report.number, accepted)
        subject = subjects.taken(self.call.id, report.source)
        await self._publish(subject, Envelope(call=self.call.id, owner=self.owner, body=taken))

    async def _publish(self, subject: str, envelope: Envelope) -> None:
        try:
            await self._bus.publish(subject, encode(envelope))
        except BusAway:
            log.warning("order lost, the bus is away", extra={"call": self.call.id, "subject": subject})
