"""Understanding: which intent or answer an utterance is, in the node where it is heard.

First exactly, as the phrases say; then without words of courtesy around it; then roughly, by how much of the weight of
the words both sides share. Inner words ("the", "you") weigh little, question words more, the rest full.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial

import msgspec

from offhook.protocol.agent.document import AgentDocument, AskNode, answers_of, is_global
from offhook.protocol.agent.phrases import Flat, Literal, expansions, parse_phrase
from offhook.protocol.agent.words import ONES, words
from offhook.protocol.flow.matching import Slots, match
from offhook.protocol.flow.state import FlowState
from offhook.protocol.flow.values import readings
from offhook.protocol.speech import Heard

#: Least share of weight for a rough match, and the share that a clear beginning or value counts as.
ENOUGH = 0.66
CLEAR = 0.68
#: Expansions of one phrase that are compared roughly.
SAMPLES = 24
#: Words a name may have when it is given freely.
NAME_WORDS = 3

_COURTESY = "um uh well so okay hi hello hey oh and please yes just actually"
_INNER = (
    "a an the to of on at in for is are am do does did i you your my me we us it that this be would will can could "
    "please like want need have has and or so there just about our with by some any get got um uh hi hello hey well oh "
    "tell know think maybe"
)
_LEAD = frozenset(_COURTESY.split())
_TAIL = frozenset({"please", "thank", "you", "then", "now", "okay"})
_LIGHT = frozenset(_INNER.split())
_QUESTION = frozenset({"what", "when", "where", "who", "how", "why", "which"})
_BARE = frozenset(ONES[1:13])

#: Where a value of a slot stands in words, and the value.
Place = tuple[int, int, str]
Find = Callable[[str, tuple[str, ...]], Place | None]


class Understood(msgspec.Struct, frozen=True):
    """What an utterance means; without an ``intent`` it answers the question of the node."""

    intent: str | None
    slots: Slots


def in_scope(document: AgentDocument, state: FlowState) -> list[tuple[str | None, tuple[str, ...]]]:
    """What makes sense now, with its phrases: answers, then the node's intents, then those understood everywhere."""
    node = document.nodes.get(state.node)
    local: list[str] = []
    found: list[tuple[str | None, tuple[str, ...]]] = []
    if isinstance(node, AskNode):
        local = list(node.on)
        if not takes_text(document, node):
            found.append((None, answers_of(node)))
    found += [(name, document.intents[name].phrases) for name in local]
    found += [(name, each.phrases) for name, each in document.intents.items() if is_global(each) and name not in local]
    return found


def takes_text(document: AgentDocument, node: AskNode) -> bool:
    """True for a question whose answer is free text."""
    return bool(node.slot) and document.slots[node.slot].type == "text"


def understand(document: AgentDocument, state: FlowState, heard: Heard) -> Understood | None:
    """What ``heard`` means in this state, or None."""
    node = document.nodes.get(state.node)
    said = words(heard.text)
    if isinstance(node, AskNode) and takes_text(document, node):
        found = _exactly(document, state, said) if heard.trusted else None
        text = " ".join(heard.text.split())
        return found or (Understood(None, {node.slot: text}) if said else None)
    if not heard.trusted:
        return None
    found = _exactly(document, state, said) or _by_key(document, heard.text.strip())
    for bare in dict.fromkeys(_without_courtesy(said)):
        found = found or (_exactly(document, state, bare) if bare != said else None)
    return found or _roughly(document, state, said) or _as_name(document, state, said)


def _exactly(document: AgentDocument, state: FlowState, said: tuple[str, ...]) -> Understood | None:
    if not said:
        return None
    for intent, phrases in in_scope(document, state):
        for phrase in phrases:
            slots = match(parse_phrase(phrase), said, lambda name, at: readings(document, state.today, name, said, at))
            if slots is not None:
                return Understood(intent, slots)
    return None


def _by_key(document: AgentDocument, text: str) -> Understood | None:
    """A single key of the dialpad."""
    key = {name: each for name, each in document.intents.items() if each.key and each.key == text}
    return next((Understood(name, {}) for name in key), None)


