"""What every implementation of the ``Records`` port holds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from offhook.actors.transcript import Records
from offhook.protocol.call import CallState, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.record import CallRecord, OutOfOrder, fold_record
from offhook.services.store import StoreRecords, open_store
from offhook.simulation.records import SimulatedRecords

pytestmark = pytest.mark.anyio

CALL = "6f1c2d3e-0000-4000-8000-000000000001"
HAPPENED: list[ev.CallEvent] = [
    ev.Offered(agent="front-desk", version="3", workspace="main", sdp="v=0", mode="traditional"),
    ev.MediaConnected(),
    ev.AgentAnswered(),
    ev.Said(role="agent", text="Hello", line=1, began=5.0, ended=6.0),
    ev.CallerHungUp(),
]
ENTRIES = [LogEntry(call=CALL, seq=seq, at=float(seq), owner=1, event=event) for seq, event in enumerate(HAPPENED, 1)]

Kept = tuple[Records, Callable[[str], CallRecord]]


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["simulated", "sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "simulated":
        records = SimulatedRecords()
        yield records, records.call
    else:
        on_server = request.param == "postgresql"
        place = request.getfixturevalue("postgres").new_database() if on_server else tmp_path / "offhook.db"
        store = open_store(place)
        yield StoreRecords(store), store.call
        store.close()


async def test_a_log_becomes_its_record(kept: Kept) -> None:
    records, call = kept
    for number, entry in enumerate(ENTRIES, 1):
        assert await records.project(entry) is True
        assert call(CALL) == fold_record(CALL, ENTRIES[:number])


async def test_what_was_taken_is_not_taken_again(kept: Kept) -> None:
    records, call = kept
    for entry in ENTRIES:
        await records.project(entry)
    for entry in ENTRIES:
        assert await records.project(entry) is False
        assert await records.project(entry, over_gap=True) is False
    assert call(CALL) == fold_record(CALL, ENTRIES)


async def test_what_comes_too_early_is_refused(kept: Kept) -> None:
    records, call = kept
    await records.project(ENTRIES[0])
    with pytest.raises(OutOfOrder):
        await records.project(ENTRIES[2])
    assert call(CALL) == fold_record(CALL, ENTRIES[:1])


async def test_a_gap_is_gone_over_when_it_will_not_be_filled(kept: Kept) -> None:
    records, call = kept
    await records.project(ENTRIES[0])
    assert await records.project(ENTRIES[4], over_gap=True) is True
    assert call(CALL).state is CallState.ENDING
    assert await records.project(ENTRIES[2]) is False


OTHER = "6f1c2d3e-0000-4000-8000-000000000002"
MIXED = [entry for each in ENTRIES for entry in (each, msgspec.structs.replace(each, call=OTHER))]


async def test_entries_of_several_calls_are_taken_together(kept: Kept) -> None:
    records, call = kept
    assert await records.project_all(MIXED[:3]) == 3
    # Those that were taken are passed over.
    assert await records.project_all(MIXED) == len(MIXED) - 3
    assert await records.project_all(MIXED) == 0
    assert await records.project_all([]) == 0
    assert call(CALL) == fold_record(CALL, ENTRIES)
    assert call(OTHER) == fold_record(OTHER, [entry for entry in MIXED if entry.call == OTHER])


async def test_of_entries_with_a_gap_none_is_taken(kept: Kept) -> None:
    records, call = kept
    await records.project_all(MIXED[:2])
    with pytest.raises(OutOfOrder):
        await records.project_all([*MIXED[2:4], MIXED[9]])
    assert call(CALL) == fold_record(CALL, ENTRIES[:1])
    assert call(OTHER).state is CallState.CONNECTING
