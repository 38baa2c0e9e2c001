"""What an operator does with a call that goes on: hold, resume, end (H1)."""

from typing import Literal

import anyio

from offhook.actors.ports import Bus
from offhook.actors.reporter import open_reporter
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent, CallState, LogEntry, fold
from offhook.protocol.call import events as ev
from offhook.protocol.errors import OffhookError
from offhook.protocol.messages import BadMessage, decode_entry

#: Seconds for the gateway that owns the call to take an order.
PATIENCE = 5.0

Order = Literal["hold", "resume", "end"]
#: Each order as a fact for the session.
FACTS: dict[Order, CallEvent] = {"hold": ev.CallHeld(), "resume": ev.CallResumed(), "end": ev.OperatorHungUp()}
_OVER = frozenset({CallState.ENDING, CallState.ENDED})
#: Why an order cannot be followed, by the state of the call, with a code; in other states it is too early.
_REFUSALS: dict[tuple[Order, CallState], tuple[str, str]] = {
    ("hold", CallState.HELD): ("call_on_hold", "is on hold already."),
    ("resume", CallState.ANSWERED): ("call_not_on_hold", "is not on hold."),
}


class OrderRefused(OffhookError):
    """The call cannot do that now; nothing has changed. ``why`` goes on after the name of the call."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"The call {why}")
        self.code = code
        self.why = why


class OrderNotTaken(OffhookError):
    """Nobody took the order in time; it may still be followed."""


async def give_order(bus: Bus, call: str, order: Order, *, source: str) -> CallState:
    """Give an order to the session of a call; the state of the call afterwards.

    ``source`` names this one order: the session takes it once, however often it is sent. Raises ``OrderRefused``,
    ``OrderNotTaken``, ``BusAway``.
    """
    state = await _state_of(bus, call)
    if state in _OVER:
        raise _refused(order, state)
    accepted = None
    async with open_reporter(bus, call, source) as reporter:
        with anyio.move_on_after(PATIENCE):
            accepted = await reporter.ask(FACTS[order])
    state = await _state_of(bus, call)
    if accepted:
        return state
    if accepted is None and state not in _OVER:
        raise OrderNotTaken(f"Nobody took the order within {PATIENCE:.0f} seconds. Does a gateway run on this bus?")
    raise _refused(order, state)


async def _state_of(bus: Bus, call: str) -> CallState:
    entries: list[LogEntry] = []
    for stored in await bus.read_log(subjects.log(call)):
        try:
            entries.append(decode_entry(stored.subject, stored.data))
        except BadMessage:
            # The session passed over it, too.
            continue
    return fold(call, entries).state


def _refused(order: Order, state: CallState) -> OrderRefused:
    if state in _OVER:
        return OrderRefused("call_ended", "has ended.")
    code, why = _REFUSALS.get(
        (order, state), ("call_not_answered", f"is {state.value} now: try again when it was answered.")
    )
    return OrderRefused(code, why)
