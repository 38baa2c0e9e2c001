"""``/v1/calls/{call_id}/hold``, ``/resume`` and ``/end``: what an operator does with a call that goes on (H1)."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from offhook.actors.operator import Order
from offhook.protocol.call import CallState
from offhook.services.api.access import Threads
from offhook.services.api.calls import CallHistory
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route

#: Gives an order to a call; the second is what the order is told from others by. Returns the call's state afterwards.
#: Raises ``OrderRefused``, ``OrderNotTaken``, ``BusAway``.
GiveOrder = Callable[[str, Order, str], Awaitable[CallState]]

_SUMMARIES: dict[Order, str] = {"hold": "Put a call on hold", "resume": "Take a call off hold", "end": "End a call"}


class CallNow(msgspec.Struct, frozen=True):
    """A call after an order."""

    id: str
    state: CallState


class CallOrders:
    """Orders to living calls."""

    def __init__(self, history: CallHistory, give: GiveOrder, in_thread: Threads) -> None:
        self._history = history
        self._give = give
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        handlers = {"hold": self.hold, "resume": self.resume, "end": self.end}
        return [
            Route(
                method="POST", path=f"/v1/calls/{{call_id}}/{order}", handle=handlers[order], summary=summary,
                scope="calls:write", gives=CallNow,
            )
            for order, summary in _SUMMARIES.items()
        ]  # fmt: skip

    async def hold(self, ask: Ask[Nothing, Nothing]) -> CallNow:
        """The caller hears hold audio, the agent hears nothing, and the page shows it.

        What cannot be done is a 409: `call_on_hold`, `call_not_answered` or `call_ended`.
        """
        return await self._order(ask, "hold")

    async def resume(self, ask: Ask[Nothing, Nothing]) -> CallNow:
        """Agent and caller go on.

        What cannot be done is a 409: `call_not_on_hold`, `call_not_answered` or `call_ended`.
        """
        return await self._order(ask, "resume")

    async def end(self, ask: Ask[Nothing, Nothing]) -> CallNow:
        """The caller is told, and what was said is kept. A call that has ended is a 409, `call_ended`."""
        return await self._order(ask, "end")

    async def _order(self, ask: Ask[Nothing, Nothing], order: Order) -> CallNow:
        call = ask.path["call_id"]
        record = await self._in_thread(partial(self._history.call, call, exact=True))
        if record.workspace != ask.workspace:
            # Word for word what an id that does not exist gets.
            raise Problem(404, "call_not_found", "There is no call with this id.")
        return CallNow(call, await self._give(call, order, f"operator {secrets.token_hex(8)}"))
