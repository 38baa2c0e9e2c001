"""The supervisor: runs actors in one task group and contains their crashes.

An actor that crashes is started again, at most ``restarts`` times within ``within`` seconds; past that it is given up
and whoever depends on it is told through ``gave_up``. A crash never reaches the other actors. Actors rebuild what they
know from the call's log or from those who ask them; nothing is carried over in memory.

This is the one place below ``services`` that catches every exception: containing a crash is its purpose.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

log = logging.getLogger("offhook.supervisor")


class Supervisor:
    """Runs actors until it is left; leaving cancels those that still run."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self.running: set[str] = set()

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    def start(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        *,
        gave_up: Callable[[Exception], None],
        restarts: int = 3,
        within: float = 10.0,
    ) -> None:
        """Run an actor. ``run`` is called again after a crash, so it must start from scratch."""
        self.running.add(name)
        self._tasks.start_soon(self._guard, name, run, gave_up, restarts, within, name=name)

    async def _guard(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        gave_up: Callable[[Exception], None],
        restarts: int,
        within: float,
    ) -> None:
        crashes: deque[float] = deque()
        try:
            while True:
                try:
                    return await run()
                except Exception as error:
                    now = anyio.current_time()
                    crashes.append(now)
                    while crashes and crashes[0] < now - within:
                        crashes.popleft()
                    log.exception("actor crashed", extra={"actor": name, "crashes": len(crashes)})
                    if len(crashes) > restarts:
                        return gave_up(error)
                    await anyio.sleep(0.05 * 2 ** len(crashes))
        finally:
            self.running.discard(name)
