"""A simulated world: gateway, voice and records nodes on one bus, and callers who dial in, all in virtual time.

The code under test is the real actors; bus, media, speech and clock are simulated. Run it with ``run``, and
minutes of calls take milliseconds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.capacity import write_limit
from offhook.actors.doorkeeper import Doorkeeper
from offhook.actors.joining import JoiningActor
from offhook.actors.ports import Agents
from offhook.actors.registry import Registry
from offhook.actors.signaling import SignalingActor
from offhook.actors.transcript import run_records
from offhook.actors.voice import VoiceNode
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.join import JOIN_PATH, Invitation, invitation_key
from offhook.protocol.record import CallRecord, fold_record
from offhook.simulation import scheduler
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.calls import JoinedCall, SimulatedCall, SimulatedSocket
from offhook.simulation.handset import Handset, offer_of
from offhook.simulation.identities import SimulatedClock, SimulatedIdentity, SimulatedVerifier
from offhook.simulation.media import SimulatedEngine
from offhook.simulation.recordings import SimulatedRecorder
from offhook.simulation.records import SimulatedRecords
from offhook.simulation.scheduler import run, start_in
from offhook.simulation.speech import SimulatedDetector, SimulatedRecognizer, SimulatedSynthesizer

__all__ = [
    "JoinedCall",
    "Node",
    "SimulatedCall",
    "SimulatedClock",
    "SimulatedIdentity",
    "SimulatedSocket",
    "World",
    "open_world",
    "run",
]


class Node:
    """A process of the world: a gateway, a voice node or a records node."""

    def __init__(self, name: str, kind: str, bus: SimulatedClient) -> None:
        self.name = name
        self.kind = kind
        self.bus = bus
        self.killed = False
        self.frozen = False
        self.registry: Registry | None = None
        self.doorkeeper: Doorkeeper | None = None
        self.voice: VoiceNode | None = None
        #: Open sockets of callers.
        self.sockets: list[SimulatedSocket] = []

    @property
    def well(self) -> bool:
        """Runs, and reaches the bus as far as it depends on the node."""
        return not (self.killed or self.frozen or self.bus.cut_off)


class World:
    """Everything that runs in one simulation."""

    def __init__(self, agents: Agents, tasks: TaskGroup, *, bus: SimulatedBus | None = None) -> None:
        self._agents = agents
        self._tasks = tasks
        self._handsets = 0
        self.bus = bus or SimulatedBus()
        self.clock = SimulatedClock()
        self.identity = SimulatedIdentity()
        self.engine = SimulatedEngine()
        self.recognizer = SimulatedRecognizer()
        self.synthesizer = SimulatedSynthesizer()
        self.recorder = SimulatedRecorder()
        self.records = SimulatedRecords()
        #: Every process that was ever started, in that order.
        self.nodes: dict[str, Node] = {}

    async def start_gateway(self, name: str) -> Registry:
        """Start a gateway node."""
        node = self._add(name, "gateway")
        node.registry = Registry(name, bus=node.bus, clock=self.clock)
        node.doorkeeper = Doorkeeper(
            bus=node.bus,
            registry=node.registry,
            agents=self._agents,
            verifier=SimulatedVerifier(),
            identity=self.identity,
            clock=self.clock,
        )
        await self._start(node, node.registry.run)
        return node.registry

    async def start_voice(self, name: str) -> VoiceNode:
        """Start a voice node."""
        node = self._add(name, "voice")
        node.voice = VoiceNode(
            name,
            bus=node.bus,
            clock=self.clock,
            engine=self.engine,
            agents=self._agents,
            recognizer=self.recognizer,
            synthesizer=self.synthesizer,
            detector=SimulatedDetector,
            recorder=self.recorder,
        )
        await self._start(node, node.voice.run)
        return node.voice

    def start_records(self, name: str) -> None:
        """Start a records node."""
        node = self._add(name, "records")
        start_in(name, self._tasks, lambda: run_records(node.bus, self.records))

    # ── what can happen to a node ──────────────────────────────────────────────────────────────────────────────

    def kill(self, name: str) -> None:
        """SIGKILL: nothing of the node runs any more, its connections are gone."""
        node = self.nodes[name]
        if node.killed:
            return
        node.killed = True
        scheduler.holds().hold(name)
        self.bus.drop(node.bus)
        node.bus.away = True
        for socket in node.sockets:
            socket.drop()

    def freeze(self, name: str) -> None:
        """SIGSTOP: nothing of the node runs until ``thaw``; its connections stay, its timers expire meanwhile."""
        self.nodes[name].frozen = True
        scheduler.holds().hold(name)

    def thaw(self, name: str) -> None:
        """SIGCONT: the node goes on where it was, with what it believed then."""
        node = self.nodes[name]
        node.frozen = False
        if not node.killed:
            scheduler.holds().release(name)

    def bury(self) -> None:
        """Let killed nodes take leave of the loop, so that the world can end."""
        for name, node in self.nodes.items():
            if node.killed or node.frozen:
                scheduler.holds().release(name)

    def _add(self, name: str, kind: str) -> Node:
        node = self.nodes[name] = Node(name, kind, self.bus.client(name))
        return node

    # ── callers ────────────────────────────────────────────────────────────────────────────────────────────────

    async def dial(self, agent: str, **offer: Any) -> SimulatedCall:
        """Call ``agent`` and wait for the answer; further fields of the offer frame (``mode`` ...) by name."""
        call = await self.connect()
        call.socket.send_frame(self.offer(call, agent, **offer))
        await call.wait_answer()
        return call

    async def join(self, agent: str, *, gateway: str | None = None, **facts: Any) -> JoinedCall:
        """Invite a caller to a session with ``agent`` (S1) and have it join; facts of the ``Invitation`` by name."""
        session = self.identity.new_id()
        invitation = Invitation(workspace="simulated", agent=agent, **facts)
        await self.bus.client("api").create(invitation_key(session), msgspec.msgpack.encode(invitation))
        call = await self.knock(session, gateway=gateway)
        call.socket.send_frame({"type": "auth", "token": f"{agent}@{session}"})
        return call

    async def knock(self, session: str, *, gateway: str | None = None) -> JoinedCall:
        """Open a socket to a session, and say nothing."""
        handset, node = self._pick_up(gateway)
        call = JoinedCall(self, SimulatedSocket(), handset)
        call.id, call.socket.path = session, f"{JOIN_PATH}{session}"
        self._serve(node, call, JoiningActor)
        return call

    def number_of(self, handset: Handset) -> int:
        """The number that a handset has in descriptions."""
        ufrag = next(ufrag for ufrag, known in self.engine.handsets.items() if known is handset)
        return int(ufrag.removeprefix("sim"))

    async def connect(self, *, gateway: str | None = None) -> SimulatedCall:
        """Open a socket to a gateway (they take turns), without an offer."""
        handset, node = self._pick_up(gateway)
        call = SimulatedCall(self, SimulatedSocket(), handset)
        self._serve(node, call, SignalingActor)
        return call

    def new_handset(self) -> Handset:
        """A handset that an offer can name."""
        self._handsets += 1
        handset = Handset()
        self.engine.register(offer_of(self._handsets), handset)
        return handset

    def _pick_up(self, gateway: str | None) -> tuple[Handset, Node]:
        handset = self.new_handset()
        gateways = [node for node in self.nodes.values() if node.kind == "gateway" and not node.killed]
        return handset, self.nodes[gateway] if gateway else gateways[self._handsets % len(gateways)]

    def _serve(self, node: Node, call: SimulatedCall, kind: type[SignalingActor] | type[JoiningActor]) -> None:
        assert node.doorkeeper is not None
        node.sockets.append(call.socket)
        actor = kind(call.socket, bus=node.bus, doorkeeper=node.doorkeeper)
        start_in(node.name, self._tasks, actor.run)
        self._tasks.start_soon(call._listen)

    def offer(self, call: SimulatedCall, agent: str, **fields: Any) -> dict[str, Any]:
        """The offer frame of a caller."""
        sdp = offer_of(self.number_of(call.handset))
        return {
            "type": "offer",
            "sessionId": "",
            "authToken": agent,
            "events": True,
            "data": {"type": "offer", "sdp": sdp},
            **fields,
        }

    async def limit(self, workspace: str, calls: int | None) -> None:
        """Allow a workspace so many calls at a time (R4); every simulated caller is of ``simulated``."""
        await write_limit(self.bus.client("api"), workspace, calls)

    async def log(self, call: str) -> Sequence[LogEntry]:
        """The log of a call."""
        stored = await self.bus.client("observer").read_log(subjects.log(call))
        return [msgspec.msgpack.decode(message.data, type=LogEntry) for message in stored]

    async def record(self, call: str) -> CallRecord | None:
        """The record of a call as its log tells it; None before there is a log."""
        entries = await self.log(call)
        return fold_record(call, entries) if entries else None

    async def _start(self, node: Node, run: Callable[..., Awaitable[None]]) -> None:
        started = anyio.Event()

        async def go() -> None:
            await run(started=started.set)

        start_in(node.name, self._tasks, go)
        await started.wait()


@asynccontextmanager
async def open_world(
    agents: Agents, *, gateways: int = 1, voices: int = 1, records: int = 0, bus: SimulatedBus | None = None
) -> AsyncIterator[World]:
    """A world with so many nodes; leaving it ends everything in it."""
    async with anyio.create_task_group() as tasks:
        world = World(agents, tasks, bus=bus)
        for number in range(gateways):
            await world.start_gateway(f"gateway-{number + 1}")
        for number in range(voices):
            await world.start_voice(f"voice-{number + 1}")
        for number in range(records):
            world.start_records(f"records-{number + 1}")
        try:
            yield world
        finally:
            world.bury()
        tasks.cancel_scope.cancel()
