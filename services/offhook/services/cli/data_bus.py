"""The bus behind a data folder: that of the product that runs on it, or an embedded server for the moment."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from offhook.protocol.errors import OffhookError


class NoBus(OffhookError):
    """There is no bus to ask; the message tells a person what to do about it."""


@asynccontextmanager
async def reach_bus(data: Path, nats: str | None) -> AsyncIterator[str]:
    """The URL of the bus: ``nats`` where it is given. Raises ``NoBus``, ``NatsUnavailable``, ``BadSetup``."""
    from offhook.services.bus import nats_server
    from offhook.services.up import FolderTaken, bus_address, hold_data_folder

    if nats is not None:
        yield nats
        return
    files = data / "nats"
    async with AsyncExitStack() as stack:
        try:
            if files.is_dir():
                stack.enter_context(hold_data_folder(data))
        except FolderTaken:
            pass
        else:
            if not files.is_dir():
                raise NoBus(
                    f"There are no logs of calls in {data}. Name the folder with --data, or a server with --nats."
                )
            yield await stack.enter_async_context(nats_server(files))
            return
        url = bus_address(data)
        if url is None:
            raise NoBus(f"offhook is just starting or ending on {data}. Try again in a moment.")
        yield url
