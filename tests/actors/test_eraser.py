"""The eraser: what is left of an erased call goes, whatever was away meanwhile."""

import anyio
import pytest
from call_samples import OFFERED

from offhook.actors.eraser import LOOK, RETRY, Eraser
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

    async def open_erasures(self, *, after: str) -> list[OpenErasure]:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise RecordsAway("away")
        return [self.open[call] for call in sorted(self.open) if call > after][:2]

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
    """Files in memory; ``locked``: they cannot be deleted."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.locked: set[str] = set()
        self.tries: list[str] = []

    async def delete(self, name: str) -> bool:
        await anyio.lowlevel.checkpoint()
        self.tries.append(name)
        if name in self.locked:
            raise PermissionError(f"{name}: not allowed")
        there = name in self.names
        self.names.discard(name)
        return there


class Noon:
    def now(self) -> float:
        return 1_000.0


async def wait_ended(ledger: Ledger, patience: float = 60) -> None:
    with anyio.fail_after(patience):
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


def test_a_file_that_cannot_be_deleted_holds_up_no_other_call(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bus, ledger = SimulatedBus(), Ledger()
        # More than one page of them, before and behind the one that can be erased.
        stuck = [f"{number}" for number in range(5)] + ["9"]
        ledger.open = {call: OpenErasure(call=call, files=(f"{call}.ogg", f"{call}.2.ogg")) for call in [*stuck, "8"]}
        ledger.open["7"] = OpenErasure(call="7")
        folder = Folder(*(name for one in ledger.open.values() for name in one.files))
        folder.locked = {f"{call}.ogg" for call in stuck}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Eraser(bus=bus.client("r"), erasures=ledger, files=folder, clock=Noon()).run)
            await anyio.sleep(3 * RETRY + 1)
            assert set(ledger.ended) == {"7", "8"}
            assert folder.names == folder.locked, "what else belongs to a call goes all the same"
            assert folder.tries.count("0.ogg") == 4, "tried again, and not without end"
            told = [(record.__dict__["call"], record.__dict__["why"]) for record in caplog.records]
            assert told == [(call, f"{call}.ogg: not allowed") for call in stuck], "once for each"
            assert len(ledger.forgotten) <= 4, "once for each page"
            folder.locked.clear()
            await wait_ended(ledger, RETRY + LOOK)
            tasks.cancel_scope.cancel()

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
