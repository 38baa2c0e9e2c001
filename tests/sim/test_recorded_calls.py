"""What the log and the record of a call know of its recording (covers R5)."""

import anyio
import msgspec
import pytest
from parrot import Birds

from offhook.protocol.call import Recording
from offhook.protocol.record import CallRecord
from offhook.simulation.world import open_world, run


def began_with(record: CallRecord) -> Recording:
    """The recording as it was when it began; it begins while the phone rings."""
    assert record.recording is not None and record.recording.began_at is not None and record.answered_at is not None
    assert record.created_at < record.recording.began_at <= record.answered_at
    return msgspec.structs.replace(record.recording, began_at=None)


def test_a_recorded_call_says_where_its_recording_is_and_how_long() -> None:
    async def scenario() -> None:
        async with open_world(Birds(recorded=True), records=1) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(5)
            living = await world.record(call.id)
            assert living is not None and began_with(living) == Recording(key=f"{call.id}.ogg")
            call.hang_up()
            record = await call.ended()
            assert record.recording is not None and record.recording.seconds is not None
            assert 5 <= record.recording.seconds < 12
            assert world.recorder.finished == [f"{call.id}.ogg"] and world.recorder.open == 0

    run(scenario)


@pytest.mark.parametrize(
    ("recorded", "consent", "agreed"), [(False, "", ""), (True, "2026-11", ""), (True, "2026-11", "2019-01")]
)
def test_who_has_not_agreed_is_not_recorded(recorded: bool, consent: str, agreed: str) -> None:
    async def scenario() -> None:
        async with open_world(Birds(recorded=recorded, consent=consent)) as world:
            call = await world.dial("parrot", variables={"consent": agreed} if agreed else {})
            await call.hears("parrot")
            call.hang_up()
            assert (await call.ended()).recording is None
            assert not world.recorder.begun

    run(scenario)


def test_a_disk_that_stands_still_does_not_keep_a_call_from_ending() -> None:
    async def scenario() -> None:
        async with open_world(Birds(recorded=True)) as world:
            world.recorder.seconds_to_write = 3600
            call = await world.dial("parrot")
            await call.hears("parrot")
            call.hang_up()
            record = await call.ended(within=20)
            assert record.recording is not None and "did not take" in record.recording.failure

    run(scenario)


def test_the_recording_of_a_dead_voice_node_is_still_named() -> None:
    async def scenario() -> None:
        async with open_world(Birds(recorded=True), voices=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            node = next(name for name, node in world.nodes.items() if node.voice and call.id in node.voice.calls)
            world.kill(node)
            record = await call.ended(within=60)
            assert began_with(record) == Recording(key=f"{call.id}.ogg")

    run(scenario)
