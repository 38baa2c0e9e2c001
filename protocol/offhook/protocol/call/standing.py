"""The orders that stand in a state: what the other actors should be doing now, whatever they were told before.

Orders get lost: on the bus, and with an owner that dies between the log and the bus. So the owner repeats those that
stand, and a new owner begins with them. Whoever obeys one has to take it twice.
"""

from offhook.protocol.call import effects as do
from offhook.protocol.call.states import CallState
from offhook.protocol.call.step import Call, open_media


def standing(call: Call) -> list[do.CallEffect]:
    """The orders that stand for ``call``, in the order they are to be posted."""
    # Voice nodes that only seemed to be gone may still have it.
    others: list[do.CallEffect] = [do.CloseMedia(before=call.opening)] if call.opening > 1 else []
    return others + _standing(call)


def _standing(call: Call) -> list[do.CallEffect]:
    match call.state:
        case CallState.CONNECTING if call.offer is not None and call.answer is None:
            return [open_media(call, call.offer.sdp)]
        case CallState.CONNECTING if call.reply is not None:
            return [do.TakeAnswer(sdp=call.reply)]
        case CallState.CONNECTING if call.we_offer and call.answer is not None:
            return [do.SendOffer(sdp=call.answer)]
        case CallState.RINGING:
            return [do.RingAgent()]
        case CallState.ANSWERED:
            return [do.ResumeMedia(), do.StartAgent()]
        case CallState.HELD:
            return [do.HoldAgent(), do.HoldMedia()]
        case CallState.RECONNECTING if call.node is None:
            return [] if call.reoffer is None else [open_media(call, call.reoffer)]
        case CallState.RECONNECTING:
            return [do.HoldAgent()]
        case CallState.ENDING:
            return [do.StopAgent()]
        case _:
            return []
