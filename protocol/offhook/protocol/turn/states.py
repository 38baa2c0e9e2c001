"""The states of a turn: who has the floor in an answered call."""

from enum import StrEnum


class TurnState(StrEnum):
    """Who has the floor. The agent of a call is in exactly one of these."""

    #: The agent neither speaks nor hears: not answered yet, on hold, or stopped.
    SILENT = "silent"
    #: Nobody speaks; the agent waits for the caller.
    LISTENING = "listening"
    #: The caller speaks.
    HEARING = "hearing"
    #: The caller has finished; the agent recognizes and thinks.
    THINKING = "thinking"
    #: The agent speaks.
    SPEAKING = "speaking"
    #: The caller speaks into the agent's words; the agent has fallen silent and waits for what it hears.
    INTERRUPTED = "interrupted"
    #: It was no interruption; the agent picks up its own words again.
    RESUMING = "resuming"
