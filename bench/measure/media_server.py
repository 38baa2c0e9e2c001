"""offhook's media engine as a server of its own, for the load client: what the voice role runs, without the bus.

The engine, the audio link and the loop are those of `offhook run voice`; signaling is one line of JSON in, the answer
out, and the call lasts as long as the connection. What a call does is told in the offer:

* ``echo``: the caller's packets go back as they are.
* ``agent``: what the caller says is decoded at 16 kHz and heard, and a voice that never stops is encoded at 24 kHz.
* ``parrot``: what the caller says is decoded, made 24 kHz, encoded and said back.

    python bench/measure/media_server.py [--loop uvloop|asyncio]

It prints its port, and ends with its standard input.
"""

import argparse
import asyncio
import gc
import sys

import anyio
import msgspec
import numpy as np

from offhook.actors.link import AudioLink
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media import AiortcEngine


class Offer(msgspec.Struct):
    """One line of a caller."""

    sdp: str
    mode: str


def voice(seconds: float) -> bytes:
    """Something like speech at ``MOUTH_RATE``: a buzz with formants, in syllables, with breath in it."""
    time = np.arange(int(seconds * MOUTH_RATE)) / MOUTH_RATE
    pitch = 2 * np.pi * np.cumsum(110 + 25 * np.sin(2 * np.pi * 0.7 * time)) / MOUTH_RATE
    strengths = np.exp(-((np.arange(1, 40) * 0.12 - 0.6) ** 2))
    buzz = sum(strength * np.sin(pitch * (n + 1)) for n, strength in enumerate(strengths))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.7, 0.05, 1)
    sound = buzz * syllables + np.random.default_rng(3).normal(0, 0.2, len(time))
    return bytes((sound / np.abs(sound).max() * 9000).astype("<i2").tobytes())


async def hear(link: AudioLink) -> None:
    """An agent's ear: it takes every frame."""
    while True:
        await link.receive()


async def talk(link: AudioLink, sound: bytes) -> None:
    """An agent's mouth: a sentence after the other."""
    while True:
        await link.play(sound)
        await link.wait_drained()


async def repeat(link: AudioLink) -> None:
    """Say back what is heard."""
    last = 0.0
    while True:
        samples = np.frombuffer(await link.receive(), "<i2").astype(np.float32)
        at = np.arange(MOUTH_FRAME // 2) * (2 / 3)
        made = np.interp(at, np.arange(-1, len(samples)), np.concatenate([[last], samples]))
        last = samples[-1]
        await link.play(made.astype("<i2").tobytes())


class Server:
    """Answers offers."""

    def __init__(self) -> None:
        self._engine = AiortcEngine("127.0.0.1")
        self._voice = voice(4.0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call, as long as its connection lasts."""
        offer = msgspec.json.decode(await reader.readline(), type=Offer)
        link = AudioLink()
        async with self._engine.open_peer(link, echo=offer.mode == "echo") as peer, anyio.create_task_group() as tasks:
            writer.write(msgspec.json.encode({"sdp": await peer.answer(offer.sdp)}) + b"\n")
            if offer.mode == "agent":
                tasks.start_soon(hear, link)
                tasks.start_soon(talk, link, self._voice)
            elif offer.mode == "parrot":
                tasks.start_soon(repeat, link)
            await reader.read()
            tasks.cancel_scope.cancel()
        writer.close()

    async def run(self) -> None:
        """Serve until standard input ends."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=2**17)
        print(server.sockets[0].getsockname()[1], flush=True)
        gc.freeze()
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", default="uvloop", choices=["uvloop", "asyncio"])
    anyio.run(Server().run, backend="asyncio", backend_options={"use_uvloop": parser.parse_args().loop == "uvloop"})


if __name__ == "__main__":
    main()
