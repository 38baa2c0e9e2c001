"""A PostgreSQL server of the tests' own: Debian's, in a temporary folder, reached by a socket in it.

Unless told so, it keeps nothing safe from a power cut (``fsync`` is off): a process that is killed leaves what it wrote
to the system.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Seconds the server may take to start on a loaded machine.
PATIENCE = 60.0


class PostgresServer:
    """A running server. It refuses to run as root, so that root starts it as another user."""

    def __init__(self, *, safe: bool = False) -> None:
        """``safe``: what is committed outlives a power cut, as it should outside of tests."""
        self._careless = [] if safe else ["-F", "-c", "synchronous_commit=off"]
        self.folder = Path(tempfile.mkdtemp(prefix="offhook-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = _somebody_else()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._names = (f"offhook_{number}" for number in itertools.count(1))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._run("initdb", "-D", str(self.folder / "data"), "-U", "offhook", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that starts all others of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server (again) and wait until it takes connections."""
        command = [
            _program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-h", "",
            "-c", "max_connections=50", *self._careless,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                **self._as,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9`` to the server and all that serves its connections."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def new_database(self) -> str:
        """An empty database; returns its URL."""
        name = next(self._names)
        self._run("createdb", "-h", str(self.folder), "-U", "offhook", name)
        return f"postgresql://offhook@/{name}?host={quote(str(self.folder), safe='')}"

    def close(self) -> None:
        """End it and leave nothing."""
        if self._process is not None and self._process.poll() is None:
            # At once (SIGQUIT): nothing of it is needed any more.
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        command = [_program("pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [_program(program), *arguments], check=False, capture_output=True, text=True, cwd=self.folder, **self._as
        )
        assert done.returncode == 0, done.stderr


def _program(name: str) -> str:
    """Debian keeps the programs of each version in a folder that is not on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    assert path is not None, f"no {name} here: python tests/provision.py"
    return path


def _somebody_else() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
