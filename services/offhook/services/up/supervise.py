"""Keep a set of child processes running until somebody says stop.

A child that ends is started again after a growing wait; one that keeps failing, or that says that its set-up is wrong
(exit code 78), ends the whole: an operator sees a clear end sooner than a system that limps.
"""

import signal
from collections.abc import Callable, Sequence

import anyio

from offhook.services.settings import BAD_SETUP_EXIT
from offhook.services.up.child import Child, Command
from offhook.services.up.limits import Failures, Limits, RoleGaveUp


def how_it_ended(code: int) -> str:
    """``exit code 3`` or ``signal SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class _Role:
    """One role: its present child and its recent failures."""

    def __init__(self, command: Command, limits: Limits, tell: Callable[[str], None]) -> None:
        self._command = command
        self._limits = limits
        self._tell = tell
        self._failures = Failures(command.name, limits)
        self.ready = anyio.Event()

    @property
    def last(self) -> bool:
        return self._command.last

    async def keep_running(self) -> None:
        """Start, watch, start again; returns never. Raises ``RoleGaveUp``."""
        while True:
            code = await self._run_once()
            await anyio.sleep(self._wait_after(code))

    async def _run_once(self) -> int:
        child = await Child.spawn(self._command)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._note_ready, child)
                code = await child.wait_ended()
                tasks.cancel_scope.cancel()
        finally:
            await child.stop(self._limits.last_grace if self.last else self._limits.grace)
        return code

    async def _note_ready(self, child: Child) -> None:
        if await child.wait_ready():
            self.ready.set()

    def _wait_after(self, code: int) -> float:
        name, ended = self._command.name, how_it_ended(code)
        if code == BAD_SETUP_EXIT:
            raise RoleGaveUp(name, f"{name} cannot start: see the message above.")
        wait = self._failures.wait_after(ended, anyio.current_time())
        self._tell(f"{name} ended with {ended}; starting it again in {wait:g} s")
        return wait


async def supervise(
    commands: Sequence[Command],
    *,
    stopped: anyio.Event,
    on_ready: Callable[[], None],
    tell: Callable[[str], None],
    limits: Limits | None = None,
) -> None:
    """Run ``commands`` until ``stopped`` is set; when it returns or raises, no child is left, those ``last`` gone last.

    ``on_ready`` is called once, when all have said that they serve; ``tell`` gets a sentence for each restart.
    Raises ``RoleGaveUp``.
    """
    roles = [_Role(command, limits or Limits(), tell) for command in commands]
    gave_up: list[RoleGaveUp] = []

    async with anyio.create_task_group() as last_tasks:
        async with anyio.create_task_group() as tasks:

            async def keep(role: _Role) -> None:
                try:
                    await role.keep_running()
                except RoleGaveUp as error:
                    gave_up.append(error)
                    tasks.cancel_scope.cancel()

            async def announce() -> None:
                for role in roles:
                    await role.ready.wait()
                on_ready()

            for role in roles:
                (last_tasks if role.last else tasks).start_soon(keep, role)
            tasks.start_soon(announce)
            await stopped.wait()
            tasks.cancel_scope.cancel()
        last_tasks.cancel_scope.cancel()
    if gave_up:
        raise gave_up[0]
