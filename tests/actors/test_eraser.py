"""The eraser: what is left of an erased call goes, whatever was away meanwhile."""

import anyio
from call_samples import OFFERED

from offhook.actors.eraser import Eraser
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import encode
from offhook.protocol.record import OpenErasure, RecordsAway
from offhook.simulation.bus import SimulatedBus
from offhook.simulation.world import run

CALL = "00000000-0000-4000-8000-000000000001"


class Ledger:
    """Erasures in memory; ``away``: nothing can be asked."""

    def __init__(self) -> None:
        self.away = False
        self.open = {CALL: OpenErasure(call=CALL, files=("a.ogg", "b.ogg"))}
        self.ended: dict[str, dict[str, int]] = {}
        self.expiring = 0
        #: The open erasures each time that words were forgotten.
        self.forgotten: list[set[str]] = []

    async def open_erasures(self) -> list[OpenErasure]:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise RecordsAway("away")
        return list(self.open.values())

    async def forget_words(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.forgotten.append(set(self.open))

    async def end_erasure(self, call: str, deleted: dict[str, int], *, now: float) -> None:
        await anyio.lowlevel.checkpoint()
        assert any(call in calls for calls in self.forgotten)
        del self.open[call]
        self.ended[call] = deleted

    async def expire(self, *, now: float) -> int:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise RecordsAway("away")
        self.expiring, found = 0, self.expiring
        return found


class Folder:
    def __init__(self, *names: str) -> None:
        self.names = set(names)

    async def delete(self, name: str) -> bool:
        await anyio.lowlevel.checkpoint()
        there = name in self.names
        self.names.discard(name)
        return there


class Noon:
    def now(self) -> float:
        return 1_000.0


async def wait_ended(ledger: Ledger) -> None:
    with anyio.fail_after(60):
        while ledger.open:
            await anyio.sleep(0.5)


def test_log_and_files_are_gone_within_a_minute_though_all_was_away() -> None:
    async def scenario() -> None:
        bus, ledger, folder = SimulatedBus(), Ledger(), Folder("a.ogg", "c.ogg")
        entry = LogEntry(call=CALL, seq=1, at=1.0, owner=1, event=OFFERED)
        await bus.client("gateway").append(subjects.log(CALL), encode(entry), last=0)
        client = bus.client("records")
        client.away = ledger.away = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Eraser(bus=client, erasures=ledger, files=folder, clock=Noon()).run)
            await anyio.sleep(100)
            ledger.away = False
            await anyio.sleep(100)
            assert ledger.open
            client.away = False
            await wait_ended(ledger)
            tasks.cancel_scope.cancel()
        assert ledger.ended == {CALL: {"log_messages": 1, "recordings": 1}}
        assert ledger.forgotten == [{CALL}], "once, though the log could not be deleted for long"
        assert folder.names == {"c.ogg"}
        assert await bus.client("reader").read_log(subjects.log(CALL)) == []

    run(scenario)


def test_old_calls_are_looked_for_again_and_again() -> None:
    async def scenario() -> None:
        bus, ledger = SimulatedBus(), Ledger()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Eraser(bus=bus.client("r"), erasures=ledger, files=Folder(), clock=Noon()).run)
            await wait_ended(ledger)
            ledger.expiring = 3
            await anyio.sleep(700)
            assert ledger.expiring == 0
            tasks.cancel_scope.cancel()

    run(scenario)
