"""The supervisor of ``offhook up``, with tiny child programs in place of the roles."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import pytest
from processes import children_of, lives, until

from offhook.services.settings import Address, BadSetup
from offhook.services.up import (
    Command,
    Limits,
    RoleGaveUp,
    hold_data_folder,
    keep_server,
    require_free_port,
    supervise,
    unused_port,
)
from offhook.services.up.limits import Failures

#: What a child says and does: it appends its process id to a file, then follows its script.
PRELUDE = """
import os, signal, sys, time
ready_fd, folder = int(sys.argv[1]), sys.argv[2]
with open(os.path.join(folder, "starts"), "a") as file:
    print(os.getpid(), file=file)
starts = len(open(os.path.join(folder, "starts")).readlines())
def ready():
    os.write(ready_fd, b"ready\\n")
"""

SERVES = "ready(); signal.pause()"


def program(folder: Path, script: str, name: str = "gateway") -> Command:
    folder.mkdir(parents=True, exist_ok=True)
    text = PRELUDE + textwrap.dedent(script)
    return Command(name=name, arguments=lambda fd: [sys.executable, "-S", "-c", text, str(fd), str(folder)])


def starts(folder: Path) -> list[int]:
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


class Run:
    """A supervisor that was started in a test's task group."""

    def __init__(self) -> None:
        self.stopped = anyio.Event()
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.error: RoleGaveUp | None = None
        self.told: list[str] = []

    async def __call__(self, commands: Sequence[Command], limits: Limits) -> None:
        try:
            await supervise(
                commands, stopped=self.stopped, on_ready=self.ready.set, tell=self.told.append, limits=limits
            )
        except RoleGaveUp as error:
            self.error = error
        self.ended.set()


FAST = Limits(first_wait=0.01, longest_wait=0.04, failures=4, window=60.0, grace=1.0)


@pytest.mark.anyio
async def test_is_ready_when_every_role_is(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = program(tmp_path / "b", f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n{SERVES}", "voice")
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path / "a", SERVES), slow], FAST)
        await until(lambda: starts(tmp_path / "a") and starts(tmp_path / "b"))
        assert not run.ready.is_set()
        gate.touch()
        await run.ready.wait()
        run.stopped.set()
    assert run.error is None and run.told == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("death", "how"),
    [("os._exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "signal SIGKILL"), ("os._exit(0)", "exit code 0")],
)
async def test_starts_again_what_died(tmp_path: Path, death: str, how: str) -> None:
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path, f"if starts < 3: {death}\n{SERVES}")], FAST)
        await run.ready.wait()
        run.stopped.set()
    assert len(starts(tmp_path)) == 3
    assert run.told == [
        f"gateway ended with {how}; starting it again in 0.01 s",
        f"gateway ended with {how}; starting it again in 0.02 s",
    ]


@pytest.mark.anyio
async def test_starts_again_what_was_killed_later_and_leaves_the_others_alone(tmp_path: Path) -> None:
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path / "a", SERVES), program(tmp_path / "b", SERVES, "voice")], FAST)
        await run.ready.wait()
        os.kill(starts(tmp_path / "a")[0], signal.SIGKILL)
        await until(lambda: len(starts(tmp_path / "a")) == 2)
        run.stopped.set()
    assert len(starts(tmp_path / "b")) == 1


@pytest.mark.anyio
async def test_gives_up_on_a_role_that_keeps_failing_and_ends_the_others(tmp_path: Path) -> None:
    run = Run()
    await run([program(tmp_path / "a", "os._exit(3)"), program(tmp_path / "b", SERVES, "voice")], FAST)
    assert run.error is not None and run.error.role == "gateway"
    assert "4 times within 60 seconds" in str(run.error) and "exit code 3" in str(run.error)
    assert len(starts(tmp_path / "a")) == FAST.failures
    assert not run.ready.is_set()
    assert not any(lives(pid) for pid in starts(tmp_path / "b"))


@pytest.mark.anyio
async def test_old_failures_are_forgotten(tmp_path: Path) -> None:
    run = Run()
    patient = Limits(first_wait=0.05, longest_wait=0.05, failures=2, window=0.04, grace=1.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path, f"if starts < 5: os._exit(1)\n{SERVES}")], patient)
        await run.ready.wait()
        run.stopped.set()
    assert run.error is None and len(run.told) == 4


@pytest.mark.anyio
async def test_does_not_start_again_what_is_set_up_wrongly(tmp_path: Path) -> None:
    run = Run()
    await run([program(tmp_path, "os._exit(78)")], FAST)
    assert str(run.error) == "gateway cannot start: see the message above."
    assert len(starts(tmp_path)) == 1


@pytest.mark.anyio
async def test_kills_what_does_not_end_and_what_it_left_behind(tmp_path: Path) -> None:
    script = f"""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        open({str(tmp_path / "worker")!r}, "w").write(str(os.getpid()))
        signal.pause()
    while not os.path.exists({str(tmp_path / "worker")!r}): time.sleep(0.01)
    ready()
    while True: signal.pause()
    """
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path, script)], FAST)
        await run.ready.wait()
        run.stopped.set()
    await until(lambda: not lives(int((tmp_path / "worker").read_text())))
    assert not lives(starts(tmp_path)[0])


@pytest.mark.anyio
async def test_a_child_may_end_in_good_order(tmp_path: Path) -> None:
    script = f"""
    def end(*_):
        open({str(tmp_path / "goodbye")!r}, "w").close()
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    ready()
    signal.pause()
    """
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, [program(tmp_path, script)], FAST)
        await run.ready.wait()
        run.stopped.set()
    assert (tmp_path / "goodbye").exists()


