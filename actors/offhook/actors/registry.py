"""The registry of a gateway node: which calls are owned here, and by whom when their owner is gone.

``owner.<call>`` says who owns a living call. Its revision *is* the owner's epoch: it changes only when the owner does,
by compare-and-set. Whether an owner lives is told by its node's lease (one for a node, not one for each call: a second
costs one write however many calls there are). The calls of a node without a lease are adopted one by one. A node that
was only frozen wakes up, finds itself evicted, drops its sessions and joins again; until then the expected sequence of
each call's log refuses what it writes.

The living calls are the ``owner.`` keys: their number is derived, never counted up and down.
"""

import logging
import math
from collections.abc import Callable, Container
from functools import partial

import anyio
import msgspec

from offhook.actors.capacity import OWNERS, Owner, living_calls, read_limit
from offhook.actors.lease import GATEWAYS, RENEW, VOICE_LOOKS, VOICES, Lease, Watch
from offhook.actors.mailbox import MailboxFull
from offhook.actors.ports import Bus, BusAway, Clock, Stored, WrongRevision
from offhook.actors.session import OwnershipLost, Report, SessionActor
from offhook.actors.supervisor import Supervisor
from offhook.protocol.call import CallEvent, CallState
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal

log = logging.getLogger("offhook.registry")

#: Seconds after which a session that was given up is tried again: a call must not be without an owner for good.
RESPITE = 30.0


