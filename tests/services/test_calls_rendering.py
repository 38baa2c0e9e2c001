"""Calls as text for people."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rich_click as click
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from offhook.protocol.call import CallState, EndReason, LogEntry, Recording
from offhook.protocol.quality import Quality
from offhook.protocol.record import (
    CallNotFound,
    CallRecord,
    CallSummary,
    StateEntered,
    TranscriptLine,
    fold_record,
)
from offhook.services.cli.call_place import Place, open_place
from offhook.services.cli.calls import list_calls, show_call
from offhook.services.cli.filtering import read_filter
from offhook.services.cli.rendering import (
    render_call,
    render_calls,
    say_ago,
    say_audio_in,
    say_audio_out,
    say_duration,
    say_reason,
    say_recording,
)
from offhook.services.cli.where import Where
from offhook.services.store import open_store, store_file
from offhook.simulation.call_logs import call_logs

# 2026-11-20 12:00:00 UTC
NOON = 1_795_176_000.0

RECORD = CallRecord(
    id="6f1c2d3e-0000-4000-8000-000000000001",
    state=CallState.ENDED,
    reason=EndReason.CALLER_HANGUP,
    agent="front-desk",
    version="3",
    workspace="main",
    mode="traditional",
    metadata={"page": "/buy"},
    created_at=NOON,
    answered_at=NOON + 1.5,
    ended_at=NOON + 73.5,
    duration=72.0,
    states=(
        StateEntered(CallState.CONNECTING, NOON, "Offered"),
        StateEntered(CallState.RINGING, NOON + 1, "MediaConnected"),
        StateEntered(CallState.ANSWERED, NOON + 1.5, "AgentAnswered"),
        StateEntered(CallState.ENDING, NOON + 73.5, "CallerHungUp"),
    ),
    transcript=(
        TranscriptLine(1, "agent", "Hello, how can I help?", NOON + 2, NOON + 4, True),
        TranscriptLine(2, "caller", "I want to book a table.", NOON + 65.5, NOON + 68),
    ),
)


def text_of(part: RenderableType, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width, highlight=False)
    console.print(part)
    assert isinstance(console.file, StringIO)
    return re.sub(r" +$", "", console.file.getvalue(), flags=re.MULTILINE)


def test_a_call_reads_as_a_dialogue() -> None:
    assert (
        text_of(render_call(RECORD, now=NOON + 200, zone=UTC))
        == """\
Call 6f1c2d3e-0000-4000-8000-000000000001
  Agent          front-desk version 3
  Channel        web, traditional
  Started        Friday 20 November 2026, 12:00:00 UTC (3 minutes ago)
  Answered       after 1.5 s
  State          ended
  Ended          the caller hung up
  Talked         1 min 12 s
  metadata page  /buy

States
       +0.0 s  connecting  offered
       +1.0 s  ringing     media connected
       +1.5 s  answered    agent answered
  +1 min 14 s  ending      caller hung up

Transcript
  0:00  Agent   Hello, how can I help? (interrupted)
  1:04  Caller  I want to book a table.
