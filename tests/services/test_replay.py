"""Replay, erasure, retention and dead letters on a real bus and a real store, with and without a running product."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from offhook.actors.capacity import OWNERS
from offhook.protocol import subjects
from offhook.protocol.call import Call, LogEntry, fold
from offhook.protocol.call import events as ev
from offhook.protocol.messages import BadMessage, Envelope, bury, decode_envelope, encode
from offhook.protocol.record import CallLives, CallNotFound, fold_record
from offhook.protocol.replay import compare, walk
from offhook.services.bus import keep_logs, nats_server, open_bus, read_dead_letters
from offhook.services.cli import offhook
from offhook.services.cli.data_bus import NoBus
from offhook.services.store import open_store, store_file
from offhook.services.up import bus_address, hold_data_folder, tell_bus_address
from offhook.simulation.call_logs import BEGIN, call_logs

CALL = "6f1c2d3e-0000-4000-8000-00000000000a"
OTHER = "6f1c2d3e-0000-4000-8000-00000000000b"


def short_log(call: str = CALL) -> list[LogEntry]:
    happened: list[ev.CallEvent] = [
        ev.Offered(agent="front-desk", version="3", workspace="main", sdp="v=0\r\n" * 100, mode="traditional"),
        ev.MediaPrepared(sdp="v=0", node="voice-1"),
        ev.MediaConnected(),
        ev.AgentAnswered(),
        ev.Said(role="agent", text="Hello \x1b[31m", line=1, began=BEGIN + 5, ended=BEGIN + 6.5),
        ev.CallerHungUp(),
        ev.AgentStopped(),
        ev.MediaClosed(),
    ]
    return [
        LogEntry(
            call=call,
            seq=seq,
            at=BEGIN + seq,
            owner=4 if seq < 6 else 9,
            event=event,
            source="media",
            number=seq,
        )
        for seq, event in enumerate(happened, 1)
    ]


# ── pure ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(call_logs())
def test_the_walk_ends_where_the_fold_ends(entries: list[LogEntry]) -> None:
    passages = walk(CALL, entries)
    states = [Call(id=CALL), *(passage.after for passage in passages)]
    assert [passage.before for passage in passages] == states[:-1]
    assert states[-1] == fold(CALL, entries)
    assert not any(passage.refused for passage in passages)


def test_an_entry_without_an_edge_is_passed_over_and_said() -> None:
    entries = short_log()
    entries.insert(2, LogEntry(call=CALL, seq=3, at=1.0, owner=1, event=ev.CallResumed()))
    passage = walk(CALL, entries)[2]
    assert passage.before == passage.after
    assert "no edge for CallResumed" in passage.refused


@given(call_logs(), st.data())
def test_every_changed_field_of_a_record_is_found(entries: list[LogEntry], data: st.DataObject) -> None:
    record = fold_record(CALL, entries)
    assert compare(entries, record) == []
    # The analysis is not made from the log.
    others = {"id", "states", "transcript", "analysis"}
    name = data.draw(st.sampled_from([name for name in record.__struct_fields__ if name not in others]))
    wrong = msgspec.structs.replace(record, **{name: "something else"})
    assert next(difference.field for difference in compare(entries, wrong)).startswith(name)


def test_differences_name_the_place() -> None:
    record = fold_record(CALL, short_log())
    line = msgspec.structs.replace(record.transcript[0], text="Hi")
    wrong = msgspec.structs.replace(record, transcript=(line,), states=record.states[:-1])
    found = {difference.field: (difference.log, difference.record) for difference in compare(short_log(), wrong)}
    assert found["transcript[0].text"] == ("Hello \x1b[31m", "Hi")
    last = f"states[{len(record.states) - 1}]"
    assert found[last][1] is None
    assert set(found) == {"transcript[0].text", last}


# ── on a folder of data, with nothing running ──────────────────────────────────────────────────────────────────────


async def write(data: Path, entries: list[LogEntry], *, owner: str | None = None) -> None:
    async with nats_server(data / "nats") as url, open_bus(url, name="test") as bus:
        last = 0
        for entry in entries:
            last = await bus.append(subjects.log(entry.call), encode(entry), last=last)
        if owner is not None:
            await bus.create(f"{OWNERS}{owner}", b"")


def record(data: Path, entries: list[LogEntry]) -> None:
    store = open_store(store_file(data))
    for entry in entries:
        store.project(entry)
    store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one call that has ended."""
    folder = tmp_path / "data"
    folder.mkdir()
    anyio.run(write, folder, short_log())
    record(folder, short_log())
    return folder


