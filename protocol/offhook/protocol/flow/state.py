"""Where a flow stands, and what one move of it says."""

from enum import StrEnum
from typing import Any

import msgspec

from offhook.protocol.speech import BrainAction

#: Entries of ``FlowState.path`` that are kept.
PATH_LENGTH = 50


class UseTool(msgspec.Struct, frozen=True, tag=True):
    """Use a tool, tell the flow what became of it (``returned``), and go on. It is the last step of its move."""

    name: str
    arguments: dict[str, str]


class Outcome(StrEnum):
    """What became of the tool of the present node."""

    #: It has not run, or the node is none that uses a tool.
    NONE = "none"
    RETURNED = "returned"
    FAILED = "failed"


class FlowState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a conversation along a document must remember; it can be stored and taken up anywhere."""

    #: The present node; between two turns it is nearly always a question.
    node: str
    #: Filled slots: a weekday (``monday``), a time (``15:30``), digits, or the words.
    slots: dict[str, str] = {}
    #: Variables of the call, the document's defaults included.
    variables: dict[str, str] = {}
    #: Weekday of the call, or None when it is not known; "tomorrow" needs it.
    today: str | None = None
    #: Answers in a row that were not understood, and silences in a row.
    repairs: int = 0
    silences: int = 0
    #: Digits of a telephone number that were dialed so far.
    dialed: str = ""
    #: The question the caller was taken away from.
    back: str = ""
    #: What was said in the last turn, for "say that again".
    last: tuple[str, ...] = ()
    #: The latest nodes, in order.
    path: tuple[str, ...] = ()
    #: How often each text was used, so that its variants take turns.
    used: dict[str, int] = {}
    #: Tool -> what it returned last: the fields that hold a text, a number, or yes or no, as they are spoken.
    results: dict[str, dict[str, str]] = {}
    #: What became of the tool of the present node.
    outcome: Outcome = Outcome.NONE
    #: The call was asked to end; it goes on if the caller still says something.
    finished: bool = False

    def but(self, **changes: Any) -> "FlowState":
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class Step(msgspec.Struct, frozen=True):
    """One action, and where the flow stands once it was taken."""

    action: BrainAction | UseTool
    state: FlowState
