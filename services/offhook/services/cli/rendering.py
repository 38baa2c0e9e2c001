"""Calls as a person reads them in a terminal. Pure: time and zone are arguments."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from offhook.protocol.call import CallState, EndReason, Recording
from offhook.protocol.messages import DeadLetter
from offhook.protocol.quality import Quality
from offhook.protocol.record import Analysis, CallRecord, CallSummary

#: Characters of an id that are shown in a list; enough to name one call of many.
SHORT_ID = 8

_REASONS = {
    EndReason.CALLER_HANGUP: "the caller hung up",
    EndReason.OPERATOR_HANGUP: "somebody of the team ended it",
    EndReason.AGENT_COMPLETED: "the agent said goodbye",
    EndReason.TRANSFERRED: "transferred to somebody else",
    EndReason.NO_ANSWER: "the agent did not answer",
    EndReason.LOST: "the caller was lost",
    EndReason.MAX_DURATION: "the longest allowed duration was reached",
    EndReason.SILENCE: "the caller said nothing",
    EndReason.FAILED: "it failed",
    EndReason.AT_CAPACITY: "all lines were busy",
    EndReason.SHUTDOWN: "the system was shut down",
}
_FAILURES = {
    "media_timeout": "no audio connection came up",
    "media_failed": "the audio connection broke",
    "dtls_fingerprint_mismatch": "the audio connection could not be trusted",
    "agent_failed": "the agent broke",
    "agent_not_found": "there is no such agent",
    "provider_failed": "a provider the agent needs did not work",
    "unavailable": "a part of the system was away",
    "at_capacity": "all lines were busy",
}
_STYLES = {CallState.ENDED: "dim", CallState.ANSWERED: "green", CallState.ENDING: "dim"}
_TROUBLE = frozenset({EndReason.FAILED, EndReason.LOST, EndReason.NO_ANSWER, EndReason.AT_CAPACITY})

#: Controls would move the cursor or turn the text around; a terminal must not get them from a transcript.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


# ── the two views ──────────────────────────────────────────────────────────────────────────────────────────────────


def render_calls(calls: Sequence[CallSummary], *, now: float, zone: tzinfo | None = None) -> RenderableType:
    """A list of calls, one line each. ``now`` in seconds since the epoch; ``zone`` None is the machine's own."""
    if not calls:
        return Text("No calls yet.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("CALL", no_wrap=True)
    table.add_column("STARTED", no_wrap=True)
    table.add_column("AGENT", overflow="ellipsis")
    table.add_column("STATE", no_wrap=True)
    table.add_column("TALKED", justify="right", no_wrap=True)
    table.add_column("ENDED BECAUSE", overflow="fold")
    for call in calls:
        table.add_row(
            Text(plain(call.id[:SHORT_ID]), style="bold"),
            Text(say_ago(call.created_at, now, zone)),
            Text(plain(call.agent or "-")),
            Text(call.state.value, style=_STYLES.get(call.state, "yellow")),
            Text(_talked(call, now)),
            Text(say_reason(call), style="red" if call.reason in _TROUBLE else ""),
        )
    return table


def render_call(record: CallRecord, *, now: float, zone: tzinfo | None = None, recording: str = "") -> RenderableType:
    """One call: its facts, its states and what was said. ``recording`` says where its recording lies."""
    facts = _facts(record, now, zone, recording)
    parts: list[RenderableType] = [Text(f"Call {plain(record.id)}", style="bold"), _indent(facts)]
    if record.states:
        parts += [Text("\nStates", style="bold"), _indent(_states(record))]
    parts += [Text("\nTranscript", style="bold"), _indent(_transcript(record))]
    if record.analysis is not None:
        parts += [Text("\nAnalysis", style="bold"), _indent(_analysis(record.analysis))]
    return Group(*parts)


def spell_letter(at: float, letter: DeadLetter, zone: tzinfo | None = None) -> str:
    """A dead letter in two lines."""
    size = f"{letter.size:,} bytes" if letter.size != 1 else "1 byte"
    when = f"{_local(at, zone):%Y-%m-%d %H:%M:%S}"
    return plain(f"{when}  {letter.subject}  {letter.reason}: {letter.detail}") + f"\n    {size}: {letter.data[:48]!r}"


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def say_duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``1 min 12 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole // _MINUTE, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def say_ago(at: float, now: float, zone: tzinfo | None = None) -> str:
    """``just now``, ``3 minutes ago``, ``2 hours ago``; the date for what is older than a day."""
    passed = now - at
    if passed < 5:
        return "just now"
    for size, name, end in ((1, "second", _MINUTE), (_MINUTE, "minute", _HOUR), (_HOUR, "hour", _DAY)):
        if passed < end:
            count = int(passed // size)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return f"{_local(at, zone):%Y-%m-%d %H:%M}"


def say_reason(call: CallSummary) -> str:
    """Why a call ended, in words; empty for one that lives."""
    if call.reason is None:
        return ""
    words = _REASONS.get(call.reason, call.reason.value.replace("_", " "))
    if call.failure is None:
        return words
    return f"{words}: {_FAILURES.get(call.failure, plain(call.failure).replace('_', ' '))}"


def say_recording(recording: Recording | None, place: str) -> str:
    """``12 s, 91,204 bytes, /data/recordings/….ogg``; empty for a call that was not recorded."""
    if recording is None:
        return ""
    if recording.seconds is None:
        parts = ["not finished"]
    else:
        parts = [say_duration(recording.seconds), f"{recording.size:,} bytes"]
    if place:
        parts.append(place)
    if recording.consent:
        parts.append(f"agreed to text {recording.consent}")
    return ", ".join(parts) + (f". {recording.failure}" if recording.failure else "")


def say_audio_in(quality: Quality | None) -> str:
    """``3,000 packets, 1.0 % lost, jitter 4 ms, 0.2 s made up, MOS 4.2``; empty where nothing is known.

    A microphone that gave no sound comes first: that is why nobody was understood.
    """
    if quality is None:
        return ""
    parts = ["the microphone was silent"] if quality.is_silent else []
    parts += [f"{quality.received:,} packets", f"{100 * quality.loss:.1f} % lost", f"jitter {_ms(quality.jitter)}"]
    if quality.recovered:
        parts.append(f"{quality.recovered:.1f} s recovered")
    if quality.concealed:
        parts.append(f"{quality.concealed:.1f} s made up")
    if quality.mos is not None:
        parts.append(f"MOS {quality.mos:.1f} (estimate)")
    return ", ".join(parts)


def say_audio_out(quality: Quality | None) -> str:
    """``3,000 packets, 12 lost, jitter 4 ms, 80 ms to the caller and back``; as far as the caller reports it."""
    if quality is None:
        return ""
    parts = [f"{quality.sent:,} packets"]
    if quality.round_trip is not None:
        parts += [f"{max(0, quality.lost_there):,} lost", f"jitter {_ms(quality.jitter_there)}"]
        parts.append(f"{_ms(quality.round_trip)} to the caller and back")
    return ", ".join(parts)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


# ── parts of one call ──────────────────────────────────────────────────────────────────────────────────────────────


def _facts(record: CallRecord, now: float, zone: tzinfo | None, recording: str) -> Table:
    started = _local(record.created_at, zone)
    rows = [
        ("Agent", " ".join(filter(None, (record.agent, record.version and f"version {record.version}"))) or "none"),
        ("Channel", ", ".join(filter(None, (record.channel, record.mode)))),
        ("Started", f"{started:%A %d %B %Y, %H:%M:%S %Z}".rstrip() + _in_brackets(record.created_at, now)),
        ("Answered", "no" if record.answered_at is None else _after(record.answered_at - record.created_at)),
        ("State", record.state.value),
        ("Ended", say_reason(record)),
        ("Talked", _talked(record, now)),
        ("Recording", say_recording(record.recording, recording)),
        ("Audio in", say_audio_in(record.quality)),
        ("Audio out", say_audio_out(record.quality)),
        ("Caller", record.caller or ""),
        ("Callee", record.callee or ""),
        *((f"variable {name}", value) for name, value in sorted(record.variables.items())),
        *((f"metadata {name}", value) for name, value in sorted(record.metadata.items())),
    ]
    return _grid((Text(plain(name), style="dim"), Text(plain(value), overflow="fold")) for name, value in rows if value)


def _states(record: CallRecord) -> Table:
    return _grid(
        (
            Text(f"+{say_duration(entered.at - record.created_at)}", style="dim", justify="right"),
            Text(entered.state.value, style="bold"),
            Text(_spell(entered.because), style="dim"),
        )
        for entered in record.states
    )


def _analysis(analysis: Analysis) -> Table:
    rows = [
        ("State", analysis.state),
        ("Summary", analysis.summary or ""),
        ("Outcome", analysis.outcome or ""),
        *((f"field {name}", "" if value is None else str(value)) for name, value in sorted(analysis.fields.items())),
        ("Error", analysis.error or ""),
    ]
    return _grid((Text(plain(name), style="dim"), Text(plain(value))) for name, value in rows if value)


def _transcript(record: CallRecord) -> RenderableType:
    if not record.transcript:
        return Text("Nothing was said.", style="dim")
    start = record.answered_at if record.answered_at is not None else record.created_at
    rows = []
    for line in record.transcript:
        text = Text(plain(line.text))
        if line.interrupted:
            text.append(" (interrupted)", style="dim")
        who = Text(line.role.capitalize(), style="cyan" if line.role == "agent" else "green")
        rows.append((Text(_clock(line.began - start), style="dim", justify="right"), who, text))
    return _grid(rows)


def _grid(rows: Iterable[tuple[Text, ...]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table


def _indent(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _talked(call: CallSummary, now: float) -> str:
    if call.answered_at is None:
        return "-"
    return say_duration(call.duration if call.ended_at is not None else now - call.answered_at)


def _in_brackets(at: float, now: float) -> str:
    return f" ({say_ago(at, now)})" if now - at < _DAY else ""


def _after(seconds: float) -> str:
    return f"after {say_duration(seconds)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def _spell(event: str) -> str:
    """``MediaConnected`` as ``media connected``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain(event)).lower()


def _local(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, zone).astimezone(zone)


def plain(text: str) -> str:
    """Text that cannot move the cursor or turn the line around."""
    return _CONTROLS.sub("\ufffd", text)
