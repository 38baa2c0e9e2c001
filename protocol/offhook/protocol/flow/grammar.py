"""What a recognizer should expect: a grammar of the present node, and sample sentences of the whole document."""

from collections.abc import Iterator

from offhook.protocol.agent.document import AgentDocument, AskNode
from offhook.protocol.agent.hours import say_time
from offhook.protocol.agent.phrases import (
    Either,
    Flat,
    Literal,
    Parts,
    SlotRef,
    count,
    expansions,
    parse_phrase,
    slots_of,
)
from offhook.protocol.flow.state import FlowState
from offhook.protocol.flow.understanding import candidates, in_scope, takes_text
from offhook.protocol.flow.values import GRAMMARS, NAMES
from offhook.protocol.speech import Hints

#: Most sample sentences.
MAX_SENTENCES = 2_000

#: Hours in an order in which appointments are likely.
_HOURS = ("nine", "ten", "eleven", "two", "three", "four", "one", "five", "six", "seven", "eight", "twelve")
_HEADER = "#JSGF V1.0;\ngrammar now;\n"
_SAMPLES: dict[str, tuple[str, ...]] = {
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "today", "tomorrow"),
    "time": (
        *(say_time(f"{hour:02}:{minute:02}") for hour in range(8, 20) for minute in (0, 30)),
        *(f"{hour} {half}" for hour in _HOURS for half in ("am", "pm")),
        *(f"half past {hour}" for hour in _HOURS),
        *_HOURS,
        "noon",
    ),
    "number": ("two", "three", "five", "ten", "twenty", "forty two"),
    "phone": (
        "five five five one two three four",
        "nine eight seven six oh two",
        "zero four one seven three eight six",
    ),
    "name": tuple(NAMES),
    "text": (),
}


def grammar(document: AgentDocument, state: FlowState) -> str:
    """A JSGF file of every sentence that makes sense now, what is understood everywhere included.

    "please" may end any of them. A question for free text has only its intents here: see ``hints``.
    """
    scope = [phrase for _intent, phrases in in_scope(document, state) for phrase in phrases]
    parsed = list(dict.fromkeys(map(parse_phrase, scope)))
    public = "public <now> = (" + "\n  | ".join(map(_rule, parsed)) + ") [please];\n"
    used = sorted({slot for parts in parsed for slot in slots_of(parts)})
    return _HEADER + public + "".join(f"<slot_{name}> = {_slot_rule(document, state, name)};\n" for name in used)


def hints(document: AgentDocument, state: FlowState, *, sentences: tuple[str, ...] = ()) -> Hints:
    """What the recognizer should expect; no grammar where free text is asked for. ``sentences`` are passed through."""
    node = document.nodes.get(state.node)
    free = isinstance(node, AskNode) and takes_text(document, node)
    return Hints(
        grammar=None if free else grammar(document, state),
        sentences=sentences,
        language=document.languages[0],
    )


def sentences(document: AgentDocument) -> tuple[str, ...]:
    """At most ``MAX_SENTENCES`` sentences of the whole document, each phrase with a fair share."""
    parsed = list(dict.fromkeys(map(parse_phrase, candidates(document))))
    share = max(1, MAX_SENTENCES // max(1, len(parsed)))
    found = dict.fromkeys(
        _sample(document, flat, index) for parts in parsed for index, flat in enumerate(_spread(parts, share))
    )
    return tuple(sentence for sentence in found if sentence)[:MAX_SENTENCES]


def _spread(parts: Parts, share: int) -> Iterator[Flat]:
    """Expansions up to ``share``; those with slots come several times, for several values."""
    flats = list(expansions(parts, share))
    has_slots = any(isinstance(part, SlotRef) for flat in flats for part in flat)
    times = max(1, min(share // len(flats), 40)) if has_slots else 1
    for _round in range(times):
        yield from flats


def _sample(document: AgentDocument, flat: Flat, index: int) -> str:
    """One sentence; values rotate with ``index``."""
    said: list[str] = []
    for place, part in enumerate(flat):
        if isinstance(part, Literal):
            said.append(part.written)
            continue
        slot = document.slots[part.slot]
        values = _choice_samples(slot.values) if slot.type == "choice" else _SAMPLES[slot.type]
        said.append(values[(index * 7 + place) % len(values)])
    return " ".join(said)


def _choice_samples(values: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    phrases = [parse_phrase(phrase) for options in values.values() for phrase in options]
    flats = [flat for parts in phrases for flat in expansions(parts, min(count(parts), 4))]
    return tuple(" ".join(part.written for part in flat if isinstance(part, Literal)) for flat in flats)


# ── JSGF ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rule(parts: Parts) -> str:
    return " ".join(map(_part, parts))


def _part(part: Literal | SlotRef | Either) -> str:
    match part:
        case Literal(written=written):
            return written
        case SlotRef(slot=slot):
            return f"<slot_{slot}>"
        case Either(options=options):
            inner = " | ".join(_rule(option) for option in options if option)
            return f"[{inner}]" if () in options else f"({inner})"


def _slot_rule(document: AgentDocument, state: FlowState, name: str) -> str:
    slot = document.slots[name]
    if slot.type == "choice":
        return " | ".join(_rule(parse_phrase(phrase)) for phrases in slot.values.values() for phrase in phrases)
    if slot.type == "day" and state.today is not None:
        return f"{GRAMMARS['day']} | {GRAMMARS['today']}"
    return GRAMMARS[slot.type]
