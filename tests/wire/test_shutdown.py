"""Ctrl-C with calls running: every caller is told, every record is closed, nothing has to be killed."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from gateway_client import open_client
from processes import descendants_of, lives
from wire_stage import Stage

from offhook.services.store import store_file

pytestmark = pytest.mark.anyio

#: Callers at one time.
CALLERS = 4


@pytest.fixture
def own_stage(tmp_path: Path) -> Iterator[Stage]:
    running = Stage(tmp_path)
    yield running
    running.stop()


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM])
async def test_calls_end_with_the_product(own_stage: Stage, order: signal.Signals) -> None:
    async with AsyncExitStack() as callers:
        clients = [await callers.enter_async_context(open_client(own_stage.signaling)) for _ in range(CALLERS)]
        calls = [await client.call(own_stage.new_token(), events=True) for client in clients]
        for client in clients:
            await client.wait_event("answered")
        started = descendants_of(own_stage.process.pid)
        own_stage.process.send_signal(order)
        began = time.monotonic()
        for client in clients:
            assert (await client.wait_event("ended"))["reason"] == "shutdown"
            assert await client.wait_closed() == 1000
    assert own_stage.process.wait(20) == 0
    print(f"everything ended {time.monotonic() - began:.2f} s after {order.name}")
    assert len(started) >= 7
    assert not [pid for pid in started if lives(pid)]
    # As it was left: nothing is started again to finish the records.
    with sqlite3.connect(store_file(own_stage.folder / "data")) as database:
        rows = database.execute("SELECT id, state, reason FROM calls").fetchall()
    assert sorted(rows) == sorted((call, "ended", "shutdown") for call in calls)
    said = own_stage.log.read_text()
    assert "ended with" not in said and "Traceback" not in said, said
