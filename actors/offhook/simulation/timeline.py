"""What happened in a run: who sent what to whom, at what virtual time, and which state followed.

A run only collects; what it means is worked out when somebody wants to read it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from offhook.protocol import subjects
from offhook.protocol.call import Call, NoEdge, step
from offhook.protocol.messages import BadMessage, DeadLetter, Envelope, decode_entry, decode_envelope

#: Lanes of those that are no node.
CALLER, BUS, WORLD = "caller", "bus", "world"


class Line(msgspec.Struct, frozen=True):
    """One thing that happened."""

    at: float
    #: ``message``, ``log``, ``key``, ``frame``, ``fault``, ``caller`` or ``violation``.
    kind: str
    source: str
    targets: tuple[str, ...]
    text: str
    call: str = ""
    #: The state of the call that this led to, where it changed.
    state: str = ""


class Timeline:
    """Collects what happens."""

    def __init__(self) -> None:
        self._raw: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._raw)

    def message(self, at: float, node: str, subject: str, data: bytes, receivers: list[str], what: str = "") -> None:
        """A message reached its receivers, or strayed."""
        self._raw.append(("message", at, node, subject, data, tuple(receivers), what))

    def log(self, at: float, node: str, subject: str, data: bytes) -> None:
        """An entry was appended."""
        self._raw.append(("log", at, node, subject, data))

    def note(self, at: float, kind: str, source: str, targets: tuple[str, ...], text: str, call: Any = "") -> None:
        """Anything else. ``call`` is an id, or a caller who may not know the id yet."""
        self._raw.append(("note", at, kind, source, targets, text, call))

    def lines(self) -> Iterator[Line]:
        """What happened, oldest first."""
        states: dict[str, Call] = {}
        for raw in self._raw:
            match raw[0]:
                case "message":
                    yield _read_message(*raw[1:])
                case "log":
                    yield _read_entry(states, *raw[1:])
                case _:
                    _, at, kind, source, targets, text, call = raw
                    yield Line(at, kind, source, targets, text, getattr(call, "id", call))

    def text(self, *, call: str = "", last: int | None = None) -> str:
        """As text, one line each; only those of one call, if given, and of the world."""
        chosen = [line for line in self.lines() if not line.call or line.call.endswith(call)]
        if last is not None:
            chosen = chosen[-last:]
        return "\n".join(map(_show, chosen))


def short(call: str) -> str:
    """A call's id as people can tell it from others of the run."""
    return call[-4:].lstrip("0") or "0" if call else ""


def _show(line: Line) -> str:
    targets = ", ".join(line.targets)
    arrow = f"{line.source or WORLD} → {targets}" if targets else line.source or WORLD
    mark = "!" if line.kind in {"fault", "violation"} else " "
    state = f"   ⇒ {line.state}" if line.state else ""
    return f"{line.at:9.3f} {mark} {arrow:<34} {short(line.call):>4}  {line.text}{state}"


def _read_message(at: float, node: str, subject: str, data: bytes, receivers: tuple[str, ...], what: str) -> Line:
    call = "" if subject in {subjects.OPEN_CALL, subjects.DEAD_LETTERS} else subject.split(".")[2]
    if subject == subjects.DEAD_LETTERS:
        letter = msgspec.msgpack.decode(data, type=DeadLetter)
        call = letter.subject.split(".")[2] if letter.subject.startswith("offhook.call.") else ""
        return Line(at, "message", node, (BUS,), f"dead letter: {letter.detail}", call)
    try:
        envelope = decode_envelope(data)
    except BadMessage as error:
        return Line(at, "message", node, receivers, f"unreadable: {error}", call)
    text = _describe(envelope)
    if what:
        return Line(at, "fault", node, (subject.rpartition(".")[2],), f"{text} was {what}", envelope.call)
    if not receivers:
        text += "   (nobody listens)"
    return Line(at, "message", node, receivers or (subject.rpartition(".")[2],), text, envelope.call)


def _describe(envelope: Envelope) -> str:
    tags = []
    if envelope.owner:
        tags.append(f"owner {envelope.owner}")
    if envelope.seq:
        tags.append(f"after #{envelope.seq}")
    if envelope.source:
        tags.append(f"{_source(envelope.source)}, {envelope.number}")
    return f"{describe(envelope.body)}" + (f"  [{'; '.join(tags)}]" if tags else "")


def _source(source: str) -> str:
    name, _, rest = source.partition(" ")
    return f"{name} {short(rest)}" if len(rest) == 36 else source


def describe(body: Any) -> str:
    """A message in a few words."""
    fields = {
        name: value
        for name in body.__struct_fields__
        if name not in {"sdp", "began", "ended", "agent", "version", "workspace"}
        and (value := getattr(body, name)) not in (None, "", {}, 0)
    }
    shown = ", ".join(f"{name}={_plain(value)}" for name, value in fields.items())
    return f"{type(body).__name__}({shown})"


def _plain(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."


def _read_entry(states: dict[str, Call], at: float, node: str, subject: str, data: bytes) -> Line:
    call = subjects.call_of_log(subject)
    try:
        entry = decode_entry(subject, data)
    except BadMessage as error:
        return Line(at, "log", node, (BUS,), f"log: unreadable: {error}", call)
    before = states.get(call, Call(id=call))
    try:
        after, _ = step(before, entry.event, entry.at)
    except NoEdge:
        after = before
    states[call] = after
    state = f"{before.state} → {after.state}" if after.state is not before.state else ""
    return Line(
        at, "log", node, (BUS,), f"log #{entry.seq} {describe(entry.event)}  [owner {entry.owner}]", call, state
    )
