"""The caller always wins: who speaks into the agent's words stops them, and a click does not."""

import anyio
import numpy as np
import pytest
from gateway_client import GatewayClient, open_client, token_for
from product import Product
from wire_stage import Speak

pytestmark = pytest.mark.anyio


async def ask_for_hours(client: GatewayClient, product: Product, speak: Speak) -> None:
    """A call in which the agent has begun a long answer."""
    await client.call(token_for(product.folder / "data"), events=True)
    await client.hears("how can i help you")
    await client.say(speak("what are your opening hours"))
    await client.wait_event("speaking")


async def test_the_agent_falls_silent_and_answers_what_it_heard(product: Product, speak: Speak) -> None:
    async with open_client(product.signaling) as client:
        await ask_for_hours(client, product, speak)
        await anyio.sleep(2)
        await client.say(speak("where are you"))
        cut = await client.hears("we are open")
        assert cut["interrupted"]
        assert "saturday" not in cut["text"].lower()
        assert (await client.wait_event("transcript", role="caller"))["text"] == "where are you"
        await client.hears("river street")


async def test_a_click_does_not_stop_the_agent_for_good(product: Product, speak: Speak) -> None:
    async with open_client(product.signaling) as client:
        await ask_for_hours(client, product, speak)
        await anyio.sleep(2)
        click = np.zeros(8000, "<i2")
        click[4000:4160] = np.random.default_rng(1).integers(-12000, 12000, 160)
        await client.say(click.tobytes())
        whole = await client.hears("we are open")
        assert not whole["interrupted"]
        assert whole["text"].lower().rstrip().endswith("?")
