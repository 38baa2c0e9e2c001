"""``/v1/calls/{call_id}/hold`` and the other orders, with a real session on a real bus (H1)."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from test_api import check_problem
from test_rest import Opened, Stage, opened, staged
from test_store_search import log_of

from offhook.actors import operator
from offhook.actors.operator import give_order
from offhook.actors.session import SessionActor
from offhook.protocol import subjects
from offhook.protocol.messages import encode
from offhook.services.bus import nats_server, open_bus
from offhook.services.roles.adapters import WallClock

__all__ = ["opened"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
async def stage(opened: Opened, tmp_path: Path) -> AsyncIterator[Stage]:
    """A server, and a bus with calls: of ours one that goes on, one without an owner and one that is over; theirs."""
    logs = (
        log_of("ours", begin=time.time() - 10, ended=False),
        log_of("orphan", begin=time.time() - 10, ended=False),
        log_of("over", begin=time.time() - 10),
        log_of("theirs", begin=time.time() - 10, ended=False, workspace="other"),
    )
    async with (
        nats_server(tmp_path / "nats") as url,
        open_bus(url, name="test") as bus,
        anyio.create_task_group() as tasks,
    ):
        for log in logs:
            opened[0].project_all(log)
            last = 0
            for entry in log:
                last = await bus.append(subjects.log(entry.call), encode(entry), last=last)
        for call in ("ours", "theirs"):
            tasks.start_soon(SessionActor(call, bus=bus, clock=WallClock(), owner=2).run)
        give = lambda call, order, source: give_order(bus, call, order, source=source)  # noqa: E731
        async with staged(opened, give_order=give) as running:
            yield running
        tasks.cancel_scope.cancel()


async def test_a_call_is_held_resumed_and_ended(stage: Stage) -> None:
    async def order(name: str) -> object:
        answer = await stage.ask("POST", f"/v1/calls/ours/{name}")
        return answer.json() if answer.is_success else answer.json()["code"]

    assert await order("resume") == "call_not_on_hold"
    assert await order("hold") == {"id": "ours", "state": "held"}
    assert await order("hold") == "call_on_hold"
    assert await order("resume") == {"id": "ours", "state": "answered"}
    # Its agent and its media do not live here, so it is on its way to the end.
    assert await order("end") == {"id": "ours", "state": "ending"}
    assert [await order(name) for name in ("hold", "resume", "end")] == ["call_ended"] * 3


async def test_a_repeated_order_is_carried_out_once(stage: Stage) -> None:
    once = {"Idempotency-Key": "a"}
    answers = [await stage.ask("POST", "/v1/calls/ours/hold", headers=once) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"id": "ours", "state": "held"}] * 2


async def test_what_nobody_can_order_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "PATIENCE", 0.5)
    for name in ("hold", "resume", "end"):
        for call in ("theirs", "no-such-call"):
            check_problem(await stage.ask("POST", f"/v1/calls/{call}/{name}"), 404, "call_not_found")
        check_problem(await stage.ask("POST", f"/v1/calls/over/{name}"), 409, "call_ended")
        check_problem(await stage.ask("POST", f"/v1/calls/orphan/{name}"), 503, "order_not_taken")
        reader = stage.secret("calls:read")
        check_problem(await stage.ask("POST", f"/v1/calls/ours/{name}", reader), 403, "scope_missing")
    # Theirs has not noticed.
    theirs = await stage.ask("POST", "/v1/calls/theirs/hold", stage.other)
    assert theirs.json() == {"id": "theirs", "state": "held"}
