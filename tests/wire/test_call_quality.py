"""How a call's audio fared, where people look for it: figures of the running product, record, command line."""

import json

import anyio
import pytest
from gateway_client import open_client
from usage import figures_at
from wire_stage import Stage

from offhook.services.settings import ROLES

pytestmark = pytest.mark.anyio


async def test_a_call_is_counted_while_it_lives_and_measured_when_it_ends(stage: Stage) -> None:
    gateway, voice = (stage.metrics + ROLES.index(role) for role in ("gateway", "voice"))
    before = figures_at(voice)
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), events=True)
        await client.hears("yes?")
        assert figures_at(gateway)["offhook_calls", ""] >= 1
        during = figures_at(voice)
        assert during["offhook_media_connections", ""] >= 1
        for name, label in (("offhook_media_packets_total", "in"), ("offhook_media_packets_total", "out"),
                            ("offhook_media_audio_seconds_total", "heard")):  # fmt: skip
            assert during[name, label] > before.get((name, label), 0)
        await client.hang_up()
    quality = (await stage.ended(call))["quality"]
    assert quality["received"] > 20 and quality["sent"] > 20
    assert quality["heard"] > 0.4
    assert 1 <= quality["mos"] <= 4.5
    assert json.loads(stage.run("calls", "show", call, "--json"))["quality"] == quality
    shown = stage.run("calls", "show", call)
    assert f"{quality['received']:,} packets" in shown and "MOS" in shown
    # The counts of a call that is over stay in those of its node.
    with anyio.fail_after(10):
        while figures_at(voice)["offhook_media_connections", ""] >= during["offhook_media_connections", ""]:
            await anyio.sleep(0.05)
    after = figures_at(voice)
    assert after["offhook_media_packets_total", "in"] >= during["offhook_media_packets_total", "in"]
    # The round trip of so short a call is not known.
    for name in ("jitter_seconds", "buffer_delay_seconds", "mean_opinion_score"):
        assert after[f"offhook_media_{name}_count", ""] > before[f"offhook_media_{name}_count", ""]


async def test_every_role_tells_figures_of_its_process(stage: Stage) -> None:
    for port in range(stage.metrics, stage.metrics + len(ROLES)):
        assert figures_at(port)["process_cpu_seconds_total", ""] > 0
