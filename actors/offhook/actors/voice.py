"""A voice node: takes new calls and runs the media and the agent of each, side by side on one audio link."""

import logging
from collections.abc import Callable
from functools import partial

import anyio

from offhook.actors.agent import AgentActor
from offhook.actors.capacity import OWNERS
from offhook.actors.inbox import Inbox, open_stream
from offhook.actors.lease import RENEW, VOICE_LOOKS, VOICES, Lease, Watch
from offhook.actors.link import AudioLink
from offhook.actors.media import MediaActor
from offhook.actors.ports import (
    AgentNotFound,
    Agents,
    Brain,
    Bus,
    BusAway,
    Clock,
    MediaEngine,
    Recognizer,
    Recorder,
    Synthesizer,
    Toolbox,
    VariantNotFound,
    VoiceDetector,
)
from offhook.actors.reporter import Reporter, open_reporter
from offhook.actors.supervisor import Supervisor
from offhook.actors.tape import may_record
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason
from offhook.protocol.messages import TO_AGENT, TO_MEDIA, TO_VOICE, Envelope, encode

log = logging.getLogger("offhook.voice")

#: With so many calls more than the least busy node, this one leaves new ones to the others.
UNFAIR = 3
#: Seconds between passes of one call.
PASS_ON = 0.05
#: Seconds to wait for the session to take the last report.
FAREWELL = 10.0
#: How often a node looks whether its calls still have an owner, seconds, and how often it must have found none.
OUTLIVE = 5.0
MISSED = 2


class _Hosted:
    """A call on this node."""

    def __init__(self, opening: int) -> None:
        self.opening = opening
        self.scope = anyio.CancelScope()
        #: True once the others took this node for dead.
        self.lost = False


