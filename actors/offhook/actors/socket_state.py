"""What a signaling socket is good for: which frames make sense without a call, while one is opened, and in one."""

from enum import StrEnum

from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.signal import ClientFrame, Close, Dtmf, IceCandidate, Info, Offer, Resume, Text


class SocketState(StrEnum):
    """What a socket is good for."""

    #: No call yet: an offer is expected.
    OPEN = "open"
    #: An offer is being looked at.
    OPENING = "opening"
    #: A caller asks to come back to its call.
    RETURNING = "returning"
    #: There is a call; its answer has not come yet.
    OFFERED = "offered"
    #: The call's answer was sent.
    ANSWERED = "answered"


#: Which frames make sense in which state; a new offer in a call repeats the first, or brings new media.
ALLOWED: dict[SocketState, tuple[type[ClientFrame], ...]] = {
    SocketState.OPEN: (Offer, Resume, Close),
    SocketState.OPENING: (IceCandidate, Close),
    SocketState.RETURNING: (Close,),
    SocketState.OFFERED: (IceCandidate, Close, Offer, Info, Text, Dtmf),
    SocketState.ANSWERED: (IceCandidate, Close, Offer, Info, Text, Dtmf),
}

_EXPLAINED = {
    SocketState.OPEN: "there is no call on this connection yet, send an offer first.",
    SocketState.OPENING: "the offer is still being looked at.",
    SocketState.RETURNING: "wait for 'resumed'.",
    SocketState.OFFERED: "the call is being set up.",
    SocketState.ANSWERED: "the call is up.",
}


def require(frame: ClientFrame, state: SocketState) -> None:
    """Raises ``Refusal`` with ``invalid_state`` for a frame that makes no sense now."""
    if not isinstance(frame, ALLOWED[state]):
        kind = frame.__struct_config__.tag
        raise Refusal(
            Reason.INVALID_STATE,
            f"A frame of type {kind!r} makes no sense now: {_EXPLAINED[state]}",
            state=state.value,
        )
