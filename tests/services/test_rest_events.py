"""``/v1/calls/{call_id}/events`` over a real bus: the log of a call for whoever may read the call (R2)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from test_api import check_problem
from test_rest import Opened, Stage, opened, staged
from test_store_search import log_of

from offhook.protocol import subjects
from offhook.protocol.call import events as ev
from offhook.protocol.messages import encode
from offhook.services.api.call_events import LEFT_OUT
from offhook.services.bus import nats_server, open_bus

__all__ = ["opened"]

pytestmark = pytest.mark.anyio

PASSWORD = "a=ice-pwd:keepme"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
async def stage(opened: Opened, tmp_path: Path) -> AsyncIterator[tuple[Stage, Any]]:
    """A server on a bus with the logs of a call of ours, and of one of theirs."""
    async with nats_server(tmp_path / "nats") as url, open_bus(url, name="test") as bus:
        for log in (
            log_of("ours", "hello", "goodbye", sdp=PASSWORD),
            log_of("theirs", sdp=PASSWORD, workspace="other"),
        ):
            opened[0].project_all(log)
            last = 0
            for entry in log:
                last = await bus.append(subjects.log(entry.call), encode(entry), last=last)
        async with staged(opened, read_log=bus.read_log) as running:
            yield running, bus


async def test_a_log_is_read_page_by_page_and_gives_away_no_password(stage: tuple[Stage, Any]) -> None:
    running, bus = stage
    path = "/v1/calls/ours/events"
    whole = await running.ask("GET", path)
    events = whole.json()["events"]
    expected = ["Offered", "MediaConnected", "AgentAnswered", "Said", "Said", "CallerHungUp", "AgentStopped"]
    assert [one["event"] for one in events] == [*expected, "MediaClosed"]
    assert [one["seq"] for one in events] == list(range(1, 9))
    assert events[0]["data"]["agent"] == "a" and events[4]["data"]["text"] == "goodbye"
    assert events[0]["data"]["sdp"] == "(left out)" and "keepme" not in whole.text
    pages, cursor = [], None
    while True:
        page = (await running.ask("GET", path, params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        pages += page["events"]
        if (cursor := page["cursor"]) is None:
            break
        assert len(page["events"]) == 3
    assert pages == events
    for wrong in ("x", "-1", "\u0663", "9" * 19):
        check_problem(await running.ask("GET", path, params={"cursor": wrong}), 400, "invalid_field")
    await bus.erase_log(subjects.log("ours"))
    assert (await running.ask("GET", path)).json() == {"events": [], "cursor": None}


async def test_a_log_is_read_by_nobody_else(stage: tuple[Stage, Any]) -> None:
    running, _ = stage
    foreign = await running.ask("GET", "/v1/calls/theirs/events")
    unknown = await running.ask("GET", "/v1/calls/none/events")
    assert check_problem(foreign, 404, "call_not_found")["detail"] == unknown.json()["detail"]
    assert (await running.ask("DELETE", "/v1/calls/ours")).status_code == 202
    check_problem(await running.ask("GET", "/v1/calls/ours/events"), 404, "call_not_found")
    unfit = running.secret("agents:read")
    check_problem(await running.ask("GET", "/v1/calls/ours/events", unfit), 403, "scope_missing")


def test_what_an_event_may_hold_was_looked_at() -> None:
    """A field that sounds like a secret is left out, or this test is told why it need not be."""
    names = {name for event in ev.EVENTS for name in get_type_hints(event)}
    suspicious = {name for name in names if any(word in name for word in ("sdp", "token", "secret", "passw", "auth"))}
    assert suspicious == LEFT_OUT
