"""Callers whose network lets nothing through but a TURN server, with the real product, coturn and browser: covers G9.

The page is not allowed any path but a relay, and each time coturn listens on one transport only. Where network
namespaces can be made, a browser is also put into one that lets no UDP out, and may try whatever it likes.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aioice import stun, turn
from impairment import SERVER, Impairment, namespaces_work, open_hosts
from page_stage import CHROMIUM, MICROPHONE, QUIET
from playwright.sync_api import Page, sync_playwright
from product import Product, free_port
from turn_server import SECRET, TRANSPORTS, open_turn_server, url

from offhook.protocol.ice import TURN_TTL, ice_servers

#: Every connection of the page may use relays only; what it was given is kept to be looked at.
RELAY_ONLY = """
  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = function (configuration) {
    window.configured = configuration;
    return new Connection({ ...configuration, iceTransportPolicy: "relay" });
  };
  window.RTCPeerConnection.prototype = Connection.prototype;
"""
#: The pair in use, and packets that came.
PATH = """async () => {
  const stats = await offhookCall._connection._peer._connection.getStats();
  const all = [...stats.values()];
  const pair = all.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded");
  const inbound = all.find((one) => one.type === "inbound-rtp");
  const local = pair && stats.get(pair.localCandidateId);
  return { type: local?.candidateType, over: local?.relayProtocol, packets: inbound?.packetsReceived || 0 };
}"""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {transport: free_port() for transport in TRANSPORTS}


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Product]:
    """A product that knows one TURN server for each transport."""
    servers = [option for transport, port in ports.items() for option in ("--ice", url(transport, port))]
    product = Product(tmp_path_factory.mktemp("product"), *servers, "--turn-secret", SECRET)
    yield product
    assert product.stop() == 0, product.log.read_text()


def minted(product: Product) -> dict[str, Any]:
    """The entry of ``iceServers`` with credentials, as the page gets it."""
    request = urllib.request.Request(f"http://127.0.0.1:{product.port}/api/demo/token", method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        (entry,) = json.load(answer)["iceServers"]
    found: dict[str, Any] = entry
    return found


def wait_until(page: Page, script: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < until, page.inner_text("main")
        page.wait_for_timeout(50)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_goes_through_the_relay(transport: str, relayed: Product, ports: dict[str, int], tmp_path: Path) -> None:
    with open_turn_server(tmp_path, transport, ports[transport]), sync_playwright() as playwright:
        # The certificate of the tests is signed by nobody.
        flags = [*QUIET, *MICROPHONE, "--ignore-certificate-errors"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.add_init_script(RELAY_ONLY)
        page.goto(relayed.url)
        page.click("#start")
        wait_until(page, "window.offhookCall && offhookCall.state === 'answered'")
        before = page.evaluate(PATH)
        # The server would notice within 1.5 s if it heard nothing.
        page.wait_for_timeout(2500)
        after = page.evaluate(PATH)
        assert page.evaluate("offhookCall.state") == "answered"
        (given,) = page.evaluate("configured.iceServers")
        page.click("#end")
        wait_until(page, "offhookCall.state === 'ended'")
        browser.close()
    assert (after["type"], after["over"]) == ("relay", transport)
    assert after["packets"] > before["packets"]
    assert given["urls"] == [url(transport, port) for transport, port in ports.items()]


class Blocked(NamedTuple):
    """A product on one host, and another host that lets no UDP out."""

    product: Product
    #: Where a TURN server for each transport is expected.
    ports: dict[str, int]
    #: What runs a command on the host of the product, and of the caller.
    server: list[str]
    caller: list[str]


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocked]:
    if why := namespaces_work():
        pytest.skip(why)
    ports = {"tcp": free_port(), "tls": free_port()}
    servers = [option for transport, port in ports.items() for option in ("--ice", url(transport, port, SERVER))]
    with open_hosts(Impairment()) as (server, caller, _):
        subprocess.run([*caller, "ip", "rule", "add", "ipproto", "udp", "blackhole"], check=True)
        folder = tmp_path_factory.mktemp("blocked")
        product = Product(folder, *servers, "--turn-secret", SECRET, address=SERVER, prefix=server)
        yield Blocked(product, ports, server, caller)
        assert product.stop() == 0, product.log.read_text()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_call_finds_the_relay_where_udp_is_blocked(transport: str, blocked: Blocked, tmp_path: Path) -> None:
    sending = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('{SERVER}', 9))"
    refused = subprocess.run([*blocked.caller, sys.executable, "-c", sending], stderr=subprocess.PIPE, check=False)
    assert b"OSError" in refused.stderr
    browser_there = tmp_path / "chromium"
    browser_there.write_text(f'#!/bin/sh\nexec {" ".join(blocked.caller)} {CHROMIUM} "$@"\n')
    browser_there.chmod(0o755)
    address = f"http://{SERVER}:{blocked.product.port}"
    # Microphones are for secure pages only, and certificates of the tests are signed by nobody.
    secure = ["--ignore-certificate-errors", f"--unsafely-treat-insecure-origin-as-secure={address}"]
    turn_server = open_turn_server(tmp_path, transport, blocked.ports[transport], host=SERVER, prefix=blocked.server)
    with turn_server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_there, args=[*QUIET, *MICROPHONE, *secure])
        page = browser.new_page()
        page.goto(address)
        page.click("#start")
        wait_until(page, "window.offhookCall && offhookCall.state === 'answered'")
        # Statistics are a moment behind.
        wait_until(page, f"({PATH})().then((path) => path.type)")
        path = page.evaluate(PATH)
        page.click("#end")
        wait_until(page, "offhookCall.state === 'ended'")
        browser.close()
    assert (path["type"], path["over"]) == ("relay", transport)


def test_only_credentials_of_the_day_are_taken(relayed: Product, ports: dict[str, int], tmp_path: Path) -> None:
    first, second = minted(relayed), minted(relayed)
    assert first["username"] != second["username"]

    def made(secret: str, now: float) -> tuple[str, str]:
        (entry,) = ice_servers([url("udp", ports["udp"])], secret=secret, name="call-1", now=now)
        assert entry.username is not None and entry.credential is not None
        return entry.username, entry.credential

    async def allocates(username: str, password: str) -> bool:
        try:
            transport, _ = await turn.create_turn_endpoint(
                asyncio.DatagramProtocol, server_addr=("127.0.0.1", ports["udp"]), username=username, password=password
            )
        except stun.TransactionFailed as refused:
            if refused.response.error_code != 401:
                raise
            return False
        else:
            transport.close()
            return True

    with open_turn_server(tmp_path, "udp", ports["udp"]):
        now = time.time()
        assert asyncio.run(allocates(first["username"], first["credential"]))
        assert asyncio.run(allocates(*made(SECRET, now)))
        assert not asyncio.run(allocates(first["username"], second["credential"]))
        assert not asyncio.run(allocates(*made("another secret", now)))
        assert not asyncio.run(allocates(*made(SECRET, now - TURN_TTL - 60)))
