"""A call whose audio counts, over a bad network: ``measure`` it from both ears.

The two ends are processes of their own, so that each can live in its network namespace; ``python counting_call.py
server|caller ADDRESS`` is one of them. They say lines of JSON: offer and answer, ``{}`` when they are connected, and
what they sent and heard at the end. Times are of the monotonic clock, which both share.
"""

import asyncio
import subprocess
import sys
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import msgspec
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import RtpPacket
from counted_audio import FRAME, Heard, counted, judge, read
from impairment import CALLER, SERVER, Impairment, Proxy, namespaces_work, open_hosts
from webrtc_caller import WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerConnected
from offhook.protocol.speech import EAR_RATE, MOUTH_RATE
from offhook.services.media import AiortcEngine
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.hearing import EvenHearing
from offhook.services.media.opus import OpusDecoder

#: What a browser expects to lose when it is asked for redundancy.
EXPECTED_LOSS = 0.1


class Account(msgspec.Struct):
    """What one end has sent, and heard: times, and numbers (see ``read``)."""

    sent: list[float] = []
    heard: list[tuple[float, int]] = []


class Outcome(msgspec.Struct, frozen=True):
    """What the two ears made of the call."""

    #: Where it ran: ``namespaces``, or ``loopback`` and why.
    where: str
    agent: Heard
    caller: Heard


# ── the ends ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _CountingLink(AudioLink):
    """A link whose agent counts, and notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[float] = []
        self.frames: list[tuple[float, bytes]] = []
        self.counts = False

    def hear(self, frame: bytes) -> None:
        self.frames.append((time.monotonic(), frame))

    def take(self) -> bytes | None:
        if not self.counts:
            return None
        self.sent.append(time.monotonic())
        return counted(len(self.sent) - 1, MOUTH_RATE)


class _CountingMicrophone(MediaStreamTrack):
    """A microphone whose packets are encoded as a browser's: with redundancy."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[float] = []
        self._encoder = OpusEncoder(EAR_RATE)
        self._encoder.expect_loss(EXPECTED_LOSS)
        self._began = 0.0

    async def recv(self) -> "av.Packet[Any]":
        now = time.monotonic()
        self._began = self._began or now
        await asyncio.sleep(max(0.0, self._began + len(self.sent) * FRAME - now))
        number = len(self.sent)
        self.sent.append(time.monotonic())
        packet = av.Packet(self._encoder.encode(counted(number, EAR_RATE)))
        packet.pts, packet.time_base = number * 960, Fraction(1, 48_000)
        return packet


async def _server(address: str) -> None:
    link = _CountingLink()
    async with AiortcEngine(address).open_peer(link, echo=False) as peer:
        _say(await peer.answer(msgspec.json.decode(await _line())))
        assert await peer.next_event() == PeerConnected()
        link.counts = True
        _say({})
        await _line()
        heard = [(at, read(frame, EAR_RATE)) for at, frame in link.frames]
    _say(Account(link.sent, heard))


async def _caller(address: str) -> None:
    microphone = _CountingMicrophone()
    async with WebRtcCaller(address) as caller:
        caller._microphone = microphone  # type: ignore[assignment]  # a track of packets instead of frames
        _say(await caller.offer())
        ear = EvenHearing(OpusDecoder(EAR_RATE))
        receiver: Any = caller._pc.getTransceivers()[0].receiver
        pass_on = receiver._handle_rtp_packet

        async def hear(packet: RtpPacket, arrival_time_ms: int) -> None:
            ear.put(packet.sequence_number, packet.timestamp, packet.payload, time.monotonic())
            await pass_on(packet, arrival_time_ms)

        receiver._handle_rtp_packet = hear
        await caller.accept(msgspec.json.decode(await _line()))
        await caller.wait_connected()
        _say({})
        played = _Played()
        listening = asyncio.create_task(played.listen(ear))
        await _line()
        listening.cancel()
        heard = played.read()
    _say(Account(microphone.sent, heard))


class _Played:
    """What a loudspeaker played. The buffer makes up less than a frame where less is missing, so frames of the speaker
    and of the sender need not begin together: a frame is read where the buffer's last decision ended."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        #: When the decision that ended at this byte was heard.
        self._ends: list[tuple[float, int]] = []

    async def listen(self, ear: EvenHearing) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            self._pcm += ear.take(now)
            ahead = len(ear._pcm)
            self._ends.append((now + ahead / 2 / EAR_RATE, len(self._pcm) + ahead))
            due += FRAME
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def read(self) -> list[tuple[float, int]]:
        size = round(EAR_RATE * FRAME) * 2
        whole = [(at, end) for at, end in self._ends if size <= end <= len(self._pcm)]
        return [(at, read(bytes(self._pcm[end - size : end]), EAR_RATE)) for at, end in whole]


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def _say(what: object) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


# ── the call ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _End:
    """One end, as a process."""

    def __init__(self, stack: ExitStack, role: Literal["server", "caller"], address: str, prefix: list[str]) -> None:
        command = [*prefix, sys.executable, __file__, role, address]
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(self._process.kill)

    def hears(self, what: object = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what).decode() + "\n")
        self._process.stdin.flush()

    def says(self, kind: type[Any] = object) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("an end of the call has failed; its error stands above")
        return msgspec.json.decode(line, type=kind)


def measure(impairment: Impairment, seconds: float, *, over_loopback: str = "") -> Outcome:
    """Run a call for so long on a network that is bad after a second.

    It runs over loopback where there are no namespaces, or if ``over_loopback`` says why it should.
    """
    why_not = over_loopback or namespaces_work()
    with ExitStack() as stack:
        if why_not:
            server, caller = _End(stack, "server", "127.0.0.1", []), _End(stack, "caller", "127.0.0.1", [])
        else:
            on_server, on_caller, begin = stack.enter_context(open_hosts(impairment))
            server, caller = _End(stack, "server", SERVER, on_server), _End(stack, "caller", CALLER, on_caller)
        server.hears(caller.says(str))
        answer = server.says(str)
        if why_not:
            port = next(line for line in answer.splitlines() if line.startswith("a=candidate")).split()[5]
            proxy = Proxy(impairment, int(port))
            stack.callback(proxy.close)
            answer, begin = answer.replace(f"127.0.0.1 {port} ", f"127.0.0.1 {proxy.port} "), proxy.begin
        caller.hears(answer)
        caller.says()
        server.says()
        time.sleep(1.0)
        begin()
        time.sleep(seconds)
        for end in (server, caller):
            end.hears()
        by_server, by_caller = server.says(Account), caller.says(Account)
    where = f"loopback, because {why_not}" if why_not else "namespaces"
    return Outcome(where, agent=judge(by_caller.sent, by_server.heard), caller=judge(by_server.sent, by_caller.heard))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asyncio.run({"server": _server, "caller": _caller}[sys.argv[1]](sys.argv[2]))
