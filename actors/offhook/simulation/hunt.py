"""One world from one seed: nodes, callers, troubles, and the invariants over all of it.

``run_seed`` is the whole thing: the same seed gives the same run, in any process and on any machine.
"""

import contextlib
import gc
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from pathlib import PurePath

import anyio
import msgspec

from offhook.actors.capacity import OWNERS, Owner
from offhook.actors.lease import GATEWAYS, VOICES
from offhook.actors.ports import BusAway
from offhook.protocol import subjects
from offhook.protocol.call import CallState
from offhook.protocol.call import events as ev
from offhook.protocol.messages import Envelope, encode
from offhook.simulation.callers import RandomCaller
from offhook.simulation.faults import FaultyBus
from offhook.simulation.invariants import REST, Violation, Watcher
from offhook.simulation.rehearsal import Rehearsal
from offhook.simulation.scheduler import collector_off, run
from offhook.simulation.timeline import CALLER, Timeline
from offhook.simulation.world import Node, World, open_world

#: Virtual seconds during which troubles happen, and until which callers stay at most.
TROUBLED = 30.0
STAY = 50.0
#: A run leaves circles of some megabytes; the collector looks at everything there is, so it is asked now and then.
COLLECT = 64
#: Virtual seconds until a durable reader gets again what it did not ack.
ACK_WAIT = 5.0


class Outcome(msgspec.Struct, frozen=True):
    """What came of a seed."""

    seed: int
    #: None: every invariant held.
    violation: Violation | None
    timeline: Timeline
    #: Virtual seconds that passed, and the seconds that callers spent in answered calls, together.
    seconds: float
    talked: float


def run_seed(
    seed: int, *, calls: int = 10, gateways: int = 2, voices: int = 2, records: int = 2, faults: bool = True
) -> Outcome:
    """Run the world of ``seed``."""
    logger = logging.getLogger("offhook")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # A collection would look at all that lives; once the world is gone, that is little.
        with collector_off():
            outcome = _run_hunt(_Hunt(seed, calls=calls, faults=faults), gateways, voices, records)
    finally:
        logger.setLevel(level)
    if seed % COLLECT == 0:
        gc.collect()
    return outcome


def _run_hunt(hunt: "_Hunt", gateways: int, voices: int, records: int) -> Outcome:
    async def scenario() -> None:
        await hunt.run(gateways, voices, records)

    run(scenario, seed=hunt.seed)
    return hunt.outcome()


