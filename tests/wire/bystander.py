"""A call that goes on beside a test: an echo call in a thread of its own, and what its caller heard."""

import asyncio
import threading

import numpy as np
from gateway_client import open_client

#: Seconds between two looks at what came, and the most looks in a row without anything new: half a second.
LOOK = 0.02
MOST_QUIET = 25

RATE = 16_000


class Bystander:
    """An echo call from ``start`` to ``finish``."""

    def __init__(self, url: str, token: str) -> None:
        #: Id of the call.
        self.call = ""
        self._url = url
        self._token = token
        self._up = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._talk()))
        self._longest_quiet = 0
        self._frames: list[dict[str, object]] = []
        self._levels: list[float] = []

    def start(self) -> None:
        """Call; returns once the caller hears itself."""
        self._thread.start()
        assert self._up.wait(30)

    def finish(self) -> None:
        """Hang up, and fail if the call noticed anything of what went on around it."""
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert {frame["type"] for frame in self._frames} == {"answer"}
        # Counted in looks of the same loop, not in time: a test that is late itself misses looks as well as frames.
        assert self._longest_quiet <= MOST_QUIET, f"no audio for {self._longest_quiet} looks of {LOOK} s"
        silent = [level < 1000 for level in self._levels]
        assert not any(silent), f"{sum(silent)} of {len(silent)} pieces of 200 ms came back silent"

    async def _talk(self) -> None:
        async with open_client(self._url) as client:
            self.call = await client.call(self._token, mode="echo")
            hum = np.sin(np.arange(RATE * 2) * 2 * np.pi * 400 / RATE) * 8000
            quiet = seen = 0
            steady = 0
            while not self._over.is_set():
                if not client.caller.saying:
                    client.caller.say(hum.astype("<i2").tobytes())
                await asyncio.sleep(LOOK)
                heard = len(client.caller.heard)
                quiet = 0 if heard > seen else quiet + 1
                seen = heard
                if self._up.is_set():
                    self._longest_quiet = max(self._longest_quiet, quiet)
                elif heard > 75:
                    steady = heard
                    self._up.set()
            pcm = np.frombuffer(b"".join(pcm for _, pcm in client.caller.heard[steady:]), "<i2").astype(float)
            pieces = pcm[: len(pcm) // 9600 * 9600].reshape(-1, 9600)
            self._levels = [float(level) for level in pieces.std(axis=1)]
            assert await client.hang_up() == 1000
            self._frames = client.frames
