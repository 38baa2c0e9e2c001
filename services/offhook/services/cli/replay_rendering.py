"""A replay as a person reads it in a terminal, and as JSON. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from offhook.protocol.call import Call, CallState
from offhook.protocol.call import effects as do
from offhook.protocol.replay import Difference, Passage, walk
from offhook.services.cli.log_reading import Story
from offhook.services.cli.rendering import plain

#: Characters of a value that are shown.
SHOWN = 70

#: Fields that are seconds since the epoch.
_TIMES = frozenset({"began", "ended"})

_RECEIVERS = (
    ((do.OpenMedia,), "a voice node"),
    (do.ToMedia.__args__, "media"),
    (do.ToAgent.__args__, "agent"),
    (do.ToSignaling.__args__, "caller"),
)


def replay_text(story: Story) -> RenderableType:
    """The walk along a log, and whether it equals the record."""
    parts: list[RenderableType] = [Text(f"Call {plain(story.call)}", style="bold"), Text("")]
    if story.entries:
        parts += [_walk(walk(story.call, story.entries)), Text("")]
    parts += [
        Text(f"Message {lost.revision} of the log is no entry: {plain(lost.why)}", "red") for lost in story.unreadable
    ]
    return Group(*parts, *_verdict(story))


def replay_json(story: Story) -> dict[str, Any]:
    """The same as plain data."""
    began = story.entries[0].at if story.entries else 0.0
    return {
        "call": story.call,
        "entries": [_plain_passage(passage, began) for passage in walk(story.call, story.entries)],
        "unreadable": msgspec.to_builtins(story.unreadable),
        "proof": {
            "equal": story.proved,
            "trouble": story.trouble,
            "differences": msgspec.to_builtins(story.differences),
        },
    }


def _plain_passage(passage: Passage, began: float) -> dict[str, Any]:
    entry = passage.entry
    return {
        **msgspec.to_builtins(entry),
        "since_start": round(entry.at - began, 6),
        "before": _standing(passage.before),
        "after": _standing(passage.after),
        "effects": msgspec.to_builtins(passage.effects),
        "refused": passage.refused,
    }


def _standing(call: Call) -> dict[str, Any]:
    return {"state": call.state.value, "epoch": call.epoch}


# ── the walk ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _walk(passages: list[Passage]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("SEQ", "TIME"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("WHAT HAPPENED", overflow="fold")
    began, owner = passages[0].entry.at, 0
    for passage in passages:
        entry = passage.entry
        lines = list(_happening(passage, began))
        if entry.owner != owner:
            # A new epoch in the middle: another gateway has taken the call over, or the same one after a crash.
            lines.insert(0, Text(f"owned in epoch {entry.owner}", "yellow"))
        owner = entry.owner
        time = Text(f"+{entry.at - began:.3f} s", "dim")
        table.add_row(Text(str(entry.seq)), time, _state(passage), Group(*lines))
    return table


def _state(passage: Passage) -> Text:
    before, after = passage.before.state, passage.after.state
    if before is after:
        return Text(after.value, "dim")
    return Text.assemble(f"{before.value} -> ", (after.value, "bold red" if after is CallState.ENDED else "bold"))


def _happening(passage: Passage, began: float) -> Iterator[Text]:
    entry = passage.entry
    source = f"report {entry.number} of {plain(entry.source)}" if entry.source else "by the session"
    yield Text.assemble((type(entry.event).__name__, "bold cyan"), (f"  {source}", "dim"))
    for name, value in _fields(entry.event):
        yield Text(f"  {name}: {f'+{value - began:.3f} s' if name in _TIMES else _short(value)}")
    for effect in passage.effects:
        yield Text(f"  -> {_receiver(effect)}: {_spell(effect)}", "green")
    if passage.refused:
        yield Text(f"  changes nothing: {passage.refused}", "red")


def _fields(value: msgspec.Struct) -> Iterable[tuple[str, Any]]:
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return ((name, field) for name, field in fields.items() if name != "type" and field is not None)


def _spell(effect: do.Effect) -> str:
    fields = ", ".join(f"{name} {_short(field)}" for name, field in _fields(effect))
    return f"{type(effect).__name__} {fields}".rstrip()


def _receiver(effect: do.Effect) -> str:
    return next(name for kinds, name in _RECEIVERS if isinstance(effect, kinds))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not text:
        return '""'
    first = text.splitlines()[0]
    if first == text and len(text) <= SHOWN:
        return plain(text)
    return f"{plain(first[:SHOWN])} ... ({len(text):,} characters)"


# ── the proof ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(story: Story) -> Iterator[Text]:
    if story.trouble:
        yield Text(story.trouble, "red")
    elif story.differences:
        yield Text("The record is not what the log says:", "red")
        yield from map(_spell_difference, story.differences)
    else:
        yield Text(f"The fold of the {_entries(story)} equals the record, field by field.", "green")


def _entries(story: Story) -> str:
    return f"{len(story.entries)} entries" if len(story.entries) != 1 else "one entry"


def _spell_difference(difference: Difference) -> Text:
    return Text(f"  {difference.field}: log {_short(difference.log)}, record {_short(difference.record)}", "red")
