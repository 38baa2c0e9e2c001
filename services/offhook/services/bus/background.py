"""A job that runs while a context is open."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def background(job: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run ``job`` beside the body and cancel it afterwards; if ``job`` fails, the body is cancelled.

    An error of the body comes out as it is: it is raised outside of the task group, which would wrap it.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job)
        try:
            yield
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
