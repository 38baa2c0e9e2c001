"""Versions of agents over the real wire (A1, G8): the product, REST, and callers."""

import asyncio
import json
from typing import Any

import anyio
import pytest
from gateway_client import open_client
from session_client import ask
from wire_stage import CLERK, Speak, Stage

pytestmark = pytest.mark.anyio

SHOP = CLERK.replace('"clerk"', '"shop"')
NIGHT = SHOP.replace("from nine to five", "all night")


class Rest:
    """Asks the product with its secret key."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        made = json.loads(stage.run("keys", "create", "--kind", "secret", "--name", "versions", "--json"))
        self._key = str(made["key"])

    async def __call__(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._stage.port}{path}"
        status, answer = await asyncio.to_thread(ask, method, url, self._key, body)
        assert status < 300, answer
        return answer

    async def token(self, **more: object) -> str:
        made = await self("POST", "/v1/call-tokens", {"agent_id": "shop", **more})
        return str(made["token"])


async def serving_version(stage: Stage, rest: Rest) -> str:
    """The version that a new call gets."""
    async with open_client(stage.signaling) as client:
        await client.call(await rest.token())
        await client.hang_up()
    record = await stage.ended(client.session)
    return str(record["version"])


async def test_a_running_call_keeps_its_version_and_the_next_has_the_new_one(stage: Stage, speak: Speak) -> None:
    rest = Rest(stage)
    await rest("POST", "/v1/agents", {"text": SHOP})
    assert (await rest("POST", "/v1/agents/shop/publish", {}))["live"] == 1
    async with open_client(stage.signaling) as client:
        await client.call(await rest.token(), events=True)
        await client.hears("Yes?")
        await rest("PUT", "/v1/agents/shop", {"text": NIGHT})
        # A token of the public reaches no draft; one that was made for it does.
        async with open_client(stage.signaling) as other:
            await other.offer(await rest.token(), agentVersionOverride={"artifactVersion": "2"})
            assert await other.wait_error() == ("INVALID_ARGUMENT", "invalid_field")
        async with open_client(stage.signaling) as other:
            await other.call(await rest.token(preview=True), events=True)
            await other.hears("Yes?")
            await other.say(speak("what are your opening hours"))
            await other.hears("all night")
            await other.hang_up()
        assert (await stage.ended(other.session))["version"] == "2"
        assert (await rest("POST", "/v1/agents/shop/publish", {}))["live"] == 2
        with anyio.fail_after(60):
            while await serving_version(stage, rest) != "2":
                pass
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")
        await client.hang_up()
    assert (await stage.ended(client.session))["version"] == "1"
    assert (await rest("POST", "/v1/agents/shop/rollback", {}))["live"] == 1
    with anyio.fail_after(60):
        while await serving_version(stage, rest) != "1":
            pass
    # What was published once may be named with any token.
    async with open_client(stage.signaling) as client:
        await client.call(await rest.token(), agentVersionOverride={"artifactVersion": "2"})
        await client.hang_up()
    assert (await stage.ended(client.session))["version"] == "2"
