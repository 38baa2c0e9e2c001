"""The line between one socket and one call: orders of the session come in, reports and asides go out."""

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from offhook.actors.inbox import Inbox
from offhook.actors.ports import Bus, BusAway
from offhook.actors.reporter import Reporter, open_reporter
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.messages import TO_SIGNALING, Aside, Envelope, encode

log = logging.getLogger("offhook.signaling")

#: Seconds to wait for the session to take the last report of a socket that is gone.
FAREWELL = 10.0


class CallLine:
    """One socket's line to its call. ``socket`` is the socket's id; orders go to ``take``."""

    def __init__(self, bus: Bus, call: str, *, socket: str, take: Callable[[Envelope], Awaitable[None]]) -> None:
        self.call = call
        self._bus = bus
        self._socket = socket
        self._take = take
        self._passed = 0
        self._scope = anyio.CancelScope()
        self._reporter: Reporter

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Pass orders on until ``cut``; started once nothing that the session says can be missed."""
        subject = subjects.signaling(self.call)
        with self._scope:
            async with (
                self._bus.subscribe(subject) as stream,
                open_reporter(self._bus, self.call, f"socket {self._socket}") as self._reporter,
            ):
                task_status.started()
                async for order in Inbox(self._bus, stream, subject=subject, kinds=TO_SIGNALING, call=self.call):
                    await self._take(order)

    def cut(self) -> None:
        """End the line."""
        self._scope.cancel()

    def report(self, fact: CallEvent) -> None:
        """Tell the session, in order and surely."""
        self._reporter.report(fact)

    async def part(self, fact: CallEvent) -> None:
        """Tell the session the last thing, and wait a while until it knows."""
        self._reporter.report(fact)
        with anyio.move_on_after(FAREWELL):
            await self._reporter.wait_confirmed()

    async def pass_on(self, subject: str, body: Aside) -> None:
        """Send something that does not touch the call's state, at most once; numbered, so that it counts once."""
        self._passed += 1
        envelope = Envelope(call=self.call, source=f"socket {self._socket}", number=self._passed, body=body)
        try:
            await self._bus.publish(subject, encode(envelope))
        except BusAway:
            log.warning("frame lost, the bus is away", extra={"call": self.call})