def run(data: Path, *arguments: str, answer: str = "") -> Result:
    environment = {"COLUMNS": "120", "OFFHOOK_NATS": None}
    return CliRunner().invoke(offhook, [*arguments, "--data", str(data)], env=environment, input=answer)


def test_replay_tells_the_story_and_proves_it(data: Path) -> None:
    done = run(data, "replay", CALL[:13])
    assert done.exit_code == 0
    for part in (
        f"Call {CALL}",
        "+3.000 s  ringing -> answered",
        "AgentAnswered  report 4 of media",
        "owned in epoch 9",
        "-> agent: StopAgent",
        "sdp: v=0 ... (500 characters)",
        "began: +4.000 s",
        "The fold of the 8 entries equals the record, field by field.",
    ):
        assert part in done.output
    assert "\x1b[31m" not in done.output
    assert list(data.glob("nats.url")) == []


def test_replay_as_json(data: Path) -> None:
    done = run(data, "replay", CALL, "--json")
    replay = json.loads(done.output)
    assert replay["proof"] == {"equal": True, "trouble": "", "differences": []}
    entry = replay["entries"][3]
    assert (entry["seq"], entry["since_start"], entry["event"]) == (4, 3.0, {"type": "AgentAnswered"})
    assert (entry["before"]["state"], entry["after"]["state"]) == ("ringing", "answered")
    assert [effect["type"] for effect in entry["effects"]] == ["StartAgent", "Announce"]


def test_replay_finds_a_record_that_lies(data: Path) -> None:
    from sqlalchemy import create_engine, text

    with create_engine(f"sqlite:///{store_file(data)}").begin() as connection:
        connection.execute(text("UPDATE calls SET reason = 'lost'"))
    done = run(data, "replay", CALL)
    assert done.exit_code == 1
    assert "reason: log caller_hangup, record lost" in done.output


def test_replay_of_a_call_without_a_record(data: Path) -> None:
    anyio.run(write, data, short_log(OTHER))
    done = run(data, "replay", OTHER)
    assert done.exit_code == 1
    assert "created -> connecting" in done.output
    assert "There is no record of this call" in done.output


def test_replay_passes_over_what_is_no_entry(data: Path) -> None:
    async def scribble() -> None:
        async with nats_server(data / "nats") as url, open_bus(url, name="test") as bus:
            await bus.publish(subjects.log(CALL), b"junk")
            await bus.get("round.trip")

    anyio.run(scribble)
    done = run(data, "replay", CALL)
    assert done.exit_code == 0
    assert "Message 9 of the log is no entry: malformed" in done.output


@pytest.mark.parametrize("call", ["nobody", "", OTHER, "a b", "*"])
def test_replay_of_no_call(data: Path, call: str) -> None:
    assert isinstance(run(data, "replay", call).exception, CallNotFound)


def test_no_folder_is_made_by_looking_for_it(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "none", "replay", CALL).exception, NoBus)
    assert not (tmp_path / "none").exists()


def test_erase_takes_log_and_record_and_says_so(data: Path) -> None:
    anyio.run(write, data, short_log(OTHER))
    record(data, short_log(OTHER))
    asked = run(data, "calls", "erase", CALL, answer="n\n")
    assert asked.exit_code == 1
    assert run(data, "replay", CALL).exit_code == 0
    done = run(data, "calls", "erase", CALL, "--yes")
    assert done.output.strip() == f"Erased call {CALL}: its log of 8 messages, its record with 1 lines of transcript."
    assert isinstance(run(data, "replay", CALL).exception, CallNotFound)
    assert isinstance(run(data, "calls", "erase", CALL, "--yes").exception, CallNotFound)
    assert run(data, "replay", OTHER).exit_code == 0


