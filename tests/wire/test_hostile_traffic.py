"""Calls while strangers flood their ports: nobody is disturbed, nobody is answered, and the counters tell all of it.

`just bench hostile` measures the same with ten calls and 5,000 datagrams a second.
"""

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from gateway_client import GatewayClient, open_client
from hostile_datagrams import strangers
from usage import dropped_by
from wire_stage import Stage

from offhook.services.media.guard import Drop

pytestmark = pytest.mark.anyio

CALLS = 3
#: Rounds of one datagram of each kind to each call, and the pause between two of them, seconds. All of it fits into the
#: buffers of the sockets, so that a machine that stands still loses none and the counters can be compared.
ROUNDS, PAUSE = 25, 0.02


async def flood(stranger: socket.socket, targets: list[tuple[int, str]]) -> Counter[str]:
    """Send all rounds; returns what the server must have counted."""
    expected: Counter[str] = Counter()
    for _ in range(ROUNDS):
        for port, user in targets:
            for datagram, drop in strangers(user).values():
                stranger.sendto(datagram, ("127.0.0.1", port))
                expected[drop] += 1
        await asyncio.sleep(PAUSE)
    return expected


async def test_calls_go_on_while_strangers_flood_their_ports(stage: Stage) -> None:
    before = await asyncio.to_thread(dropped_by, stage)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        async with AsyncExitStack() as stack:
            clients: list[GatewayClient] = []
            targets = []
            for number in range(CALLS):
                client = await stack.enter_async_context(open_client(stage.signaling))
                await client.offer(stage.new_token("patient"), events=True, **({"mode": "echo"} if number else {}))
                answer = await client.take_answer()
                await client.caller.wait_connected()
                clients.append(client)
                candidate = next(line for line in answer.split("\r\n") if line.startswith("a=candidate"))
                targets.append((int(candidate.split()[5]), answer.partition("a=ice-ufrag:")[2].split()[0]))
            expected = await flood(stranger, targets)
            for client in clients:
                await client.caller.wait_heard(len(client.caller.heard) + 25)
            dropped = await asyncio.to_thread(dropped_by, stage)
            for client in clients:
                await client.hang_up()
        counted = Counter(dropped) - Counter(before)
        # On a slow machine a check is asked twice, and the second answer of an honest caller is one too many.
        assert counted.pop(Drop.STUN_UNASKED) >= expected.pop(Drop.STUN_UNASKED)
        assert counted == expected
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
    for client in clients:
        record = await stage.ended(client.session)
        assert record["reason"] == "caller_hangup"
        assert "reconnecting" not in [change["state"] for change in record["states"]]