def _without_courtesy(said: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Without words of courtesy at the end, then at both ends."""
    begin, end = 0, len(said)
    while end > begin and said[end - 1] in _TAIL:
        end -= 1
    yield said[:end]
    while begin < end and said[begin] in _LEAD:
        begin += 1
    yield said[begin:end]


# ── roughly ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _roughly(document: AgentDocument, state: FlowState, said: tuple[str, ...]) -> Understood | None:
    best, best_score = None, 0.0
    # Phrases share slots, and most say nothing of the words that others before them were taken from.
    find = cache(partial(_find, document, state))
    node = document.nodes.get(state.node)
    local = node.on if isinstance(node, AskNode) else {}
    for intent, phrases in in_scope(document, state):
        for phrase in phrases:
            for flat in _samples(phrase):
                score, slots = _compare(flat, said, find, above=max(best_score, ENOUGH), leads=intent in local)
                if score > best_score:
                    best, best_score = Understood(intent, slots), score
    return best if best_score >= ENOUGH else None


@lru_cache(maxsize=4096)
def _samples(phrase: str) -> tuple[Flat, ...]:
    return tuple(expansions(parse_phrase(phrase), SAMPLES))


def _compare(flat: Flat, said: tuple[str, ...], find: Find, *, above: float, leads: bool) -> tuple[float, Slots]:
    """Shared weight of both sides, 0 to 1, and the slots found on the way; or less, where it is below ``above``."""
    rest, slots = said, Slots()
    wanted: tuple[str, ...] = ()
    shared, slot_weight = 0.0, 0.0
    for part in flat:
        if isinstance(part, Literal):
            wanted += part.words
            continue
        slot_weight += 1.0
        place = find(part.slot, rest)
        if place is not None:
            begin, end, value = place
            slots[part.slot] = value
            rest = rest[:begin] + rest[end:]
            shared += 1.0
    if len(slots) == len(flat) == 1:
        return CLEAR, slots
    weight = _weight_of(wanted)
    begins = leads and not slot_weight and said[: len(wanted)] == wanted and weight >= 1.0
    least = CLEAR if begins else 0.0
    total = slot_weight + weight + len(slots) + _weight_of(rest)
    if 2 * (shared + weight) < above * total:
        # Far more was said than the phrase holds. Whoever types much decides how long the rest would take.
        return least, slots
    left = list(rest)
    for word in wanted:
        near = next((other for other in left if _alike(word, other)), None)
        if near is not None:
            left.remove(near)
            shared += _weight(word)
    score = 2 * shared / total if shared >= 1.0 or not left else 0.0
    return max(score, least), slots


def _find(document: AgentDocument, state: FlowState, slot: str, said: tuple[str, ...]) -> Place | None:
    """A value of ``slot`` somewhere in the words. A bare number is no time unless "at" stands before it."""
    is_time = document.slots[slot].type == "time"
    for begin in range(len(said)):
        for end, value in readings(document, state.today, slot, said, begin):
            bare = is_time and end == begin + 1 and said[begin] in _BARE
            if not bare or (begin and said[begin - 1] in {"at", "around", "about"}):
                return begin, end, value
    return None


@lru_cache(maxsize=8192)
def _weight_of(said: tuple[str, ...]) -> float:
    return sum(map(_weight, said))


def _weight(word: str) -> float:
    return 0.3 if word in _LIGHT else 0.6 if word in _QUESTION else 1.0


@lru_cache(maxsize=8192)
def _alike(word: str, other: str) -> bool:
    """The same word, or one slip away (two in long words): a letter too many, too few, wrong, or two swapped."""
    if word == other:
        return True
    shorter = min(len(word), len(other))
    slips = 2 if shorter >= 8 else 1
    # Each letter that one of them has more is a slip.
    if shorter < 4 or word[0] != other[0] or abs(len(word) - len(other)) > slips:
        return False
    return _slips(word, other) <= slips


def _slips(word: str, other: str) -> int:
    """Edit distance with swaps of neighbours (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(word, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and word[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _as_name(document: AgentDocument, state: FlowState, said: tuple[str, ...]) -> Understood | None:
    """A name that is in no list, where a name was asked for."""
    node = document.nodes.get(state.node)
    if not isinstance(node, AskNode) or not node.slot or document.slots[node.slot].type != "name":
        return None
    for lead in (("my", "name", "is"), ("it", "is"), ("this", "is"), ("i", "am")):
        if said[: len(lead)] == lead:
            said = said[len(lead) :]
    return Understood(None, {node.slot: " ".join(said)}) if 0 < len(said) <= NAME_WORDS else None


def candidates(document: AgentDocument) -> Iterator[str]:
    """All phrases of the document, answers included."""
    for intent in document.intents.values():
        yield from intent.phrases
    for node in document.nodes.values():
        if isinstance(node, AskNode) and not takes_text(document, node):
            yield from answers_of(node)
