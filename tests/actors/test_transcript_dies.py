"""A transcript actor that dies while it writes: the next one gets what it had in hand."""

from collections.abc import Sequence

import anyio
from call_samples import OFFERED

from offhook.actors.transcript import TranscriptActor
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import encode
from offhook.simulation.bus import SimulatedBus
from offhook.simulation.world import run

CALL = "00000000-0000-4000-8000-000000000001"


class HangingRecords:
    """A database that does not come back from the first write."""

    async def project_all(self, entries: Sequence[LogEntry]) -> int:
        return await self.project(entries[0])

    def __init__(self) -> None:
        self.began = anyio.Event()

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        self.began.set()
        await anyio.sleep_forever()
        return True


class KeptRecords:
    async def project_all(self, entries: Sequence[LogEntry]) -> int:
        return sum([await self.project(entry) for entry in entries])

    def __init__(self) -> None:
        self.kept: list[LogEntry] = []

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        await anyio.lowlevel.checkpoint()
        self.kept.append(entry)
        return True


def test_the_last_entry_of_a_call_is_not_lost_with_its_writer() -> None:
    async def scenario() -> None:
        bus = SimulatedBus(ack_wait=5.0)
        entry = LogEntry(call=CALL, seq=1, at=1_000.0, owner=1, event=OFFERED)
        await bus.client("gateway").append(subjects.log(CALL), encode(entry), last=0)
        hanging, kept = HangingRecords(), KeptRecords()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(TranscriptActor(bus.client("records-1"), hanging).run)
            await hanging.began.wait()
            tasks.cancel_scope.cancel()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(TranscriptActor(bus.client("records-2"), kept).run)
            await anyio.sleep(20)
            tasks.cancel_scope.cancel()
        assert kept.kept == [entry]

    run(scenario)