def test_waits_double_up_to_the_longest() -> None:
    failures = Failures("gateway", Limits())
    waits = [failures.wait_after("exit code 1", now) for now in range(7)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    with pytest.raises(RoleGaveUp):
        failures.wait_after("exit code 1", 59.0)


# ── the embedded server ────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """A TCP server in this process; ``kill`` lets it die, as often as it is started."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", unused_port())
        self.starts = 0
        self.refuse: str | None = None
        self._scope = anyio.CancelScope()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        if self.refuse is not None:
            raise BadSetup(self.refuse)
        listener = await anyio.create_tcp_listener(local_host=self.address.host, local_port=self.address.port)
        self.starts += 1
        async with anyio.create_task_group() as tasks:
            self._scope = tasks.cancel_scope
            served = anyio.Event()

            async def serve() -> None:
                with anyio.CancelScope() as self._scope:
                    served.set()
                    await listener.serve(self._hold)
                await listener.aclose()

            tasks.start_soon(serve)
            await served.wait()
            yield str(self.address)
            tasks.cancel_scope.cancel()

    async def _hold(self, stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    def kill(self) -> None:
        self._scope.cancel()


@pytest.mark.anyio
async def test_a_server_that_dies_is_started_again_on_its_port() -> None:
    server, told = Server(), list[str]()
    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(keep_server, "nats", server.address, server.open, tell=told.append, limits=FAST))
        assert server.starts == 1
        server.kill()
        await until(lambda: server.starts == 2)
        assert told == ["nats ended; starting it again in 0.01 s"]
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_server_that_cannot_start_says_why_at_once() -> None:
    server = Server()
    server.refuse = "There is no nats-server."
    with pytest.raises(BaseExceptionGroup) as raised:
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(keep_server, "nats", server.address, server.open, tell=print, limits=FAST))
    assert "There is no nats-server." in repr(raised.value)


@pytest.mark.anyio
async def test_a_server_that_cannot_be_started_again_is_given_up() -> None:
    server, told = Server(), list[str]()
    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012 - the group raises as it closes
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(keep_server, "nats", server.address, server.open, tell=told.append, limits=FAST))
            server.refuse = "The disk is full."
            server.kill()
    assert "nats ended 4 times within 60 seconds, the last time with The disk is full." in repr(raised.value)
    assert len(told) == FAST.failures - 1


# ── the supervisor as a process ────────────────────────────────────────────────────────────────────────────────────

#: A supervisor over two children that follow their stdin as roles do; each says its process id.
SUPERVISOR = """
import sys
import anyio
from offhook.services.lifetime import stop_signal
from offhook.services.up import Command, supervise

child = '''
import os, sys
import anyio
from offhook.services.lifetime import follow_stdin, wait_stopped
follow_stdin(grace=1.0)
if sys.argv[2] == "deaf":
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(int(sys.argv[1]), b"ready\\\\n")
    while True:
        time.sleep(60)
async def role():
    os.write(int(sys.argv[1]), b"ready\\\\n")
    await wait_stopped()
anyio.run(role, backend=sys.argv[2])
'''

def command(name):
    return Command(name=name, arguments=lambda fd: [sys.executable, "-c", child, str(fd), name])

async def main():
    async with stop_signal() as stopped:
        await supervise([command(name) for name in sys.argv[1:]], stopped=stopped,
                        on_ready=lambda: print("ready", flush=True), tell=lambda text: print(text, flush=True))

anyio.run(main)
"""


@contextmanager
def supervisor(*roles: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, *roles], stdout=subprocess.PIPE, text=True)
    children: list[int] = []
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        children = children_of(process.pid)
        assert len(children) == len(roles)
        yield process, children
    finally:
        process.kill()
        process.communicate()
        for child in filter(lives, children):
            os.kill(child, signal.SIGKILL)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_everything_in_good_order(ask: signal.Signals) -> None:
    with supervisor("asyncio", "trio") as (process, children):
        process.send_signal(ask)
        await until(lambda: process.poll() is not None)
        assert process.returncode == 0
        assert not any(lives(child) for child in children)


@pytest.mark.anyio
async def test_no_orphan_is_left_when_the_supervisor_is_killed() -> None:
    with supervisor("asyncio", "trio", "deaf") as (process, children):
        assert all(lives(child) for child in children)
        process.kill()
        process.wait()
        await until(lambda: not any(lives(child) for child in children))


# ── before anything is started ─────────────────────────────────────────────────────────────────────────────────────


def test_a_port_in_use_is_refused_with_another_to_choose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            BadSetup, match=rf"^Port {port} on 127\.0\.0\.1 is in use\. .*--http 127\.0\.0\.1:(\d+)\.$"
        ) as no:
            require_free_port(Address("127.0.0.1", port))
    suggested = int(str(no.value).rpartition(":")[2].rstrip("."))
    assert suggested != port


def test_a_free_port_is_left_free() -> None:
    address = Address("127.0.0.1", unused_port())
    require_free_port(address)
    with socket.create_server((address.host, address.port)):
        pass


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 64])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(BadSetup, match="is not an address of this machine"):
        require_free_port(Address(host, 8080))


def test_a_data_folder_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with hold_data_folder(folder):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    # A file in the way stops root too, unlike permissions.
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadSetup, match=r"cannot be written \(Not a directory\).*--data"),
        hold_data_folder(tmp_path / "file" / "data"),
    ):
        pass


def test_two_supervisors_do_not_share_a_data_folder(tmp_path: Path) -> None:
    sentence = rf"already running .*process {os.getpid()}\)"
    with hold_data_folder(tmp_path), pytest.raises(BadSetup, match=sentence), hold_data_folder(tmp_path):
        pass
    with hold_data_folder(tmp_path):
        pass
