"""What an operator does with a call that goes on: hold, resume, end."""

import secrets
from pathlib import Path

import anyio

from offhook.actors.reporter import open_reporter
from offhook.protocol.call import CallEvent, CallState, fold
from offhook.protocol.call import events as ev
from offhook.protocol.errors import OffhookError
from offhook.services.cli.log_reading import open_archive
from offhook.services.cli.rendering import SHORT_ID

#: Seconds for the gateway that owns the call to take an order.
PATIENCE = 5.0
#: What each order is as a fact for the session, and what it has made of the call then.
ORDERS: dict[str, tuple[CallEvent, str]] = {
    "hold": (ev.CallHeld(), "is on hold: the caller hears hold audio. Go on with: offhook calls resume"),
    "resume": (ev.CallResumed(), "goes on."),
    "end": (ev.OperatorHungUp(), "was ended."),
}
_OVER = frozenset({CallState.ENDING, CallState.ENDED})
#: Why an order cannot be followed, by the state of the call; in other states it is too early.
_REFUSALS = {
    ("hold", CallState.HELD): "is on hold already",
    ("resume", CallState.ANSWERED): "is not on hold",
}


class OrderRefused(OffhookError):
    """The call cannot do that now; nothing has changed."""


async def order_call(data: Path, nats: str | None, start: str, order: str, *, store: str | None = None) -> str:
    """Give one of ``ORDERS`` to a call, by its id or the beginning of it; says what came of it.

    Raises ``OrderRefused``, ``CallNotFound``, ``AmbiguousCall``, ``NoBus``, ``NatsUnavailable``.
    """
    fact, outcome = ORDERS[order]
    async with open_archive(data, nats, store) as archive:
        call = archive.find(start)
        state = fold(call, list((await archive.read(call)).entries)).state
        if state in _OVER:
            raise OrderRefused(_refusal(order, call, state, heard=True))
        accepted = None
        # Each order is a source of its own: the session takes it once, however often it is sent.
        async with open_reporter(archive.bus, call, f"operator {secrets.token_hex(8)}") as reporter:
            with anyio.move_on_after(PATIENCE):
                accepted = await reporter.ask(fact)
        if not accepted:
            state = fold(call, list((await archive.read(call)).entries)).state
            raise OrderRefused(_refusal(order, call, state, heard=accepted is not None))
    tail = f" {call[:SHORT_ID]}" if outcome.endswith("resume") else ""
    return f"Call {call[:SHORT_ID]} {outcome}{tail}"


def _refusal(order: str, call: str, state: CallState, *, heard: bool) -> str:
    name = f"Call {call[:SHORT_ID]}"
    if state in _OVER:
        return f"{name} has ended."
    if not heard:
        return f"Nobody took the order for {name} within {PATIENCE:.0f} seconds. Does a gateway run on this bus?"
    if known := _REFUSALS.get((order, state)):
        return f"{name} {known}."
    return f"{name} is {state.value} now: try again when it was answered."
