"""One clock that paces what all calls of the process send.

A task per call that sleeps 20 ms costs a timer and a task switch for each packet. Here one timer serves all: the 20 ms
are cut into a few slots, each member lives in one of them, and the members of a slot act one after the other. More
slots spread the work more evenly, fewer wake the process less often: another one is used when the first are filled.
A member tells when it wants to act again, so that one that acts rarely, or has nothing to do, wakes nobody.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

#: Length of a frame, seconds, and the slots it is cut into.
FRAME = 0.02
SLOTS = 4
#: Members that fill a slot before another one is opened.
FILL = 24
#: A delay up to so many slots (0.1 s) is made up for by acting faster; what is beyond it is left out.
MAX_BEHIND = 20

#: What a member does; it gets the number of the frame and gives the frames until it wants to act again, 1 or more.
#: Frames that were left out are missing in the numbers.
Tick = Callable[[int], int]


@dataclass(slots=True, eq=False)
class _Member:
    tick: Tick
    failed: asyncio.Future[None]
    #: The slot it lives in, and the frame it wants to act in.
    index: int
    due: int


class Ticker:
    """Calls each of its members every 20 ms or less often, at an even pace that does not drift."""

    def __init__(self) -> None:
        self._slots: list[list[_Member]] = [[] for _ in range(SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        #: The slot the timer is set for, and the next one to be served, counted from the beginning.
        self._set = self._next = 0

    async def run(self, tick: Tick, *, wait: int = 0) -> None:
        """Call ``tick`` until cancelled, first after ``wait`` frames. Raises what ``tick`` raises."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._began, self._next = loop.time(), 0
        sizes = [len(slot) for slot in self._slots]
        index = next((i for i, size in enumerate(sizes) if size < FILL), sizes.index(min(sizes)))
        # The slot of this frame may have been served already.
        frame = -(-(self._next - index) // SLOTS)
        member = _Member(tick, loop.create_future(), index, frame + wait)
        self._slots[index].append(member)
        self._wake(loop)
        try:
            await member.failed
        finally:
            self._slots[index].remove(member)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer for the next slot in which a member wants to act."""
        due = min((member.due * SLOTS + member.index for slot in self._slots for member in slot), default=None)
        if self._timer is not None:
            if due == self._set:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._set = due
            self._timer = loop.call_at(self._began + due * FRAME / SLOTS, self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve the slots that are due."""
        now = int((loop.time() - self._began) / FRAME * SLOTS + 0.01)
        for number in range(max(self._set, now - MAX_BEHIND), now + 1):
            frame, index = divmod(number, SLOTS)
            for member in tuple(self._slots[index]):
                if member.due <= frame and not member.failed.done():
                    self._act(member, frame)
        self._next, self._set = now + 1, -1
        self._wake(loop)

    @staticmethod
    def _act(member: _Member, frame: int) -> None:
        try:
            member.due = frame + member.tick(frame)
        except Exception as exc:  # one call's failure, raised where that call lives: the others go on
            member.due = frame + 1
            member.failed.set_exception(exc)
