"""Keep an embedded server running: one that the supervisor reaches by TCP only, unlike the roles."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

import anyio
import anyio.abc

from offhook.protocol.errors import OffhookError
from offhook.services.settings import Address
from offhook.services.up.limits import Failures, Limits


async def wait_gone(address: Address) -> None:
    """Wait until nobody serves ``address`` any more: a connection is held open, and its end tells at once."""
    # A server may also close a silent connection; it is gone when it does not take another.
    with suppress(OSError):
        while True:
            async with await anyio.connect_tcp(address.host, address.port) as stream:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    while True:
                        await stream.receive()


async def keep_server(
    name: str,
    address: Address,
    open_server: Callable[[], AbstractAsyncContextManager[str]],
    *,
    tell: Callable[[str], None],
    limits: Limits | None = None,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Run the server that ``open_server`` starts on ``address``, again whenever it dies; returns never.

    Started once it serves for the first time; what ``open_server`` raises then is raised. Raises ``RoleGaveUp``.
    """
    failures = Failures(name, limits or Limits())
    started = False
    while True:
        try:
            async with open_server():
                if not started:
                    task_status.started()
                    started = True
                await wait_gone(address)
            how = "its connection closed"
        except OffhookError as error:
            if not started:
                raise
            how = str(error)
        wait = failures.wait_after(how, anyio.current_time())
        tell(f"{name} ended; starting it again in {wait:g} s")
        await anyio.sleep(wait)
