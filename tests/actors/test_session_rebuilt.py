"""What a session that was rebuilt from its log still knows."""

import anyio
import pytest
from call_samples import OFFERED

from offhook.actors.session import SessionActor
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.messages import Envelope, Taken, decode_entry, decode_envelope, encode
from offhook.simulation.bus import SimulatedBus
from offhook.simulation.world import SimulatedClock, run

CALL = "00000000-0000-4000-8000-000000000001"
#: Who reported what, as it stands in the log of a call in conversation.
REPORTS: tuple[tuple[ev.CallEvent, str, int], ...] = (
    (OFFERED, "", 0),
    (ev.MediaPrepared(sdp="v=0 answer", node="voice-1"), "media voice-1 1", 1),
    (ev.MediaConnected(), "media voice-1 1", 2),
    (ev.AgentAnswered(), "agent voice-1 1", 1),
    (ev.InfoSent(name="mood", data='"happy"'), "agent voice-1 1", 2),
)


def test_a_report_that_the_owner_before_took_is_confirmed_and_not_taken_again() -> None:
    async def scenario() -> None:
        bus, clock = SimulatedBus().client("test"), SimulatedClock()
        revision = 0
        for seq, (event, source, number) in enumerate(REPORTS, 1):
            entry = LogEntry(call=CALL, seq=seq, at=clock.now(), owner=1, event=event, source=source, number=number)
            revision = await bus.append(subjects.log(CALL), encode(entry), last=revision)
        async with bus.subscribe(subjects.taken(CALL, REPORTS[-1][1])) as confirmed, anyio.create_task_group() as tasks:
            tasks.start_soon(SessionActor(CALL, bus=bus, clock=clock, owner=2).run)
            await anyio.sleep(0.5)
            event, source, number = REPORTS[-1]
            report = Envelope(call=CALL, source=source, number=number, body=event)
            await bus.publish(subjects.session(CALL), encode(report))
            with anyio.fail_after(5):
                answer = decode_envelope(await anext(confirmed))
            assert answer.body == Taken(source, number, accepted=True)
            log = [decode_entry(message.subject, message.data) for message in await bus.read_log(subjects.log(CALL))]
            assert [entry.event for entry in log] == [event for event, _, _ in REPORTS]
            tasks.cancel_scope.cancel()

    run(scenario)


def test_what_follows_on_a_late_word_of_the_owner_before_is_not_refused() -> None:
    """The owner before writes a line after the new one has read the log; the next line comes to the new one."""
    agent = REPORTS[-1][1]
    first, second = (
        ev.Said(role="agent", text=text, line=line, began=1.0, ended=2.0)
        for line, text in enumerate(["One.", "Two."], 1)
    )

    async def scenario() -> None:
        bus, clock = SimulatedBus().client("test"), SimulatedClock()
        revision = 0

        async def write(event: ev.CallEvent, source: str, number: int, seq: int) -> None:
            nonlocal revision
            entry = LogEntry(call=CALL, seq=seq, at=clock.now(), owner=1, event=event, source=source, number=number)
            revision = await bus.append(subjects.log(CALL), encode(entry), last=revision)

        for seq, report in enumerate(REPORTS, 1):
            await write(*report, seq)
        async with bus.subscribe(subjects.taken(CALL, agent)) as confirmed, anyio.create_task_group() as tasks:
            tasks.start_soon(SessionActor(CALL, bus=bus, clock=clock, owner=2).run)
            await anyio.sleep(0.5)
            await write(first, agent, 3, len(REPORTS) + 1)
            await bus.publish(subjects.session(CALL), encode(Envelope(call=CALL, source=agent, number=4, body=second)))
            with anyio.fail_after(5):
                answer = decode_envelope(await anext(confirmed))
            assert answer.body == Taken(agent, 4, accepted=True)
            log = [decode_entry(message.subject, message.data) for message in await bus.read_log(subjects.log(CALL))]
            assert [entry.event for entry in log[-2:]] == [first, second]
            tasks.cancel_scope.cancel()

    run(scenario)


@pytest.mark.parametrize(
    ("event", "source", "number", "accepted"),
    [
        (ev.AgentCompleted(), "agent voice-1 1", 3, False),
        (ev.MediaPrepared(sdp="v=0 late", node="voice-1"), "media voice-1 1", 3, False),
        (ev.AgentFailed(reason="agent_failed", message=""), "node voice-1 1", 1, False),
        (ev.AgentFailed(reason="agent_failed", message=""), "node voice-1 2", 1, True),
        (ev.MediaPrepared(sdp="v=0 again", node="voice-1"), "media voice-1 2", 1, True),
        (ev.MediaPrepared(sdp="v=0 other", node="voice-2"), "media voice-2 2", 1, True),
    ],
)
def test_what_a_lost_voice_node_still_reports_is_refused(
    event: ev.CallEvent, source: str, number: int, accepted: bool
) -> None:
    """It may have been frozen only; and it may get the call anew."""

    async def scenario() -> None:
        bus, clock = SimulatedBus().client("test"), SimulatedClock()
        revision = 0
        for seq, known in enumerate((*REPORTS, (ev.VoiceLost(node="voice-1"), "", 0)), 1):
            entry = LogEntry(
                call=CALL, seq=seq, at=clock.now(), owner=1, event=known[0], source=known[1], number=known[2]
            )
            revision = await bus.append(subjects.log(CALL), encode(entry), last=revision)
        async with bus.subscribe(subjects.taken(CALL, source)) as confirmed, anyio.create_task_group() as tasks:
            tasks.start_soon(SessionActor(CALL, bus=bus, clock=clock, owner=2).run)
            await anyio.sleep(0.5)
            report = Envelope(call=CALL, source=source, number=number, body=event)
            await bus.publish(subjects.session(CALL), encode(report))
            with anyio.fail_after(5):
                answer = decode_envelope(await anext(confirmed))
            assert answer.body == Taken(source, number, accepted=accepted)
            tasks.cancel_scope.cancel()

    run(scenario)
