"""Who hears whom when more than two take part in a call (H2): a table, and what follows from it.

A visitor talks with an agent, which is a machine or a person. Somebody of the team may listen in, whom nobody hears,
or whisper: then the agent hears it and the visitor does not. Taking a call over is a change of part.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TypeVar

from offhook.protocol.errors import OffhookError

#: Most parties of one call.
MAX_PARTIES = 4

Name = TypeVar("Name")


class Part(StrEnum):
    """What somebody does in a call."""

    #: Whoever called.
    VISITOR = "visitor"
    #: Whoever talks with the visitor: a machine or a person.
    AGENT = "agent"
    #: Hears both and is heard by nobody.
    LISTENER = "listener"
    #: Hears both and is heard by the agent only.
    WHISPERER = "whisperer"


#: The parts that each part hears; nobody hears itself.
HEARS: dict[Part, frozenset[Part]] = {
    Part.VISITOR: frozenset({Part.AGENT}),
    Part.AGENT: frozenset({Part.VISITOR, Part.AGENT, Part.WHISPERER}),
    Part.LISTENER: frozenset({Part.VISITOR, Part.AGENT}),
    Part.WHISPERER: frozenset({Part.VISITOR, Part.AGENT}),
}


class RoomFull(OffhookError):
    """A call has as many parties as it can have."""


def plan(parties: Mapping[Name, Part]) -> dict[Name, tuple[Name, ...]]:
    """For each party, those it hears. Raises ``RoomFull``."""
    if len(parties) > MAX_PARTIES:
        raise RoomFull(f"At most {MAX_PARTIES} parties can take part in one call.")
    return {
        hearer: tuple(heard for heard, part in parties.items() if heard != hearer and part in HEARS[own])
        for hearer, own in parties.items()
    }


def is_passed_on(sources: Collection[Name], *, takes_packets: bool) -> bool:
    """Whether a party gets the packets of the one it hears as they are; else what it hears is decoded and mixed."""
    return takes_packets and len(sources) == 1


def decoded(plans: Mapping[Name, tuple[Name, ...]], takers: Collection[Name]) -> set[Name]:
    """The parties whose packets must be decoded: those that somebody hears mixed. ``takers`` take packets."""
    return {
        heard
        for hearer, sources in plans.items()
        if not is_passed_on(sources, takes_packets=hearer in takers)
        for heard in sources
    }
