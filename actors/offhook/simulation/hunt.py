"""One world from one seed: nodes, callers, troubles, and the invariants over all of it.

``run_seed`` is the whole thing: the same seed gives the same run, in any process and on any machine.
"""

import contextlib
import gc
import logging
import random
import traceback
from pathlib import PurePath

import anyio
import msgspec

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
from offhook.simulation.troublemaker import TROUBLED, Troublemaker
from offhook.simulation.world import World, open_world

#: Virtual seconds until which callers stay at most.
STAY = 50.0
#: A run leaves few circles, and the collector looks at everything there is: it is asked now and then.
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


def settle() -> None:
    """For a process that does nothing but run seeds: the collector need not look at what stays, nor at each seed."""
    gc.collect()
    gc.freeze()
    gc.disable()


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
        node = next(node.name for node in self._world.nodes.values() if call.socket in node.sockets)

        def frame(text: str, from_caller: bool) -> None:
            said = _said(text)
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


__all__ = ["Outcome", "run_seed"]
