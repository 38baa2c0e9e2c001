"""The mind of an agent: follows what its brain says to one thing at a time, and gives away what it must remember."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.ports import Brain, Lasting
from offhook.protocol.call import Memory
from offhook.protocol.speech import BrainAction

log = logging.getLogger("offhook.agent")

#: Most bytes that a brain can have kept: they travel in one message.
LONGEST_MIND = 64 * 1024


class Thought(msgspec.Struct, frozen=True):
    """An action of the brain in reply ``number``; None: the reply is complete."""

    number: int
    action: BrainAction | None


class Mind:
    """Asks one brain. What it answers goes to ``tell``."""

    def __init__(self, brain: Brain, *, tell: Callable[[Thought], Awaitable[None]], tasks: TaskGroup) -> None:
        self.brain = brain
        #: Number of the reply that is being made; thoughts of an earlier one are stale.
        self.number = 0
        self._tell = tell
        self._tasks = tasks
        self._scope = anyio.CancelScope()
        self._thinking = anyio.Lock()

    def ask(self, answer: AsyncIterator[BrainAction]) -> None:
        """Follow ``answer``; the one before it is dropped."""
        self.drop()
        self._scope = anyio.CancelScope()
        self._tasks.start_soon(self._follow, self.number, answer, self._scope)

    def drop(self) -> None:
        """Stop the answer that is being made."""
        self._scope.cancel()
        self.number += 1

    def keep(self) -> str:
        """What another brain must know to go on; empty where there is nothing, or too much."""
        mind = self.brain.keep() if isinstance(self.brain, Lasting) else ""
        if (size := len(mind.encode())) > LONGEST_MIND:
            log.warning("the brain remembers too much to be kept", extra={"bytes": size})
            return ""
        return mind

    async def _follow(self, number: int, answer: AsyncIterator[BrainAction], scope: anyio.CancelScope) -> None:
        with scope:
            # A dropped answer whose tool still runs is not over: the brain thinks one thing at a time.
            async with self._thinking:
                try:
                    async for action in answer:
                        await self._tell(Thought(number, action))
                finally:
                    # A generator that is left in the middle is closed here, and not whenever it is collected.
                    if isinstance(answer, AsyncGenerator):
                        await answer.aclose()
                await self._tell(Thought(number, None))


def take_up(brain: Brain, memory: Memory) -> AsyncIterator[BrainAction]:
    """The first words of ``brain`` in a conversation that another one has begun.

    One that cannot go on where the other stood knows nothing; it says what it says to a caller who is silent.
    """
    if isinstance(brain, Lasting) and memory.mind:
        return brain.take_up(memory)
    return brain.wait()
