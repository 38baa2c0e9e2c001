"""One clock that paces what all calls of the process send.

A task per call that sleeps 20 ms costs a timer and a task switch for each packet. Here one timer serves all: the 20 ms
are cut into a few slots, each call lives in one of them, and the calls of a slot send one after the other. More slots
spread the work more evenly, fewer wake the process less often: another one is used when the first are filled.
"""

import asyncio
from collections.abc import Callable

#: Length of a frame, seconds, and the slots it is cut into.
FRAME = 0.02
SLOTS = 4
#: Calls that fill a slot before another one is opened: as long as there are few, the process is woken less often.
FILL = 8
#: A delay up to so many slots (0.1 s) is made up for by sending faster; what is beyond it is left out.
MAX_BEHIND = 20

#: What a call does each 20 ms; it gets the number of the frame. Frames that were left out are missing in the numbers.
Tick = Callable[[int], None]


class Ticker:
    """Calls each of its members every 20 ms, at an even pace that does not drift."""

    def __init__(self) -> None:
        self._slots: list[list[tuple[Tick, asyncio.Future[None]]]] = [[] for _ in range(SLOTS)]
        self._running = False
        self._began = 0.0
        #: The next slot, counted from the beginning.
        self._next = 0

    async def run(self, tick: Tick) -> None:
        """Call ``tick`` for each frame until cancelled. Raises what ``tick`` raises."""
        loop = asyncio.get_running_loop()
        member = tick, loop.create_future()
        slot = next((slot for slot in self._slots if len(slot) < FILL), None) or min(self._slots, key=len)
        slot.append(member)
        if not self._running:
            self._running, self._began, self._next = True, loop.time(), 0
            loop.call_soon(self._work, loop)
        try:
            await member[1]
        finally:
            slot.remove(member)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve the slots that are due, and set the timer for the next one that has members."""
        due = int((loop.time() - self._began) / FRAME * SLOTS + 0.01)
        for number in range(max(self._next, due - MAX_BEHIND), due + 1):
            frame, index = divmod(number, SLOTS)
            for tick, failed in tuple(self._slots[index]):
                try:
                    tick(frame)
                except Exception as exc:  # one call's failure, raised where that call lives: the others go on
                    if not failed.done():
                        failed.set_exception(exc)
        ahead = next((n for n in range(1, SLOTS + 1) if self._slots[(due + n) % SLOTS]), None)
        if ahead is None:
            self._running = False
            return
        self._next = due + ahead
        loop.call_at(self._began + self._next * FRAME / SLOTS, self._work, loop)
