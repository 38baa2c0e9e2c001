"""The story of a call: who said and did what at which virtual time, as a test shows it when it fails."""

from collections.abc import Iterable, Sequence

import msgspec

from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.record import CallRecord
from offhook.simulation.identities import EPOCH
from offhook.simulation.tools import ToolUse

#: Seconds without a word after which what the agent says next begins a line of its own.
PAUSE = 1.0


class Moment(msgspec.Struct, frozen=True):
    """One line of the story; ``at`` is in virtual seconds since the simulation began."""

    at: float
    who: str
    what: str


class Word(msgspec.Struct, frozen=True):
    """A word the caller has heard."""

    at: float
    text: str


def tell(
    began: float,
    done: Sequence[Moment],
    words: Sequence[Word],
    uses: Iterable[ToolUse],
    record: CallRecord | None,
    log: Sequence[LogEntry],
) -> str:
    """The story in lines of ``minutes:seconds  who  what``, times since the call ``began``."""
    moments = [*done, *_spoken(words, done), *map(_used, uses), *_told(log), *_states(record)]
    # The log counts seconds since 1970, which leaves it a fraction of a microsecond apart from what is noted here.
    moments.sort(key=lambda moment: round(moment.at, 3))
    return "\n".join(f"  {show_time(moment.at - began)}  {moment.who:<6}  {moment.what}" for moment in moments)


def show_time(seconds: float) -> str:
    """``1:02.5``."""
    tenths = int(max(0.0, round(seconds, 3)) * 10 + 1e-6)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _spoken(words: Sequence[Word], done: Sequence[Moment]) -> list[Moment]:
    """The agent's words in lines; what the caller does in between begins a new one."""
    lines: list[tuple[float, list[str]]] = []
    last = -PAUSE
    for word in words:
        cut = any(last <= moment.at < word.at for moment in done)
        if not lines or cut or word.at - last > PAUSE:
            lines.append((word.at, []))
        lines[-1][1].append(word.text)
        last = word.at
    return [Moment(at, "agent", f'"{" ".join(spoken)}"') for at, spoken in lines]


def _used(use: ToolUse) -> Moment:
    given = ", ".join(f"{name}={value!r}" for name, value in use.arguments.items())
    outcome = "still runs"
    if use.ended is not None:
        outcome = f"failed: {use.error}" if use.error is not None else f"returned {use.result!r}"
        outcome += f" after {use.ended - use.began:g} s"
    return Moment(use.began, "tool", f"{use.name}({given}) {outcome}")


def _told(log: Sequence[LogEntry]) -> list[Moment]:
    """What the page was told, and tools that nobody runs."""
    told: list[Moment] = []
    for entry in log:
        match entry.event:
            case ev.InfoSent(name=name, data=data):
                told.append(Moment(entry.at - EPOCH, "page", f"was told {name} {data}"))
            case ev.ToolReturned(error=str(error)) if "the test gave the agent" in error:
                told.append(Moment(entry.at - EPOCH, "tool", f"failed: {error}"))
    return told


def _states(record: CallRecord | None) -> list[Moment]:
    if record is None:
        return []
    reason = record.reason.value + (f", {record.failure}" if record.failure else "") if record.reason else ""
    return [
        Moment(each.at - EPOCH, "call", f"{each.state.value} ({reason if each.state == 'ended' else each.because})")
        for each in record.states
    ]
