"""When a process ends: on a signal, or when whoever started it is gone.

Both ways meet in SIGTERM: a thread that watches stdin turns its end into the signal, so that a role waits for one
thing, whatever loop it runs on, and a role that has not come as far as its loop ends at once.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import sniffio
import trio

log = logging.getLogger("offhook.lifetime")

#: Seconds a role has to end in good order after its starter is gone; then it is killed.
GRACE = 3.0


def follow_stdin(*, grace: float = GRACE) -> None:
    """From now on, end this process when its stdin ends: SIGTERM first, SIGKILL after ``grace`` seconds.

    A thread does it, so that it works while a loop is blocked, and before there is one. Call it once, early.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow-stdin", daemon=True).start()


@asynccontextmanager
async def stop_signal() -> AsyncIterator[anyio.Event]:
    """An event that is set when the process is asked to end (SIGTERM, SIGINT, SIGHUP); for the main thread.

    A second signal of the kind while the context is open changes nothing; after it, signals do what they always do.
    """
    stopped = anyio.Event()

    async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                stopped.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        yield stopped
        tasks.cancel_scope.cancel()


async def wait_stopped(counted: Mapping[str, Mapping[str, int]] | None = None) -> None:
    """Wait until this process is asked to end. Works on asyncio, uvloop and trio, in the main thread.

    Meanwhile SIGUSR1 has it log how many tasks live in its loop, for operators who look for a leak, and what it has
    ``counted`` so far: constant text of the log, and the counters.
    """
    async with stop_signal() as stopped, anyio.create_task_group() as tasks:
        await tasks.start(_tell, counted or {})
        await stopped.wait()
        tasks.cancel_scope.cancel()


async def _tell(counted: Mapping[str, Mapping[str, int]], *, task_status: anyio.abc.TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        task_status.started()
        async for _ in signals:
            for text, counters in counted.items():
                log.warning(text, extra=dict(counters))
            log.warning("tasks living", extra={"tasks": _living_tasks()})


def _living_tasks() -> int:
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())