"""
    )


def test_a_list_has_one_line_for_each_call() -> None:
    living = CallSummary(id="aaaabbbb-cccc", state=CallState.ANSWERED, agent="sales", created_at=NOON, answered_at=NOON)
    failed = CallSummary(
        id="ddddeeee-ffff",
        state=CallState.ENDED,
        reason=EndReason.FAILED,
        failure="media_timeout",
        created_at=NOON - 7200,
        ended_at=NOON,
    )
    lines = text_of(render_calls([living, RECORD, failed], now=NOON + 90, zone=UTC)).splitlines()
    assert [re.split(r" {2,}", line) for line in lines] == [
        ["CALL", "STARTED", "AGENT", "STATE", "TALKED", "ENDED BECAUSE"],
        ["aaaabbbb", "1 minute ago", "sales", "answered", "1 min 30 s"],
        ["6f1c2d3e", "1 minute ago", "front-desk", "ended", "1 min 12 s", "the caller hung up"],
        ["ddddeeee", "2 hours ago", "-", "ended", "-", "it failed: no audio connection came up"],
    ]


def test_how_the_audio_fared_is_told_in_words() -> None:
    quality = Quality(
        received=2970, lost=30, jitter=0.0042, heard=59.4, recovered=0.4, concealed=0.2, sent=3001, lost_there=12,
        jitter_there=0.009, round_trip=0.081, mos=4.23,
    )  # fmt: skip
    assert say_audio_in(quality) == (
        "2,970 packets, 1.0 % lost, jitter 4 ms, 0.4 s recovered, 0.2 s made up, MOS 4.2 (estimate)"
    )
    assert say_audio_out(quality) == "3,001 packets, 12 lost, jitter 9 ms, 81 ms to the caller and back"
    # Why the agent heard nothing.
    assert say_audio_in(Quality(received=50, loudest=-127)).startswith("the microphone was silent, 50 packets")
    assert "microphone" not in say_audio_in(Quality(received=50, loudest=-40)) + say_audio_in(Quality(received=50))
    # A caller that reports nothing tells nothing about what it lost.
    assert say_audio_out(Quality(sent=5)) == "5 packets"
    assert say_audio_in(None) == say_audio_out(None) == ""


@pytest.mark.parametrize(
    ("recording", "place", "words"),
    [
        (None, "", ""),
        (Recording(key="c.ogg"), "/data/recordings/c.ogg", "not finished, /data/recordings/c.ogg"),
        (Recording(key="c.ogg", seconds=62.0, size=1), "", "1 min 2 s, 1 bytes"),
        (
            Recording(key="c.ogg", seconds=2.0, size=91_204, consent="2026-11", failure="The disk was full."),
            "/r/c.ogg",
            "2.0 s, 91,204 bytes, /r/c.ogg, agreed to text 2026-11. The disk was full.",
        ),
    ],
)
def test_a_recording_is_named_where_it_lies(recording: Recording | None, place: str, words: str) -> None:
    assert say_recording(recording, place) == words


def test_no_calls() -> None:
    assert text_of(render_calls([], now=NOON)) == "No calls yet.\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0.0 s"), (0.04, "0.0 s"), (0.4, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
        (59.6, "1 min"), (72, "1 min 12 s"), (120, "2 min"), (3599.6, "1 h"), (7500, "2 h 5 min"), (90_000, "25 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert say_duration(seconds) == words


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (-3, "just now"), (4.9, "just now"), (5, "5 seconds ago"), (59.9, "59 seconds ago"), (60, "1 minute ago"),
        (180, "3 minutes ago"), (3600, "1 hour ago"), (86_399, "23 hours ago"), (86_400, "2026-11-20 12:00"),
    ],
)  # fmt: skip
def test_how_long_ago(passed: float, words: str) -> None:
    assert say_ago(NOON, NOON + passed, UTC) == words


@pytest.mark.parametrize("reason", EndReason)
def test_every_reason_has_words(reason: EndReason) -> None:
    words = say_reason(CallSummary(id="x", reason=reason))
    assert words and "_" not in words
    assert say_reason(CallSummary(id="x", reason=reason, failure="some_new_word")).endswith(": some new word")


@settings(deadline=None)
@given(call_logs(), st.integers(20, 200))
def test_every_call_can_be_shown(entries: list[LogEntry], width: int) -> None:
    record = fold_record("6f1c2d3e-0000-4000-8000-000000000001", entries)
    for now in (record.created_at, record.created_at + 1e6):
        assert text_of(render_call(record, now=now, zone=UTC), width)
        assert text_of(render_calls([record], now=now, zone=UTC), width)


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\x00", "\u202e", "\u2066", "\x7f"])
def test_a_transcript_cannot_drive_the_terminal(bad: str) -> None:
    line = TranscriptLine(1, "caller", f"a{bad}b", NOON, NOON)
    record = msgspec.structs.replace(
        RECORD, id=f"a{bad}", agent=f"a{bad}", caller=bad, metadata={bad: bad}, failure=bad, transcript=(line,)
    )
    for part in (render_call(record, now=NOON, zone=UTC), render_calls([record], now=NOON, zone=UTC)):
        assert not set(bad) & set("\x1b\x07\r\x9b\x00\u202e\u2066\x7f") & set(text_of(part))


def test_markup_in_a_transcript_is_text() -> None:
    line = TranscriptLine(1, "caller", "[red]a[/red] [link=http://x]b :smile:", NOON, NOON)
    shown = text_of(render_call(msgspec.structs.replace(RECORD, transcript=(line,)), now=NOON, zone=UTC))
    assert "[red]a[/red] [link=http://x]b :smile:" in shown


# ── from a data folder ─────────────────────────────────────────────────────────────────────────────────────────────


def fill(data: Path, number: int) -> None:
    from offhook.protocol.call import events as ev

    store = open_store(store_file(data))
    offer = ev.Offered(agent="a", version="1", workspace="w", sdp="v=0", mode="echo")
    for index in range(number):
        store.project(LogEntry(call=f"call-{index:04}", seq=1, at=float(index), owner=1, event=offer))
    store.close()


@contextmanager
def filled(data: Path, number: int) -> Iterator[Place]:
    fill(data, number)
    with open_place(Where(data)) as place:
        yield place


def test_a_list_may_be_longer_than_a_page_of_the_store(tmp_path: Path) -> None:
    with filled(tmp_path, 205) as place:
        lines = list_calls(place, limit=203, as_json=True).splitlines()
    assert [msgspec.json.decode(line)["id"] for line in lines] == [f"call-{index:04}" for index in range(204, 1, -1)]


def test_lists_are_filtered(tmp_path: Path) -> None:
    connecting, held = (read_filter(now=0.0, state=word, agent="a") for word in ("Connecting", "held"))
    with filled(tmp_path, 2) as place:
        assert len(list_calls(place, wanted=connecting, as_json=True).splitlines()) == 2
        assert list_calls(place, wanted=held, as_json=True) == ""
        assert list_calls(place, wanted=held, as_json=False) == "No such calls."


def test_filters_are_written_as_people_write_them() -> None:
    wanted = read_filter(now=9000.0, since="2h", until="2026-11-20T09:30:00Z", metadata=("plan=a=b", "empty="))
    assert (wanted.since, wanted.until) == (1800.0, 1_795_167_000.0)
    assert wanted.metadata == {"plan": "a=b", "empty": ""}
    assert read_filter(now=0.0, reason="LOST").reason == "lost"
    wrong: list[dict[str, Any]] = [
        {"state": "gone"}, {"reason": "bored"}, {"since": "yesterday"}, {"until": "9999999h"},
        {"since": "99999-01-01"}, {"metadata": ("plan",)}, {"metadata": ("=x",)},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(click.UsageError):
            read_filter(now=0.0, **options)


def test_one_call_as_json_and_text(tmp_path: Path) -> None:
    with filled(tmp_path, 1) as place:
        assert msgspec.json.decode(show_call(place, "call", as_json=True), type=CallRecord).agent == "a"
        assert show_call(place, "call-0000", as_json=False).startswith("Call call-0000\n")


def test_looking_makes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "none"
    with open_place(Where(data)) as place:
        assert list_calls(place, as_json=False) == "No calls yet."
        assert list_calls(place, as_json=True) == ""
        with pytest.raises(CallNotFound):
            show_call(place, "a", as_json=False)
    assert not data.exists()