class VoiceNode:
    """Runs the calls that fall to this node. ``node`` must be a name that no other process uses or used."""

    def __init__(
        self,
        node: str,
        *,
        bus: Bus,
        clock: Clock,
        engine: MediaEngine,
        agents: Agents,
        recognizer: Recognizer,
        synthesizer: Synthesizer,
        detector: Callable[[], VoiceDetector],
        recorder: Recorder | None = None,
    ) -> None:
        self.node = node
        self._bus = bus
        self._clock = clock
        self._engine = engine
        self._agents = agents
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._detector = detector
        self._recorder = recorder
        self._lease = Lease(bus, VOICES, node, load=lambda: len(self._calls))
        self._watch = Watch(bus, VOICES, looks=VOICE_LOOKS)
        self._crowded = False
        self._calls: dict[str, _Hosted] = {}
        self._left = anyio.Event()

    @property
    def calls(self) -> frozenset[str]:
        """Ids of the calls that run here."""
        return frozenset(self._calls)

    async def run(self, *, started: Callable[[], None] = lambda: None) -> None:
        """Keep the node's lease and take calls; until cancelled."""
        await self._lease.join()
        subject = subjects.OPEN_CALL
        async with (
            open_stream(self._bus, subject, group=subjects.VOICE_GROUP) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(partial(self._lease.keep, evicted=self._lose_all))
            tasks.start_soon(self._compare_loads)
            started()
            async for envelope in Inbox(self._bus, stream, subject=subject, kinds=TO_VOICE):
                assert isinstance(envelope.body, do.OpenMedia)
                opening, known = envelope.body.opening, self._calls.get(envelope.call)
                if known is not None and known.opening >= opening:
                    continue
                if known is not None:
                    # Its owner gave up what is here: this node seemed dead, or was too slow.
                    known.scope.cancel()
                elif self._crowded:
                    tasks.start_soon(self._pass_on, envelope)
                    continue
                hosted = self._calls[envelope.call] = _Hosted(opening)
                tasks.start_soon(self._host, envelope, hosted, name=f"call {envelope.call}")

    def _lose_all(self) -> None:
        """The others took this node for dead, so somebody else may have its calls by now."""
        for hosted in self._calls.values():
            hosted.lost = True
            hosted.scope.cancel()

    async def _pass_on(self, envelope: Envelope) -> None:
        """Offer a call to the voice nodes once more; it may come back, until one that is not crowded gets it."""
        await anyio.sleep(PASS_ON)
        try:
            await self._bus.publish(subjects.OPEN_CALL, encode(envelope))
        except BusAway:
            log.warning("call could not be passed on, the bus is away", extra={"call": envelope.call})

    async def wait_empty(self) -> None:
        """Wait until no call runs here."""
        while self._calls:
            self._left = anyio.Event()
            await self._left.wait()

    async def leave(self) -> None:
        """Give the lease back."""
        await self._lease.leave()

    async def _compare_loads(self) -> None:
        """See each second how this node's load compares.

        The node with the least calls is never crowded, so every call finds its node.
        """
        while True:
            await anyio.sleep(RENEW)
            try:
                loads = await self._watch.living()
            except BusAway:
                log.warning("voice node waits for the bus", extra={"node": self.node})
                continue
            others = [load for node, load in loads.items() if node != self.node]
            self._crowded = len(self._calls) >= min(others, default=len(self._calls)) + UNFAIR

    async def _host(self, envelope: Envelope, hosted: _Hosted) -> None:
        """Run one call until its media is closed, or until it is lost to others."""
        call, order = envelope.call, envelope.body
        assert isinstance(order, do.OpenMedia)
        try:
            async with open_reporter(self._bus, call, f"node {self.node} {order.opening}") as reporter:
                with hosted.scope:
                    await self._run(reporter, call, order, envelope.owner)
                if hosted.lost:
                    # Whoever buried this node may not be the owner of the call.
                    reporter.report(ev.lost_voice(self.node, can_return=bool(order.sdp)))
                    with anyio.move_on_after(FAREWELL):
                        await reporter.wait_confirmed()
        except BusAway:
            log.warning("call not taken, the bus is away", extra={"call": call})
        finally:
            if replaced := self._calls.get(call) is not hosted:
                log.info("call was opened anew", extra={"call": call})
            else:
                del self._calls[call]
                self._left.set()
        if not replaced:
            await self._recognizer.forget(call)

    async def _run(self, reporter: Reporter, call: str, order: do.OpenMedia, owner: int) -> None:
        media, agent = subjects.media(call), subjects.agent(call)
        async with (
            open_stream(self._bus, media) as to_media,
            open_stream(self._bus, agent) as to_agent,
            Supervisor() as supervisor,
        ):
            await self._agents.reach(order.agent, order.version)
            link = AudioLink()
            inbox = Inbox(self._bus, to_agent, subject=agent, kinds=TO_AGENT, call=call, owner=owner)
            self._start_agent(supervisor, reporter, link, call, order, inbox)
            inbox = Inbox(self._bus, to_media, subject=media, kinds=TO_MEDIA, call=call, owner=owner)
            await self._run_media(supervisor, reporter, link, call, order, inbox)

    async def _outlive(self, call: str, done: anyio.Event) -> None:
        """Close a call that is over, as nobody owns it any more: the order to close it has got lost."""
        missed = 0
        while missed < MISSED:
            await anyio.sleep(OUTLIVE)
            try:
                owned = await self._bus.get(f"{OWNERS}{call}") is not None
            except BusAway:
                continue
            missed = 0 if owned else missed + 1
        log.warning("call outlived its session", extra={"call": call})
        done.set()

    def _start_agent(
        self,
        supervisor: Supervisor,
        reporter: Reporter,
        link: AudioLink,
        call: str,
        order: do.OpenMedia,
        inbox: Inbox,
    ) -> None:
        try:
            profile = self._agents.profile(order.agent, order.version, variant=order.variant)
        except (AgentNotFound, VariantNotFound) as error:
            # The gateway knew this agent when it took the call, so it is not the caller who is mistaken.
            log.error("agent is missing on this node", extra={"call": call, "why": str(error)})
            message = "The agent of this call cannot be reached at the moment. Please call again in a minute."
            reporter.report(ev.AgentFailed(reason=Reason.AGENT_FAILED.value, message=message))
            reporter.report(ev.AgentStopped())
            return

        def think(tools: Toolbox) -> Brain:
            return self._agents.brain(
                order.agent, order.version, variables=order.variables, tools=tools, variant=order.variant
            )

        async def run_tool(name: str, arguments: str, use: str) -> str:
            return await self._agents.run_tool(order.agent, order.version, name, arguments, use=use)

        agent = AgentActor(
            call,
            order,
            bus=self._bus,
            clock=self._clock,
            link=link,
            profile=profile,
            think=None if order.mode == "echo" else think,
            run_tool=run_tool,
            node=self.node,
            recognizer=self._recognizer,
            synthesizer=self._synthesizer,
            detector=self._detector(),
        )

        def gave_up(_error: Exception) -> None:
            message = "The agent had to stop because of a fault on our side. Please call again."
            reporter.report(ev.AgentFailed(reason=Reason.AGENT_FAILED.value, message=message))
            reporter.report(ev.AgentStopped())

        supervisor.start(f"agent {call}", lambda: agent.run(inbox), gave_up=gave_up, restarts=0)

    def _recorder_for(self, call: str, order: do.OpenMedia) -> Recorder | None:
        """What records a call; None for one that is not to be recorded."""
        try:
            profile = self._agents.profile(order.agent, order.version, variant=order.variant)
        except (AgentNotFound, VariantNotFound):
            return None
        if may_record(profile, order):
            return self._recorder
        if profile.recorded:
            log.info("call is not recorded: an echo, or the caller has not agreed", extra={"call": call})
        return None

    async def _run_media(
        self,
        supervisor: Supervisor,
        reporter: Reporter,
        link: AudioLink,
        call: str,
        order: do.OpenMedia,
        inbox: Inbox,
    ) -> None:
        recorder = self._recorder_for(call, order)
        media = MediaActor(call, bus=self._bus, engine=self._engine, link=link, node=self.node, recorder=recorder)
        done = anyio.Event()
        supervisor.start(f"end of {call}", lambda: self._outlive(call, done), gave_up=lambda _error: done.set())

        async def run() -> None:
            await media.run(order, inbox)
            done.set()

        def gave_up(_error: Exception) -> None:
            message = "The audio of this call broke because of a fault on our side. Please call again."
            facts: tuple[CallEvent, ...] = (
                ev.MediaFailed(reason=Reason.MEDIA_FAILED.value, message=message),
                ev.MediaClosed(),
            )
            for fact in facts:
                reporter.report(fact)
            done.set()

        supervisor.start(f"media {call}", run, gave_up=gave_up, restarts=0)
        await done.wait()
        with anyio.move_on_after(FAREWELL):
            await reporter.wait_confirmed()
