"""Reports: in order and taken once, whatever the bus does to them and to what confirms them."""

from collections.abc import Awaitable, Callable, Iterator

import anyio
import trio
import trio.testing
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.actors.reporter import open_reporter
from offhook.actors.session import Report, SessionActor
from offhook.protocol import subjects
from offhook.protocol.call import CallState
from offhook.protocol.call import events as ev
from offhook.protocol.messages import Envelope, Taken, decode_entry, encode
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.world import SimulatedClock

CALL = "6f1c2d3e-0000-4000-8000-00000000000a"


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


class TroubledClient(SimulatedClient):
    """Loses, doubles and delays what it publishes, as ``fates`` say; after them all is well."""

    def __init__(self, bus: SimulatedBus, name: str, fates: Iterator[str], tasks: TaskGroup) -> None:
        super().__init__(bus, name)
        self._fates = fates
        self._later = tasks

    async def publish(self, subject: str, data: bytes) -> None:
        match next(self._fates, "good"):
            case "lost":
                await anyio.sleep(0)
            case "double":
                await super().publish(subject, data)
                await super().publish(subject, data)
            case "late":
                self._later.start_soon(self._publish_late, subject, data)
            case _:
                await super().publish(subject, data)

    async def _publish_late(self, subject: str, data: bytes) -> None:
        await anyio.sleep(2.5)
        await super().publish(subject, data)


async def answered(bus: SimulatedBus) -> None:
    """Bring the call to ``answered``, as an owner before would have."""
    session = SessionActor(CALL, bus=bus.client("first"), clock=SimulatedClock(), owner=1)
    for event in (
        ev.Offered(agent="a", version="1", workspace="w", sdp="v=0", mode="traditional", max_duration=1800.0),
        ev.MediaPrepared(sdp="v=0", node="voice-1"),
        ev.MediaConnected(),
        ev.AgentAnswered(),
    ):
        session.mailbox.put(Report(event))
    with anyio.move_on_after(0.5):
        await session.run()
    assert session.call.state is CallState.ANSWERED


async def logged(bus: SimulatedBus) -> list[str]:
    stored = await bus.client("observer").read_log(subjects.log(CALL))
    events = [decode_entry(message.subject, message.data).event for message in stored]
    return [event.name for event in events if isinstance(event, ev.InfoSent)]


def info(number: int) -> ev.InfoSent:
    return ev.InfoSent(name=str(number), data="{}")


fates = st.lists(st.sampled_from(["good", "lost", "double", "late"]), max_size=25)


@settings(max_examples=60)
@given(fates, fates, st.integers(1, 8), st.none() | st.floats(0.01, 12))
def test_each_fact_is_taken_once_and_in_order(
    there: list[str], back: list[str], facts: int, dies_after: float | None
) -> None:
    """Lost, doubled and late reports, lost, doubled and late confirmations, and a session that is rebuilt."""

    async def scenario() -> None:
        bus = SimulatedBus()
        await answered(bus)
        async with anyio.create_task_group() as tasks:
            sender = TroubledClient(bus, "sender", iter(there), tasks)
            fates_back = iter(back)

            async def own(owner: int, seconds: float | None) -> None:
                client = TroubledClient(bus, f"gateway-{owner}", fates_back, tasks)
                session = SessionActor(CALL, bus=client, clock=SimulatedClock(), owner=owner)
                with anyio.move_on_after(seconds):
                    await session.run()

            async def own_in_turn() -> None:
                if dies_after is not None:
                    await own(2, dies_after)
                await own(3, None)

            tasks.start_soon(own_in_turn)
            with anyio.fail_after(300):
                async with open_reporter(sender, CALL, "probe") as reporter:
                    for number in range(facts):
                        reporter.report(info(number))
                    await reporter.wait_confirmed()
            await anyio.sleep(5)
            assert await logged(bus) == [str(number) for number in range(facts)]
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_a_fact_without_an_edge_is_confirmed_too() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        await answered(bus)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(SessionActor(CALL, bus=bus.client("g"), clock=SimulatedClock(), owner=2).run)
            async with open_reporter(bus.client("sender"), CALL, "probe") as reporter:
                with anyio.fail_after(10):
                    assert await reporter.ask(info(1))
                    assert not await reporter.ask(ev.CallResumed())
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_reports_wait_for_the_bus() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        await answered(bus)
        client = bus.client("sender")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(SessionActor(CALL, bus=bus.client("g"), clock=SimulatedClock(), owner=2).run)
            async with open_reporter(client, CALL, "probe") as reporter:
                client.away = True
                reporter.report(info(1))
                await anyio.sleep(60)
                client.away = False
                with anyio.fail_after(5):
                    await reporter.wait_confirmed()
            tasks.cancel_scope.cancel()
        assert await logged(bus) == ["1"]

    simulate(scenario)


def test_another_sources_confirmation_and_an_older_owners_count_for_nothing() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        stranger = bus.client("stranger")

        async def confirm(source: str, number: int, owner: int) -> None:
            taken = Envelope(call=CALL, owner=owner, body=Taken(source, number))
            await stranger.publish(subjects.taken(CALL, "probe"), encode(taken))
            await anyio.sleep(0.1)

        async with open_reporter(bus.client("sender"), CALL, "probe") as reporter:
            reporter.report(info(1))
            await confirm("somebody", 1, owner=5)
            await confirm("probe", 0, owner=5)
            await confirm("probe", 1, owner=4)
            with anyio.move_on_after(5) as waited:
                await reporter.wait_confirmed()
            assert waited.cancelled_caught
            await confirm("probe", 1, owner=5)
            with anyio.fail_after(5):
                await reporter.wait_confirmed()

    simulate(scenario)
