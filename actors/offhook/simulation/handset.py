"""The caller's end of simulated audio: a handset, and the offers that name one."""

from collections import deque
from collections.abc import Callable

import anyio

from offhook.protocol.speech import EAR_FRAME, MOUTH_FRAME
from offhook.simulation.speech import sounds_in, words_in

#: Seconds of a frame.
FRAME = 0.02
#: Most frames that are handed over at once while a voice goes on.
BUNCH = 10
_SILENCE = bytes(EAR_FRAME)

_OFFER = """v=0
o=- {number} 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:simulatedsimulatedsimulated
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
""".replace("\n", "\r\n")


def offer_of(number: int) -> str:
    """A valid SDP offer that names simulated handset ``number``."""
    key = ":".join([f"{number // 256 % 256:02X}", f"{number % 256:02X}"] * 16)
    return _OFFER.format(number=number, ufrag=f"sim{number:05d}", fingerprint=key)


def answer_of(number: int) -> str:
    """A valid SDP answer of simulated handset ``number``."""
    return offer_of(number).replace("a=setup:actpass", "a=setup:active")


class Handset:
    """The caller's end of the audio: what is to be said, and what was heard."""

    def __init__(self) -> None:
        self._to_say: deque[bytes] = deque()
        self._said = anyio.Event()
        self._heard = anyio.Event()
        self._present = True
        self._answer: str | None = None
        self._answered = anyio.Event()
        self._voice_until = 0.0
        #: Words the caller has heard, in order.
        self.words: list[str] = []
        self.on_hold = False
        #: Called when there is something to send, or the network goes or comes back.
        self.wake: Callable[[], None] = lambda: None
        #: Called with each frame of the agent's voice that is heard.
        self.on_voice: Callable[[], None] = lambda: None

    def accept(self, answer: str) -> None:
        """Take the answer to the offer; of two, the first (a browser refuses the second)."""
        if self._answer is None:
            self._answer = answer
            self._answered.set()

    async def wait_accepted(self, answer: str) -> None:
        """Wait until the caller has taken this very answer; for ever, if it took another one."""
        await self._answered.wait()
        if self._answer != answer:
            await anyio.sleep_forever()

    @property
    def hears_voice(self) -> bool:
        """True while the agent's voice is heard."""
        return anyio.current_time() < self._voice_until

    @property
    def present(self) -> bool:
        """False: the caller's network is gone."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        self.wake()
        self._present = present
        self.wake()

    def say(self, frames: list[bytes]) -> None:
        """Put frames into the microphone."""
        self.wake()
        self._to_say.extend(frames)
        self.wake()

    def hush(self) -> None:
        """Say nothing of what is left."""
        self._to_say.clear()
        self._said.set()

    async def wait_said(self) -> None:
        """Wait until everything was said."""
        while self._to_say:
            self._said = anyio.Event()
            await self._said.wait()

    async def wait_heard(self) -> None:
        """Wait until something more is heard."""
        self._heard = anyio.Event()
        await self._heard.wait()

    @property
    def speaks(self) -> int:
        """Frames that wait in the microphone."""
        return len(self._to_say)

    def next_frames(self, count: int) -> list[bytes]:
        """What the microphone gives now: speech as far as there is some, else silence."""
        if not self._to_say:
            return [_SILENCE] * count
        frames = [self._to_say.popleft() for _ in range(count)]
        if not self._to_say:
            self._said.set()
        return frames

    def hear(self, frames: bytes | None, now: float) -> None:
        """What the loudspeaker plays until ``now``, one frame or more; None is silence."""
        sounds = sounds_in(frames, MOUTH_FRAME) if frames is not None else b""
        self._voice_until = now + 2 * BUNCH * FRAME if sounds and sounds[-1] else 0.0
        if frames is None or not any(sounds):
            return
        self.on_voice()
        if words := list(words_in(frames, MOUTH_FRAME)):
            self.words.extend(words)
            self._heard.set()