def _explain(error: BaseException) -> str:
    """The innermost of nested groups, and where it came from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PurePath(frame.filename).parent.name == "actors"] or frames
    return f"{error!r} in {ours[-1].name}, {PurePath(ours[-1].filename).name}:{ours[-1].lineno}"


class _Data(msgspec.Struct, frozen=True):
    event: str = ""


class _Frame(msgspec.Struct):
    type: str
    data: _Data = _Data()


_frame = msgspec.json.Decoder(_Frame)


def _said(text: str) -> str:
    """A frame in one or two words."""
    frame = _frame.decode(text)
    return f"{frame.type} {frame.data.event}" if frame.type == "event" else frame.type


class _Hunt:
    def __init__(self, seed: int, *, calls: int, faults: bool) -> None:
        self.seed = seed
        self._calls = calls
        self._faults = faults
        self._timeline = Timeline()
        self._agents = Rehearsal(self._chance("agents"))
        self._watcher = Watcher(self._timeline, self._agents)
        self._bus: FaultyBus
        self._world: World
        self._callers: list[RandomCaller] = []
        self._seconds = 0.0

    def _chance(self, what: object) -> random.Random:
        """Everything that draws has its own source, so that a change in one does not change the others."""
        return random.Random(f"{self.seed}/{what}")  # noqa: S311 - it has to be the same each time

    def outcome(self) -> Outcome:
        """What came of it."""
        talked = 0.0
        for watched in self._watcher.calls.values():
            talked += watched.call.duration
        return Outcome(self.seed, self._watcher.violation, self._timeline, self._seconds, talked)

    async def run(self, gateways: int, voices: int, records: int) -> None:
        """The whole run."""
        self._bus = FaultyBus(self._watcher, self._chance("bus"), ack_wait=ACK_WAIT)
        try:
            async with open_world(
                self._agents, gateways=gateways, voices=voices, records=records, bus=self._bus
            ) as self._world:
                self._watcher.world = self._world
                with anyio.CancelScope() as scope:
                    self._watcher.on_violation = scope.cancel
                    self._bus.kill = self._kill
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._watcher.look)
                        tasks.start_soon(self._bus.deliver_late)
                        await self._play()
                        tasks.cancel_scope.cancel()
                self._watcher.closed = True
        except Exception as error:
            # A crash of a node is a finding, with its timeline.
            if self._watcher.violation is None:
                self._watcher.fail("no_crash", "", _explain(error))

    async def _play(self) -> None:
        with anyio.move_on_after(STAY + REST) as patience:
            await self._live()
        if patience.cancelled_caught:
            stuck = next((caller.id for caller in self._callers if not caller.done), "")
            self._watcher.fail("never_hangs", stuck, "a caller waits for ever")
        with anyio.move_on_after(REST):
            while not self._watcher.all_ended():  # noqa: ASYNC110 - in virtual time
                await anyio.sleep(1)
        self._watcher.check_ended()
        await anyio.sleep(2 * ACK_WAIT + 12)
        self._watcher.check_rest()
        for caller in self._callers:
            self._watcher.check_transcript(caller)
        self._seconds = anyio.current_time()

    async def _live(self) -> None:
        """Callers call, and troubles come and go."""
        async with anyio.create_task_group() as tasks:
            for number in range(1, self._calls + 1):
                caller = RandomCaller(self._world, number, self._chance(f"caller {number}"))
                self._callers.append(caller)
                tasks.start_soon(self._serve, caller)
            if self._faults:
                tasks.start_soon(Troublemaker(self._world, self._bus, self._note, self._chance("faults")).run)
                tasks.start_soon(self._operate)

    async def _serve(self, caller: RandomCaller) -> None:
        caller.on_connect = lambda: self._listen(caller)
        await caller.run(STAY)

    def _listen(self, caller: RandomCaller) -> None:
        call = caller.call

        def frame(text: str, from_caller: bool) -> None:
            said = _said(text)
            node = next(node.name for node in self._world.nodes.values() if call.socket in node.sockets)
            ends = (CALLER, (node,)) if from_caller else (node, (CALLER,))
            self._timeline.note(anyio.current_time(), "frame", *ends, f"frame: {said}", caller)

        call.socket.on_frame = frame
        if caller.talks:
            call.handset.on_voice = lambda: self._watcher.heard(caller.id or call.id)

    async def _operate(self) -> None:
        """Somebody of the team puts callers on hold and takes them back."""
        chance = self._chance("operator")
        bus = self._world.bus.client("api")
        while anyio.current_time() < TROUBLED:
            await anyio.sleep(chance.uniform(1.0, 6.0))
            states = {call: watched.call.state for call, watched in self._watcher.calls.items()}
            answered = [call for call, state in states.items() if state is CallState.ANSWERED]
            if not answered:
                continue
            call = chance.choice(answered)
            for event in (ev.CallHeld(), ev.CallResumed()):
                with contextlib.suppress(BusAway):
                    await bus.publish(subjects.session(call), encode(Envelope(call=call, body=event)))
                await anyio.sleep(chance.uniform(0.5, 5.0))

    def _kill(self, name: str) -> None:
        self._note(f"kill -9 {name}", name)
        self._world.kill(name)

    def _note(self, text: str, *targets: str) -> None:
        self._timeline.note(anyio.current_time(), "fault", "", targets, text)


class Troublemaker:
    """Does to the world what happens to worlds, until ``TROUBLED``; then all is mended."""

    def __init__(self, world: World, bus: FaultyBus, note: Callable[..., None], chance: random.Random) -> None:
        self._world = world
        self._bus = bus
        self._note = note
        self._chance = chance
        self._started = 0

    async def run(self) -> None:
        """Draw some troubles, and go through with them."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self._lossy_messages, self._shaky_operations, self._stale_keys, self._bus_away, self._disk_full,
            self._kill, self._kill_at_operation, self._freeze, self._partition, self._steal_lease, self._steal_owner,
        ]  # fmt: skip
        async with anyio.create_task_group() as tasks:
            for _ in range(self._chance.randint(1, 5)):
                kind = self._chance.choice(kinds)
                tasks.start_soon(self._later, kind, self._chance.uniform(0.0, TROUBLED - 12.0))

    async def _later(self, kind: Callable[[], Awaitable[None]], at: float) -> None:
        await anyio.sleep(at)
        await kind()

    def _pick(self, *kinds: str) -> Node | None:
        nodes = [node for node in self._world.nodes.values() if node.kind in kinds and node.well]
        return self._chance.choice(nodes) if nodes else None

    # ── the bus ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _lossy_messages(self) -> None:
        troubles = self._bus.troubles
        troubles.lose, troubles.double, troubles.delay = (self._chance.choice((0.0, 0.05, 0.3)) for _ in range(3))
        troubles.longest = self._chance.choice((0.05, 1.0, 3.0))
        self._note(f"messages: lost {troubles.lose}, doubled {troubles.double}, late {troubles.delay}")
        await anyio.sleep(self._chance.uniform(2.0, 12.0))
        troubles.lose = troubles.double = troubles.delay = 0.0
        self._note("messages: well again")

    async def _shaky_operations(self) -> None:
        troubles = self._bus.troubles
        troubles.fail, troubles.forget, troubles.drag = (self._chance.choice((0.0, 0.1, 0.4)) for _ in range(3))
        troubles.forget_ack = self._chance.choice((0.0, 0.3))
        troubles.longest = self._chance.choice((0.05, 0.5, 2.0))
        self._note(f"operations: fail {troubles.fail}, answer lost {troubles.forget}, slow {troubles.drag}")
        await anyio.sleep(self._chance.uniform(1.0, 8.0))
        troubles.fail = troubles.forget = troubles.drag = troubles.forget_ack = 0.0
        self._note("operations: well again")

    async def _stale_keys(self) -> None:
        self._bus.troubles.stale = self._chance.uniform(0.2, 2.5)
        self._note(f"keys are read as they were {self._bus.troubles.stale:.1f} s ago")
        await anyio.sleep(self._chance.uniform(1.0, 8.0))
        self._bus.troubles.stale = 0.0
        self._note("keys are read as they are")

    async def _bus_away(self) -> None:
        self._note("the bus is away")
        self._bus.troubles.away = True
        self._bus.change()
        await anyio.sleep(self._chance.uniform(0.5, 8.0))
        self._bus.troubles.away = False
        self._bus.change()
        self._note("the bus is back")

    async def _disk_full(self) -> None:
        self._note("the disk is full")
        self._bus.troubles.full = True
        await anyio.sleep(self._chance.uniform(0.5, 8.0))
        self._bus.troubles.full = False
        self._note("the disk has room")

    async def _steal_lease(self) -> None:
        node = self._pick("gateway", "voice")
        if node is not None:
            key = (GATEWAYS if node.kind == "gateway" else VOICES) + node.name
            if key in self._bus.kept:
                self._note("lease deleted by hand", node.name)
                self._bus.remove(key)

    async def _steal_owner(self) -> None:
        keys = sorted(key for key in self._bus.kept if key.startswith(OWNERS))
        thief = self._chance.choice([*(n.name for n in self._world.nodes.values() if n.kind == "gateway"), "ghost"])
        if keys:
            key = self._chance.choice(keys)
            self._note(f"owner key of {key[-4:]} given by hand to {thief}")
            self._bus.write(key, msgspec.msgpack.encode(Owner(thief)))

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"kill -9 {node.name}", node.name)
            self._world.kill(node.name)
            await self._replace(node)

    async def _kill_at_operation(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._bus.troubles.doomed[node.name] = self._chance.randint(1, 60)
            with anyio.move_on_after(10):
                while not node.killed:  # noqa: ASYNC110 - in virtual time
                    await anyio.sleep(0.5)
            self._bus.troubles.doomed.pop(node.name, None)
            if node.killed:
                await self._replace(node)

    async def _replace(self, node: Node) -> None:
        """There is always one of a kind left or on its way, as an operator would see to it."""
        alone = not any(other.kind == node.kind and not other.killed for other in self._world.nodes.values())
        await anyio.sleep(0.5 if alone else self._chance.uniform(0.5, 8.0))
        self._started += 1
        name = f"{node.kind}-{2 + self._started}"
        self._note(f"{name} starts", name)
        # It may be killed while it starts.
        with anyio.move_on_after(10):
            if node.kind == "gateway":
                await self._world.start_gateway(name)
            elif node.kind == "voice":
                await self._world.start_voice(name)
            else:
                self._world.start_records(name)

    async def _freeze(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"{node.name} freezes", node.name)
            self._world.freeze(node.name)
            await anyio.sleep(self._chance.choice((0.5, 2.0, 4.0, 10.0)))
            if not node.killed:
                self._note(f"{node.name} goes on", node.name)
            self._world.thaw(node.name)

    async def _partition(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"{node.name} is cut off from the bus", node.name)
            node.bus.away = True
            await anyio.sleep(self._chance.choice((0.5, 2.0, 4.0, 10.0)))
            if not node.killed:
                node.bus.away = False
                self._note(f"{node.name} reaches the bus again", node.name)


__all__ = ["Outcome", "run_seed"]