class Registry:
    """The calls this node owns. ``node`` must be a name that no other process uses or used."""

    def __init__(self, node: str, *, bus: Bus, clock: Clock) -> None:
        self.node = node
        self._bus = bus
        self._clock = clock
        self._lease = Lease(bus, GATEWAYS, node)
        self._gateways = Watch(bus, GATEWAYS)
        self._voices = Watch(bus, VOICES, looks=VOICE_LOOKS)
        self._owned: dict[str, SessionActor] = {}
        self._released = anyio.Event()
        #: Calls that are not to be adopted here until a time of the loop's clock: those that are being placed, and for
        #: a while those whose session was given up.
        self._kept_off: dict[str, float] = {}
        self._closed = False
        self._supervisor: Supervisor

    async def run(self, *, started: Callable[[], None] = lambda: None) -> None:
        """Keep the node's lease, adopt orphans, run the sessions; until cancelled."""
        async with Supervisor() as self._supervisor:
            await self._lease.join()
            started()
            async with anyio.create_task_group() as tasks:
                # Apart from the looks: to adopt the calls of a dead node takes longer than a lease lasts.
                tasks.start_soon(partial(self._lease.keep, evicted=self._drop_all))
                await self._look_after_others()

    async def _look_after_others(self) -> None:
        while True:
            await anyio.sleep(RENEW)
            try:
                await self._adopt_orphans(await self._gateways.living())
                self._report_lost_voices(await self._voices.living())
            except BusAway:
                log.warning("registry waits for the bus", extra={"node": self.node})

    async def place(self, call: str, offered: ev.Offered) -> None:
        """Start the session of a new call here.

        Raises ``BusAway``, and ``Refusal`` once the registry was closed or when the workspace has no free line.
        """
        if self._closed:
            raise Refusal(Reason.UNAVAILABLE, "The service is going down. Please try again in a minute.")
        self._kept_off[call] = math.inf
        try:
            limit = await read_limit(self._bus, offered.workspace)
            revision = await self._bus.create(f"{OWNERS}{call}", self._value(offered.workspace))
            if limit is not None and await self._is_over(limit, offered.workspace, revision):
                await self._bus.delete(f"{OWNERS}{call}", revision=revision)
                raise Refusal(Reason.AT_CAPACITY, "All lines are busy. Please try again in a few minutes.")
            self._own(call, revision).mailbox.put(Report(offered))
        finally:
            self._kept_off.pop(call, None)

    async def _is_over(self, limit: int, workspace: str, revision: int) -> bool:
        """Whether a call that was placed with ``revision`` is one too many: those placed before it have the lines."""
        before = [stored for stored in await living_calls(self._bus, workspace) if stored.revision < revision]
        return len(before) >= limit

    def _value(self, workspace: str) -> bytes:
        return msgspec.msgpack.encode(Owner(self.node, workspace))

    def close(self) -> None:
        """Take no more calls, and end those that are owned here."""
        self._closed = True
        for call in tuple(self._owned):
            self._tell(call, ev.ShutDown())

    @property
    def calls(self) -> tuple[str, ...]:
        """Ids of the calls owned here."""
        return tuple(self._owned)

    async def wait_empty(self) -> None:
        """Wait until no call is owned here."""
        while self._owned:
            self._released = anyio.Event()
            await self._released.wait()

    async def leave(self) -> None:
        """Give the lease back, so that what is still owned here is adopted at once."""
        await self._lease.leave()

    # ── own sessions ───────────────────────────────────────────────────────────────────────────────────────────

    def _own(self, call: str, revision: int) -> SessionActor:
        actor = self._owned[call] = SessionActor(call, bus=self._bus, clock=self._clock, owner=revision)

        async def run() -> None:
            try:
                await actor.run()
            except OwnershipLost:
                log.warning("call went to another owner", extra={"call": call})
                self._disown(call, actor)
                return
            if actor.call.state is CallState.ENDED:
                await self._release(call, actor, revision)

        def gave_up(error: Exception) -> None:
            log.error("session given up", extra={"call": call, "why": repr(error)})
            self._disown(call, actor)
            self._kept_off[call] = anyio.current_time() + RESPITE

        self._supervisor.start(f"session {call}", run, gave_up=gave_up)
        return actor

    async def _release(self, call: str, actor: SessionActor, revision: int) -> None:
        while self._owned.get(call) is actor:
            try:
                await self._bus.delete(f"{OWNERS}{call}", revision=revision)
            except BusAway:
                await anyio.sleep(0.5)
                continue
            except WrongRevision:
                log.info("owner key was gone already", extra={"call": call})
            self._disown(call, actor)

    def _disown(self, call: str, actor: SessionActor) -> None:
        if self._owned.get(call) is actor:
            del self._owned[call]
            self._released.set()

    def _drop(self, call: str, actor: SessionActor) -> None:
        actor.mailbox.stop()
        self._disown(call, actor)

    def _drop_all(self) -> None:
        for call, actor in tuple(self._owned.items()):
            self._drop(call, actor)

    def _tell(self, call: str, event: CallEvent) -> None:
        try:
            self._owned[call].mailbox.put(Report(event))
        except MailboxFull:
            log.warning("session is behind", extra={"call": call})

    # ── others' sessions ───────────────────────────────────────────────────────────────────────────────────────

    async def _adopt_orphans(self, gateways: Container[str]) -> None:
        for stored in () if self._closed else await self._bus.keys(OWNERS):
            owner = msgspec.msgpack.decode(stored.data, type=Owner)
            call = stored.subject.removeprefix(OWNERS)
            actor = self._owned.get(call)
            if actor is not None and stored.revision > actor.owner:
                log.warning("call was taken from this node", extra={"call": call, "node": self.node})
                self._drop(call, actor)
            orphan = call not in self._owned if owner.node == self.node else owner.node not in gateways
            if orphan and self._kept_off.get(call, 0.0) <= anyio.current_time():
                self._kept_off.pop(call, None)
                await self._adopt(call, stored)

    async def _adopt(self, call: str, stored: Stored) -> None:
        workspace = msgspec.msgpack.decode(stored.data, type=Owner).workspace
        try:
            revision = await self._bus.update(stored.subject, self._value(workspace), revision=stored.revision)
        except WrongRevision:
            return
        log.warning("call adopted", extra={"call": call, "node": self.node})
        self._own(call, revision)

    def _report_lost_voices(self, voices: Container[str]) -> None:
        """A call whose voice node is dead has no media and no agent any more."""
        for call, actor in tuple(self._owned.items()):
            node = actor.call.node
            if node is not None and node not in voices and actor.call.state is not CallState.ENDING:
                self._tell(call, ev.lost_voice(node, can_return=not actor.call.we_offer))