@pytest.mark.parametrize(("entries", "owner"), [(short_log()[:6], None), (short_log(), CALL)])
def test_a_call_that_lives_is_not_erased(tmp_path: Path, entries: list[LogEntry], owner: str | None) -> None:
    anyio.run(partial(write, tmp_path, entries, owner=owner))
    record(tmp_path, entries)
    done = run(tmp_path, "calls", "erase", CALL, "--yes")
    assert isinstance(done.exception, CallLives)
    assert "has not ended" in str(done.exception)
    assert run(tmp_path, "replay", CALL).exit_code == 0


# ── beside a running product ───────────────────────────────────────────────────────────────────────────────────────


def test_a_running_product_is_asked_where_its_bus_is(data: Path) -> None:
    with hold_data_folder(data):
        assert isinstance(run(data, "replay", CALL).exception, NoBus)

        async def scenario() -> None:
            async with nats_server(data / "nats") as url:
                with tell_bus_address(data, url):
                    assert (data / "nats.url").stat().st_mode & 0o777 == 0o600
                    assert bus_address(data) == url
                    done = await anyio.to_thread.run_sync(run, data, "replay", CALL)
                    assert done.exit_code == 0
                assert bus_address(data) is None

        anyio.run(scenario)


# ── streams ────────────────────────────────────────────────────────────────────────────────────────────────────────

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with nats_server(tmp_path / "nats") as url:
        yield url


@on_asyncio
@pytest.mark.anyio
async def test_logs_are_kept_for_as_long_as_asked(url: str) -> None:
    async with open_bus(url, name="test") as bus:
        await bus.append(subjects.log(CALL), b"old", last=0)
        await keep_logs(url, 1 / 86400)
        with anyio.fail_after(60):
            while await bus.read_log(subjects.log(CALL)):
                await anyio.sleep(0.1)
        await keep_logs(url, 0)
        await bus.append(subjects.log(CALL), b"new", last=0)
        await anyio.sleep(2)
        assert [stored.data for stored in await bus.read_log(subjects.log(CALL))] == [b"new"]
    # A process that comes later leaves the setting as it is.
    await keep_logs(url, 30)
    async with open_bus(url, name="later") as bus:
        assert len(await bus.read_log(subjects.log(CALL))) == 1


@on_asyncio
@pytest.mark.anyio
async def test_dead_letters_are_found_with_their_reason(url: str) -> None:
    assert await read_dead_letters(url, 10) == []
    newer = encode({"v": 2, "call": CALL, "body": "x" * 5000})
    with pytest.raises(BadMessage) as refused:
        decode_envelope(newer)
    letter = bury("offhook.call.x.agent", newer, refused.value)
    async with open_bus(url, name="test") as bus:
        for _ in range(3):
            await bus.publish(subjects.DEAD_LETTERS, b"not even a dead letter")
        await bus.publish(subjects.DEAD_LETTERS, encode(letter))
        await bus.get("round.trip")
    found = await read_dead_letters(url, 2)
    assert [(one.letter.subject, one.letter.reason) for one in found] == [
        (subjects.DEAD_LETTERS, "malformed"),
        ("offhook.call.x.agent", "unsupported_version"),
    ]
    assert found[1].letter.data == newer
    assert found[0].at <= found[1].at
    assert len(await read_dead_letters(url, 100)) == 4


def test_offhook_dead_lists_them(data: Path) -> None:
    assert run(data, "dead").output.strip() == "No dead letters."

    async def scenario() -> None:
        async with nats_server(data / "nats") as url, open_bus(url, name="test") as bus:
            await bus.publish(
                subjects.DEAD_LETTERS, encode(bury("a.b", b"\x1b[31m\0", BadMessage("malformed", "no map")))
            )
            await bus.get("round.trip")

    anyio.run(scenario)
    said = run(data, "dead").output
    assert "a.b  malformed: no map" in said
    assert "6 bytes: b'\\x1b[31m\\x00'" in said
    assert json.loads(run(data, "dead", "--json").output)["letter"]["reason"] == "malformed"


def test_an_envelope_is_what_it_was() -> None:
    envelope = Envelope(call=CALL, owner=3, seq=7, body=ev.AgentAnswered())
    assert decode_envelope(encode(envelope)) == envelope
