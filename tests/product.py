"""The product itself, started as a person would start it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Seconds the product may take to be ready on a loaded machine.
PATIENCE = 60.0


class Product:
    """A running ``offhook up``, on ``address``; ``prefix`` stands before the command and runs it on another host."""

    def __init__(self, folder: Path, *options: str, address: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "up.log"
        command = [*prefix, str(_offhook()), "up", "--http", f"{address}:{self.port}", "--data", str(folder / "data")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--media-address", address, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://localhost:{self.port}/"

    @property
    def signaling(self) -> str:
        """Address of the signaling WebSocket."""
        return f"ws://127.0.0.1:{self.port}/api/v1/webrtc/signal"

    def run(self, *arguments: str) -> str:
        """Run an ``offhook`` command on this product's data; returns what it printed."""
        done = subprocess.run(
            [str(_offhook()), *arguments],
            env={**os.environ, "OFFHOOK_DATA": str(self.folder / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, agent: str = "front-desk", *options: str) -> str:
        """A fresh call token."""
        return self.run("token", "--agent", agent, *options).splitlines()[-1]

    def record(self, call: str) -> dict[str, Any]:
        """The record of a call, once it has ended."""
        for _ in range(100):
            record: dict[str, Any] = json.loads(self.run("calls", "show", call, "--json"))
            if record["state"] == "ended":
                return record
            time.sleep(0.1)
        raise AssertionError(f"the record of {call} is not complete: {record}")

    def records(self) -> list[dict[str, Any]]:
        """The newest calls as the list shows them, once all of them have ended."""
        for _ in range(100):
            records = [json.loads(line) for line in self.run("calls", "--json").splitlines()]
            if all(record["state"] == "ended" for record in records):
                return records
            time.sleep(0.1)
        raise AssertionError(f"not all records are complete: {records}")

    def processes(self) -> dict[str, int]:
        """Process ids of the roles, by name."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_text().split("\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self.process.pid:
                name = words[words.index("run") + 1] if "run" in words else Path(words[0]).name
                found[name] = int(folder.name)
        return found

    def stop(self) -> int:
        """End it as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def _wait_ready(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if "is ready" in self.log.read_text():
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"not ready after {PATIENCE} s: {self.log.read_text()}")


def _offhook() -> Path:
    return Path(sys.executable).with_name("offhook")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody uses."""
    while True:
        first = free_port()
        try:
            with contextlib.ExitStack() as probes:
                for port in range(first, first + count):
                    probes.enter_context(socket.create_server(("127.0.0.1", port)))
        except (OSError, OverflowError):
            continue
        return first
