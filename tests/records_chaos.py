"""``kill -9`` of records, api and PostgreSQL at random while calls happen, and the proof that nothing got lost.

The calls are scripted: their logs are appended to a real NATS server as session actors append them. The processes are
real: `offhook run records`, `offhook run api`, PostgreSQL; the receiver of webhooks is a stand-in that fails now and
then. In the end every record equals the fold of its log, and each message came at least once, always with the same id
and the same words.

    python tests/records_chaos.py [--calls 200] [--kills 30] [--seed 1]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from postgres import PostgresServer
from product import free_port
from webhook_receiver import Receiver, open_receiver

from offhook.protocol import subjects
from offhook.protocol.call import Call, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.messages import encode
from offhook.protocol.record import CallNotFound, Progress, RecordsAway, advance, fold_record
from offhook.protocol.webhooks import message_id, tell, verify
from offhook.services.bus import nats_server, open_bus
from offhook.services.store import Store, open_store
from offhook.services.tokens import open_workspace

#: Seconds in which everything has to have arrived once nothing is killed any more.
PATIENCE = 180.0
OK, BUSY = (
    b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status for status in (b"200 OK", b"503 Busy")
)


class Told(msgspec.Struct, frozen=True):
    """What a run came to."""

    calls: int
    kills: dict[str, int]
    messages: int
    #: How often messages came more than once.
    doubles: int


class Roles:
    """The processes that are killed and started again."""

    def __init__(self, nats: str, data: Path, store: str, postgres: PostgresServer) -> None:
        api = f"127.0.0.1:{free_port()}"
        common = ["--nats", nats, "--data", str(data), "--store", store, "--api", api]
        common += ["--webhook-allow", "127.0.0.0/8"]
        self._commands = {
            role: [
                sys.executable,
                "-P",
                "-m",
                "offhook.services.cli",
                "run",
                role,
                *common,
                "--webhook-allow",
                "127.0.0.0/8",
            ]
            for role in ("records", "api")
        }
        self._log = (data / "roles.log").open("ab")
        self._postgres = postgres
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = dict.fromkeys(("records", "api", "postgresql"), 0)

    def start(self, role: str) -> None:
        """Start a role."""
        self.running[role] = subprocess.Popen(
            self._commands[role], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def kill(self, who: str) -> None:
        """``kill -9``, and start it again."""
        self.kills[who] += 1
        if who == "postgresql":
            self._postgres.kill()
            self._postgres.start()
            return
        process = self.running[who]
        process.kill()
        process.wait()
        self.start(who)

    def close(self) -> None:
        """End all of them."""
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._log.close()


def log_of(number: int, workspace: str) -> list[LogEntry]:
    """One scripted call: it is talked, held, and somebody hangs up."""
    call = f"{number:08}-0000-4000-8000-000000000000"
    said = [
        ev.Said(
            role="caller" if line % 2 else "agent",
            text=f"line {line} of call {number}",
            line=line,
            began=1.0,
            ended=2.0,
        )
        for line in range(1, 2 + number % 5)
    ]
    happened: list[ev.CallEvent] = [
        ev.Offered(agent="front-desk", version="1", workspace=workspace, sdp="v=0", mode="traditional"),
        ev.MediaPrepared(sdp="v=0", node="voice-1"), ev.MediaConnected(), ev.AgentAnswered(), *said,
        ev.CallHeld(), ev.CallResumed(), ev.CallerHungUp(), ev.AgentStopped(), ev.MediaClosed(),
    ]  # fmt: skip
    begin = 1_790_000_000.0 + number
    return [LogEntry(call=call, seq=seq, at=begin + seq, owner=1, event=event) for seq, event in enumerate(happened, 1)]


def expected_ids(log: list[LogEntry]) -> set[str]:
    """The ids of all messages that a call has to tell."""
    progress, ids = Progress(call=Call(id=log[0].call)), set[str]()
    for entry in log:
        gained = advance(progress, entry)
        assert gained is not None
        answered = progress.call.answered_at is not None
        ids |= {message_id(one) for one in tell(entry, gained, answered_before=answered)}
        progress = gained.progress
    return ids


async def run(folder: Path, *, calls: int, kills: int, seed: int) -> Told:
    """Let calls happen while processes are killed; raises ``AssertionError`` where something is lost or differs."""
    dice = random.Random(seed)
    data = folder / "data"
    data.mkdir()
    workspace = open_workspace(data).id
    postgres = await anyio.to_thread.run_sync(PostgresServer)
    try:
        place = await anyio.to_thread.run_sync(postgres.new_database)
        store = await anyio.to_thread.run_sync(open_store, place)
        logs = [log_of(number, workspace) for number in range(calls)]
        async with nats_server(folder / "nats") as nats, open_receiver() as receiver:
            receiver.answers = [BUSY if dice.random() < 0.1 else OK for _ in range(calls)] + [OK]
            made = store.webhooks().create(workspace, receiver.url(), [], now=0.0)
            roles = Roles(nats, data, place, postgres)
            try:
                for role in ("records", "api"):
                    roles.start(role)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(append_all, nats, logs, random.Random(seed))
                    for _ in range(kills):
                        await anyio.sleep(dice.uniform(0.1, 1.0))
                        await anyio.to_thread.run_sync(
                            roles.kill, dice.choice(["records", "records", "api", "postgresql"])
                        )
                expected = set[str]().union(*map(expected_ids, logs))
                await wait_told(receiver, expected)
                await anyio.to_thread.run_sync(check_store, store, logs)
                check_messages(receiver, expected, made.secret)
            finally:
                roles.close()
                store.close()
            return Told(calls, roles.kills, len(expected), len(receiver.received) - len(expected))
    finally:
        await anyio.to_thread.run_sync(postgres.close)


async def append_all(nats: str, logs: list[list[LogEntry]], dice: random.Random) -> None:
    """Write the logs, some calls side by side, as their sessions would."""
    async with open_bus(nats, name="gateway") as bus, anyio.create_task_group() as tasks:
        limit = anyio.CapacityLimiter(10)

        async def write(log: list[LogEntry], pause: float) -> None:
            async with limit:
                last = 0
                for entry in log:
                    last = await bus.append(subjects.log(entry.call), encode(entry), last=last)
                    await anyio.sleep(pause)

        for log in logs:
            tasks.start_soon(write, log, dice.uniform(0.0, 0.1))


async def wait_told(receiver: Receiver, expected: set[str]) -> None:
    with anyio.move_on_after(PATIENCE):
        while expected - {one.headers["webhook-id"] for one in receiver.received}:
            await anyio.sleep(0.2)


def check_store(store: Store, logs: list[list[LogEntry]]) -> None:
    """Every record is the fold of its log."""
    until = time.monotonic() + PATIENCE
    for log in logs:
        record, wanted = None, fold_record(log[0].call, log)
        while record != wanted and time.monotonic() < until:
            try:
                record = store.call(log[0].call)
            except (CallNotFound, RecordsAway):
                time.sleep(0.2)
        assert record == wanted, (record, wanted)


def check_messages(receiver: Receiver, expected: set[str], secret: str) -> None:
    """Each message came, signed, always the same; and none that nothing stands behind."""
    bodies: dict[str, bytes] = {}
    for one in receiver.received:
        verify(secret, one.headers, one.body, now=float(one.headers["webhook-timestamp"]))
        assert bodies.setdefault(one.headers["webhook-id"], one.body) == one.body
    assert set(bodies) == expected, f"{len(expected - set(bodies))} are missing, {len(set(bodies) - expected)} too many"


def main() -> None:
    """Run it once, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = partial(run, Path(folder), calls=options.calls, kills=options.kills, seed=options.seed)
        told = anyio.run(work, backend="asyncio")
    print(
        f"{told.calls} calls, killed {told.kills}: every record equals its log; "
        f"{told.messages} messages came, {told.doubles} times one of them again."
    )


if __name__ == "__main__":
    main()
