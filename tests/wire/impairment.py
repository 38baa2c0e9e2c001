"""A bad network between two addresses, replayed from a seed: in network namespaces, or over loopback.

    python impairment.py A B '{"loss": 0.05, "seed": 1}'      forward frames between two interfaces (needs root)

The kernel of a test machine may have no netem. So two hosts are made of network namespaces, each with one end of a
veth pair, and a forwarder copies frames between the other ends, late or not at all. Where namespaces are not permitted
``open_proxy`` does the same to the datagrams of one call over loopback. The network is good until ``begin``.
"""

import heapq
import os
import random
import secrets
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

#: Addresses of the two hosts.
SERVER, CALLER = "10.77.0.1", "10.77.0.2"
_LONGEST = 2048


class Impairment(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to packets, in each direction alike. Times in seconds, shares from 0 to 1."""

    seed: int = 1
    loss: float = 0.0
    doubled: float = 0.0
    #: Each packet is late by a draw up to ``jitter``; packets overtake each other only if ``reorder`` is set.
    jitter: float = 0.0
    reorder: bool = False
    #: Nothing passes from ``outage_at`` after the beginning on, for ``outage``.
    outage_at: float = 0.0
    outage: float = 0.0


class Network:
    """One direction of an impaired network: packets in, and those that are due, out. Time is an argument."""

    def __init__(self, impairment: Impairment, direction: int) -> None:
        self._impairment = impairment
        self._chance = random.Random(impairment.seed * 2 + direction)
        self._began: float | None = None
        self._latest = 0.0
        self._count = 0
        self._queue: list[tuple[float, int, bytes]] = []

    def begin(self, now: float) -> None:
        """From now on the network is bad."""
        self._began = now

    def put(self, packet: bytes, now: float) -> None:
        """A packet comes in."""
        bad, chance = self._impairment, self._chance
        if self._began is None:
            self._push(now, packet)
            return
        since = now - self._began - bad.outage_at
        # The draws are made for every packet, so that one seed means one sequence of fates.
        lost, doubled, late = chance.random() < bad.loss, chance.random() < bad.doubled, chance.random() * bad.jitter
        if lost or 0 <= since < bad.outage:
            return
        due = now + late if bad.reorder else max(now + late, self._latest)
        self._latest = due
        for _ in range(1 + doubled):
            self._push(due, packet)

    def due(self, now: float) -> Iterator[bytes]:
        """The packets that come out now."""
        while self._queue and self._queue[0][0] <= now:
            yield heapq.heappop(self._queue)[2]

    @property
    def next(self) -> float | None:
        """When something comes out next."""
        return self._queue[0][0] if self._queue else None

    def _push(self, due: float, packet: bytes) -> None:
        self._count += 1
        heapq.heappush(self._queue, (due, self._count, packet))


def pump(
    ends: list[socket.socket],
    receive: Callable[[socket.socket], bytes | None],
    send: Callable[[int, bytes], None],
    networks: list[Network],
    goes_on: Callable[[], bool],
) -> None:
    """Move packets between two ends: what ``receive`` gives at one is sent at the other, when it is due."""
    for end in ends:
        end.setblocking(False)
    while goes_on():
        moments = [network.next for network in networks if network.next is not None]
        wait = min([0.05, *(max(0.0, moment - time.monotonic()) for moment in moments)])
        ready, _, _ = select.select(ends, [], [], wait)
        for end in ready:
            packet = receive(end)
            if packet is not None:
                networks[ends.index(end)].put(packet, time.monotonic())
        for place, network in enumerate(networks):
            for packet in network.due(time.monotonic()):
                send(1 - place, packet)


# ── over loopback ─────────────────────────────────────────────────────────────────────────────────────────────────


class Proxy:
    """The bad network as a relay on loopback: the caller sends to ``port`` what is for the server's ``target``."""

    def __init__(self, impairment: Impairment, target: int) -> None:
        self._networks = [Network(impairment, 0), Network(impairment, 1)]
        self._front, self._back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._front.bind(("127.0.0.1", 0))
        self._back.connect(("127.0.0.1", target))
        self._caller: tuple[str, int] | None = None
        self._open = True
        self.port: int = self._front.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def begin(self) -> None:
        """From now on the network is bad."""
        for network in self._networks:
            network.begin(time.monotonic())

    def close(self) -> None:
        """Stop, and free the ports."""
        self._open = False
        self._thread.join()
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        pump([self._front, self._back], self._receive, self._send, self._networks, lambda: self._open)

    def _receive(self, end: socket.socket) -> bytes | None:
        try:
            packet, source = end.recvfrom(_LONGEST)
        except OSError:  # a port that is closed already answers
            return None
        if end is self._front:
            self._caller = source
        return packet

    def _send(self, place: int, packet: bytes) -> None:
        try:
            if place == 1:
                self._back.send(packet)
            elif self._caller is not None:
                self._front.sendto(packet, self._caller)
        except OSError:  # as above
            return


# ── in network namespaces ─────────────────────────────────────────────────────────────────────────────────────────


def namespaces_work() -> str:
    """Empty if network namespaces can be made here; else why not."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    try:
        name = _new_name()
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace can be made: {error}"
    return ""


@contextmanager
def open_hosts(impairment: Impairment) -> Iterator[tuple[list[str], list[str], Callable[[], None]]]:
    """Two hosts with a bad network between: what to put before a command to run it on each, and ``begin``."""
    with ExitStack() as stack:
        prefixes, outsides = [], []
        for address in (SERVER, CALLER):
            # Names are never used twice: the kernel takes its time to clear interfaces away.
            space = _new_name()
            inside, outside = f"{space}i", f"{space}o"
            outsides.append(outside)
            _ip("netns", "add", space)
            stack.callback(_ip, "netns", "delete", space)
            _ip("link", "add", inside, "type", "veth", "peer", "name", outside)
            # A frame that is copied by hand must hold its checksum already.
            _fill_in_checksums(inside)
            _ip("link", "set", inside, "netns", space)
            _ip("link", "set", outside, "up")
            for command in (["addr", "add", f"{address}/24", "dev", inside], ["link", "set", inside, "up"],
                            ["link", "set", "lo", "up"]):  # fmt: skip
                _ip("-n", space, *command)
            prefixes.append(["ip", "netns", "exec", space])
        forwarder = stack.enter_context(
            subprocess.Popen(
                [sys.executable, __file__, *outsides, msgspec.json.encode(impairment).decode()],
                stdin=subprocess.PIPE,
            )
        )
        assert forwarder.stdin is not None
        stack.callback(forwarder.stdin.close)

        def begin() -> None:
            assert forwarder.stdin is not None
            forwarder.stdin.write(b"begin\n")
            forwarder.stdin.flush()

        yield prefixes[0], prefixes[1], begin


def _new_name() -> str:
    """A name for a namespace or an interface (at most 15 characters)."""
    return f"oh{secrets.token_hex(4)}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _fill_in_checksums(interface: str) -> None:
    """Switch the offloading of checksums off: ``ethtool -K INTERFACE tx off`` (linux/ethtool.h)."""
    import ctypes
    import fcntl

    siocethtool, stxcsum = 0x8946, 0x17
    value = ctypes.create_string_buffer(struct.pack("II", stxcsum, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, siocethtool, struct.pack("16sP16x", interface.encode(), ctypes.addressof(value)))


def forward(interfaces: list[str], impairment: Impairment) -> None:
    """Copy frames between two interfaces until stdin ends; the network is bad from the first line on."""
    every, outgoing, ipv4 = 3, 4, b"\x08\x00"  # linux/if_ether.h, linux/if_packet.h
    ends = []
    for interface in interfaces:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every))
        end.bind((interface, 0))
        ends.append(end)
    networks = [Network(impairment, place) for place in range(2)]
    said = threading.Event()

    def listen() -> None:
        for _ in sys.stdin:
            for network in networks:
                network.begin(time.monotonic())
        said.set()

    threading.Thread(target=listen, daemon=True).start()

    def receive(end: socket.socket) -> bytes | None:
        frame, address = end.recvfrom(_LONGEST)
        # What we send comes by here, too; and what is no datagram (who has this address?) is not to be lost.
        if address[2] == outgoing:
            return None
        if frame[12:14] != ipv4:
            ends[1 - ends.index(end)].send(frame)
            return None
        return frame

    pump(ends, receive, lambda place, frame: void(ends[place].send(frame)), networks, lambda: not said.is_set())


def void(_: object) -> None:
    """Nothing is made of it."""


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    forward(sys.argv[1:3], msgspec.json.decode(sys.argv[3], type=Impairment))
