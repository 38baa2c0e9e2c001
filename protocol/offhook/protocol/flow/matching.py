"""Exact matching of phrases: all ends a phrase can reach in the words, with the slots filled on the way."""

from collections.abc import Callable, Iterable

from offhook.protocol.agent.phrases import Either, Literal, Parts, SlotRef

Words = tuple[str, ...]
Slots = dict[str, str]
#: Reads a slot (its name, the first word): ends and values.
Read = Callable[[str, int], Iterable[tuple[int, str]]]


def ends(parts: Parts, heard: Words, at: int, read: Read) -> dict[int, Slots]:
    """Where ``parts`` can end when they begin at word ``at``.

    Positions are walked as a set, so the work grows with words times parts and never with their combinations.
    """
    reached: dict[int, Slots] = {at: {}}
    for part in parts:
        following: dict[int, Slots] = {}
        for start, slots in reached.items():
            for end, more in _part_ends(part, heard, start, read):
                following.setdefault(end, {**slots, **more})
        reached = following
    return reached


def _part_ends(part: Literal | SlotRef | Either, heard: Words, at: int, read: Read) -> Iterable[tuple[int, Slots]]:
    match part:
        case Literal(words=words):
            end = at + len(words)
            return ((end, {}),) if heard[at:end] == words else ()
        case SlotRef(slot=slot):
            return [(end, {slot: value}) for end, value in read(slot, at)]
        case Either(options=options):
            return [found for option in options for found in ends(option, heard, at, read).items()]


def match(parts: Parts, heard: Words, read: Read) -> Slots | None:
    """The slots of ``heard`` if the whole of it reads as ``parts``, else None."""
    return ends(parts, heard, 0, read).get(len(heard))
