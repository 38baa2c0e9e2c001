"""Sessions over the real wire (S1-S5, R1, R4): the product, a secret key, and callers of both protocols."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from gateway_client import GatewayClient, open_client
from session_client import ask, open_session
from wire_stage import Speak, Stage

pytestmark = pytest.mark.anyio

Call = Callable[[Stage, str], AbstractAsyncContextManager[GatewayClient]]


@pytest.fixture(scope="module")
def key(stage: Stage) -> str:
    made = json.loads(stage.run("keys", "create", "--kind", "secret", "--name", "wire", "--json"))
    return str(made["key"])


async def rest(
    stage: Stage, method: str, path: str, key: str, body: object = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    return await asyncio.to_thread(ask, method, f"http://127.0.0.1:{stage.port}{path}", key, body, **headers)


async def start(stage: Stage, key: str, agent: str = "clerk", **more: Any) -> dict[str, Any]:
    status, started = await rest(stage, "POST", "/voice/start", key, {"agent_id": agent, **more})
    assert status == 200, started
    return started


@asynccontextmanager
async def over_the_gateway_protocol(stage: Stage, key: str) -> AsyncIterator[GatewayClient]:
    async with open_client(stage.signaling) as client:
        await client.call(stage.new_token(), events=True)
        yield client


@asynccontextmanager
async def over_the_session_protocol(stage: Stage, key: str) -> AsyncIterator[GatewayClient]:
    started = await start(stage, key)
    async with open_session(started["websocket_url"]) as client:
        await client.call(started["token"])
        yield client


FACES = pytest.mark.parametrize("begin", [over_the_gateway_protocol, over_the_session_protocol])


@FACES
async def test_a_call_is_the_same_whoever_offers(stage: Stage, key: str, speak: Speak, begin: Call) -> None:
    """Covers S2, S3, S4, S5: one body, both protocols, one record."""
    async with begin(stage, key) as client:
        await client.hears("Yes?")
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")
        await client.hears("Yes?")
        await client.say(speak("good bye"))
        await client.hears("Goodbye")
        assert await client.wait_closed() == 1000
        await stage.ended(client.session)
        status, record = await rest(stage, "GET", f"/v1/calls/{client.session}", key)
    assert status == 200
    assert (record["state"], record["reason"], record["agent"], record["channel"]) == (
        "ended", "agent_completed", "clerk", "web",
    )  # fmt: skip
    assert [entered["state"] for entered in record["states"]] == [
        "connecting", "ringing", "answered", "ending", "ended",
    ]  # fmt: skip
    caller = [line["text"] for line in record["transcript"] if line["role"] == "caller"]
    assert [text.replace("goodbye", "good bye") for text in caller] == ["what are your opening hours", "good bye"]


async def test_the_events_of_a_session(stage: Stage, key: str) -> None:
    """Covers S3."""
    started = await start(stage, key, metadata={"cart": "7"}, context={"name": "Ann"})
    async with open_session(started["websocket_url"]) as client:
        await client.call(started["token"])
        await client.hears("Yes?")
        await client.send("ice-candidate", candidate=None)
        await client.send("close")
        assert await client.wait_closed() == 1000
        kinds = [frame["type"] for frame in client.frames]
    assert kinds[:2] == ["offer", "call_started"]
    assert {"agent_speaking", "transcript"} <= set(kinds) and "error" not in kinds
    ended = client.frames[-1]
    assert (ended["type"], ended["reason"]) == ("call_ended", "caller_hangup") and ended["duration"] > 0
    record = await stage.ended(started["session_id"])
    assert (record["metadata"], record["variables"]) == ({"cart": "7"}, {"name": "Ann"})


async def test_a_page_that_goes_away_has_hung_up(stage: Stage, key: str) -> None:
    started = await start(stage, key)
    async with open_session(started["websocket_url"]) as client:
        await client.call(started["token"])
        await client.hears("Yes?")
        await client.send_raw(b"\x88\x82\0\0\0\0\x03\xe9")
    assert (await stage.ended(started["session_id"]))["reason"] == "caller_hangup"


async def test_a_session_is_for_one_page_of_one_origin(stage: Stage, key: str) -> None:
    """Covers S1."""
    started = await start(stage, key, origin="https://shop.example")
    for origin, code in ((None, "origin_mismatch"), (b"https://evil.example", "origin_mismatch")):
        headers = [] if origin is None else [(b"Origin", origin)]
        async with open_session(started["websocket_url"], headers) as client:
            await client.send("auth", token=started["token"])
            assert (await client.wait_error())[0] == code
            assert await client.wait_closed() == 4401
    async with open_session(started["websocket_url"], [(b"Origin", b"https://SHOP.example")]) as client:
        await client.call(started["token"])
        async with open_session(started["websocket_url"], [(b"Origin", b"https://shop.example")]) as second:
            await second.send("auth", token=started["token"])
            assert (await second.wait_error())[0] == "token_used"
        await client.send("close")
        assert await client.wait_closed() == 1000


async def test_the_example_with_curl_alone(stage: Stage, key: str) -> None:
    """Covers R7, S1: ``docs/examples/api.sh``."""
    async with over_the_session_protocol(stage, key) as client:
        await client.hears("Yes?")
        await client.hang_up()
    await stage.ended(client.session)
    server = f"http://127.0.0.1:{stage.port}"
    environment = os.environ | {"KEY": key, "OFFHOOK": server, "AGENT": "clerk", "ERASE": client.session}
    script = Path(__file__).parents[2] / "docs/examples/api.sh"
    done = await anyio.run_process(["bash", str(script)], env=environment, check=False)
    said = done.stdout.decode()
    assert done.returncode == 0, said + done.stderr.decode()
    shown = {}
    for part in said.split("# ")[1:]:
        title, *lines = part.splitlines()
        shown[title.split(",")[0].split(":")[0]] = [json.loads(line) for line in lines if line]
    workspace, agent, session, calls, call, exported, erased, _, key_left = shown.values()
    assert workspace[0]["id"] == call[0]["workspace"]
    assert (agent[0]["state"], agent[1]["live"]) == ("draft", 1)
    assert session[0]["session_id"] != client.session == calls[0]["calls"][0]["id"] == call[0]["id"]
    assert call[0] in exported and call[0]["transcript"]
    assert [report["call"] for report in erased] == [client.session] * 2
    assert (await rest(stage, "GET", f"/v1/calls/{client.session}", key))[0] == 404
    assert key_left[0]["revoked_at"] is not None


async def test_behind_a_proxy_with_a_certificate_addresses_are_secure(stage: Stage, key: str) -> None:
    """A page with https may open no other socket."""
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "talk.example", "X_Forwarded_For": "198.51.100.7"}
    _, started = await rest(stage, "POST", "/voice/start", key, {"agent_id": "clerk"}, **forwarded)
    assert started["websocket_url"].startswith("wss://talk.example/ws/")
    assert (await start(stage, key))["websocket_url"].startswith(f"ws://127.0.0.1:{stage.port}/ws/")


@FACES
async def test_at_capacity(stage: Stage, key: str, begin: Call) -> None:
    """Covers R4: on REST and on both protocols, and over as soon as a line is free."""
    before = await start(stage, key)
    try:
        # Calls of other tests may still be ending.
        while (await rest(stage, "GET", "/v1/workspace", key))[1]["active_calls"]:
            await asyncio.sleep(0.05)
        status, shown = await rest(stage, "PATCH", "/v1/workspace", key, {"max_calls": 1})
        assert (status, shown["max_calls"]) == (200, 1)
        async with begin(stage, key) as client:
            assert (await rest(stage, "GET", "/v1/workspace", key))[1]["active_calls"] == 1
            status, problem = await rest(stage, "POST", "/voice/start", key, {"agent_id": "clerk"})
            assert (status, problem["code"]) == (429, "at_capacity")
            async with open_client(stage.signaling) as other:
                await other.offer(stage.new_token())
                assert await other.wait_error() == ("HANDLER_ERROR", "at_capacity")
            async with open_session(before["websocket_url"]) as joining:
                await joining.send("auth", token=before["token"])
                assert (await joining.wait_error())[0] == "at_capacity"
                assert await joining.wait_closed() == 1013
            await client.hang_up()
        await stage.ended(client.session)
        while (await rest(stage, "GET", "/v1/workspace", key))[1]["active_calls"]:
            await asyncio.sleep(0.05)
        # The token that was refused for want of a line is not spent.
        async with open_session(before["websocket_url"]) as joining:
            await joining.call(before["token"])
            await joining.send("close")
            assert await joining.wait_closed() == 1000
    finally:
        assert (await rest(stage, "PATCH", "/v1/workspace", key, {"max_calls": None}))[0] == 200
