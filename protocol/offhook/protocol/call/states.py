"""The states of a call and the reasons for its end."""

from enum import StrEnum


class CallState(StrEnum):
    """Where a call stands. One call is in exactly one of these."""

    #: The session exists; no offer has been taken yet.
    CREATED = "created"
    #: A voice node prepares the media; ICE and DTLS are on their way.
    CONNECTING = "connecting"
    #: Audio can flow; the agent has been asked to take the call.
    RINGING = "ringing"
    #: Agent and caller talk.
    ANSWERED = "answered"
    #: The caller waits, hears hold audio, and the agent is silent.
    HELD = "held"
    #: The caller's audio was lost; the call waits for it to come back.
    RECONNECTING = "reconnecting"
    #: The call is over; agent and media are being closed.
    ENDING = "ending"
    #: Nothing more happens in this call.
    ENDED = "ended"


#: States in which something is still to happen.
LIVING = frozenset(CallState) - {CallState.ENDED}


class EndReason(StrEnum):
    """Why a call ended. New reasons may be added; the meaning of one never changes."""

    #: The caller hung up.
    CALLER_HANGUP = "caller_hangup"
    #: Somebody of the team ended the call.
    OPERATOR_HANGUP = "operator_hangup"
    #: The agent said goodbye.
    AGENT_COMPLETED = "agent_completed"
    #: The call went on with somebody else.
    TRANSFERRED = "transferred"
    #: The agent did not take the call in time.
    NO_ANSWER = "no_answer"
    #: The caller vanished and did not come back within the grace period.
    LOST = "lost"
    #: The call reached its longest allowed duration.
    MAX_DURATION = "max_duration"
    #: The caller said nothing for too long.
    SILENCE = "silence"
    #: Something broke; ``failure`` holds the reason word.
    FAILED = "failed"
    #: The workspace has no free line.
    AT_CAPACITY = "at_capacity"
    #: The operator shut the system down.
    SHUTDOWN = "shutdown"
