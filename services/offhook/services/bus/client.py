"""One nats-py client: connecting it once, and letting go of it whatever state it is in."""

import contextlib
import socket

import anyio
from nats import errors
from nats.aio.client import Client

from offhook.services.bus.address import servers_of

#: Seconds an attempt to connect may take.
CONNECT = 2.0
#: Seconds a client may take to send what it still has when it is closed.
CLOSE = 1.0


async def connect_client(client: Client, url: str, name: str) -> None:
    """Connect once, within ``CONNECT``. Raises nats-py's errors, ``OSError`` and ``TimeoutError``."""
    failures: list[Exception] = []

    async def note(error: Exception) -> None:
        failures.append(error)

    try:
        with anyio.fail_after(CONNECT):
            await client.connect(
                servers_of(url),
                name=name,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=1,
                ping_interval=1,
                max_outstanding_pings=2,
                pending_size=0,
                error_cb=note,
            )
    except errors.NoServersError as error:
        raise (failures[-1] if failures else error) from error


def why(error: Exception) -> str:
    """The end of a sentence: why a connection failed."""
    match error:
        case ConnectionRefusedError():
            return "nothing listens there"
        case socket.gaierror():
            return "its host name is not known"
        case TimeoutError() | errors.TimeoutError():
            return "it does not answer"
        case _:
            return str(error).removeprefix("nats: ").strip("'") or type(error).__name__


async def close_client(client: Client) -> None:
    """Flush and close; a socket that does not take the rest within a second is dropped."""
    with contextlib.suppress(errors.Error, OSError), anyio.move_on_after(CLOSE):
        await client.close()
    # A client that found its server stale may wait for ever in its own ``close`` for the socket to take the rest;
    # there is no public way to let go of it.
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()
