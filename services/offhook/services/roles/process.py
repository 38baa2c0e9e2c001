"""What the roles share: agents that are looked at, starting a node, serving to the end, and errors in one sentence."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import anyio

from offhook.protocol.errors import OffhookError
from offhook.services.late import late_agents
from offhook.services.lifetime import wait_stopped
from offhook.services.metrics import Read
from offhook.services.roles.adapters import WallClock
from offhook.services.settings import BadSetup, Settings, signal_ready

if TYPE_CHECKING:
    from offhook.services.agents import ServedAgents

#: Seconds a node has for its calls once it is asked to end, and then for its word to the other nodes. A supervisor's
#: patience (``Limits.grace``) is longer.
LAST_CALLS = 1.5
LAST_WORD = 0.4


async def serve(settings: Settings, read: Read = tuple, counted: Mapping[str, Mapping[str, int]] | None = None) -> None:
    """Say that the role serves, and wait until it is to end; meanwhile tell the figures that ``read`` gives.

    What was made up to here stays: the garbage collector need never look at it again.
    """
    with _open_metrics(settings, read):
        gc.freeze()
        gc.enable()
        signal_ready(settings)
        await wait_stopped(counted)


def _open_metrics(settings: Settings, read: Read) -> AbstractContextManager[object]:
    if settings.metrics is None:
        return nullcontext()
    from offhook.services.metrics.serving import open_metrics

    return open_metrics(settings.metrics, read)


@asynccontextmanager
async def open_agents(settings: Settings, *, for_new_calls: bool = False) -> AsyncIterator["ServedAgents"]:
    """The agents of the folder and of the store, looked at as long as the context is open."""
    from offhook.services.agents import ServedAgents
    from offhook.services.tokens import CurrentWorkspace

    store = late_agents(settings)
    workspace = CurrentWorkspace(settings.data)
    folder = settings.agents or settings.data / "agents"
    agents = ServedAgents(folder, store, lambda: workspace().id, clock=WallClock(), for_new_calls=for_new_calls)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agents.run)
            yield agents
            tasks.cancel_scope.cancel()
    finally:
        store.close()


async def start(tasks: anyio.abc.TaskGroup, run: Callable[..., Awaitable[None]]) -> None:
    """Start a node's ``run`` and wait until it has said that it is there."""
    started = anyio.Event()

    async def go() -> None:
        await run(started=started.set)

    tasks.start_soon(go)
    await started.wait()


def run_trio(role: Callable[[Settings], Awaitable[None]], settings: Settings) -> None:
    explain(partial(anyio.run, role, settings, backend="trio"), settings)


def explain(run: Callable[[], None], settings: Settings) -> None:
    """Run a role; what the system refuses it becomes one sentence for people."""
    try:
        run()
    except (OSError, OffhookError, BaseExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, OffhookError):
            raise first from error
        if isinstance(first, OSError):
            where = f"http {settings.http}, api {settings.api}, data {settings.data}"
            raise BadSetup(f"{first.strerror or first} ({where})") from error
        raise


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
