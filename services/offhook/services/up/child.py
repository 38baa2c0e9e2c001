"""One child process: started with a pipe it says it is ready on, and a stdin whose end tells it that we are gone."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import anyio
import anyio.abc
import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """How to start one role."""

    name: str
    #: The arguments, given the file descriptor on which the child says that it is ready.
    arguments: Callable[[int], Sequence[str]]
    #: Variables added to our own environment; for what must not stand in a process list.
    environment: Mapping[str, str] = {}
    #: Ended once all that are not last have ended: it has to hear what they still say.
    last: bool = False


class Child:
    """A running child process, in a session of its own: Ctrl-C in a terminal reaches the supervisor only."""

    def __init__(self, process: anyio.abc.Process, ready_fd: int) -> None:
        self._process = process
        self._ready_fd = ready_fd
        #: True once the child has said that it serves.
        self.ready = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        return self._process.returncode

    @classmethod
    async def spawn(cls, command: Command) -> "Child":
        """Start the child; its stdout goes where our stderr goes."""
        reading, writing = os.pipe()
        try:
            process = await anyio.open_process(
                list(command.arguments(writing)),
                stdin=-1,  # a pipe that we never write to; it ends when we do, however we end
                stdout=sys.stderr.fileno(),
                stderr=None,
                env={**os.environ, **command.environment},
                pass_fds=[writing],
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(process, reading)

    async def wait_ready(self) -> bool:
        """Wait for the ready line; False when the child ended or closed the pipe without it."""
        said = b""
        while not said.endswith(b"ready\n"):
            await anyio.wait_readable(self._ready_fd)
            more = os.read(self._ready_fd, 64)
            if not more:
                return False
            said += more
        self.ready = True
        return True

    async def wait_ended(self) -> int:
        """Wait for its end; returns the exit code."""
        return await self._process.wait()

    async def stop(self, grace: float) -> None:
        """SIGTERM, after ``grace`` seconds SIGKILL to it and to whatever it has started. Shielded; safe to repeat."""
        with anyio.CancelScope(shield=True):
            if self.returncode is None:
                self._process.terminate()
                with anyio.move_on_after(grace):
                    await self._process.wait()
            self._kill_session()
            await self._process.wait()
            await self._process.aclose()
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
            self._ready_fd = -1

    def _kill_session(self) -> None:
        # The child leads its process group: workers it left behind end with it. No such group: nobody was left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
