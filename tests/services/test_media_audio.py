"""What is told of a call's audio: of packets that are given to it as they come from the network."""

from pathlib import Path

import anyio
import pytest

from offhook.actors.link import AudioLink
from offhook.protocol.rtp import TICKS, RtpPacket
from offhook.protocol.sdp import check_offer
from offhook.services.media.audio import CallAudio
from offhook.services.media.ticker import Ticker

pytestmark = pytest.mark.anyio

OFFER = check_offer(
    (Path(__file__).parent.parent / "protocol" / "offers" / "chromium_audio.sdp").read_text(), allow_private=True
)
#: 20 ms of digital silence.
SILENT = b"\xf8\xff\xfe"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Told:
    """A call's audio, and what it told of the caller."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.pressed: list[str] = []
        self.audio = CallAudio(OFFER, 1, AudioLink(), self.sent.append, self.pressed.append, Ticker())
        self._sequence = 65_500

    def put(self, payload: bytes = SILENT, *, kind: int = OFFER.opus, timestamp: int = 0, skip: int = 0) -> None:
        """The caller's next packet; with ``skip`` it comes before so many others, or after them."""
        self._sequence += 1
        packet: RtpPacket = (kind, False, (self._sequence + skip) % 2**16, timestamp, 7, payload, b"")
        self.audio.rtp(packet)


def test_a_key_makes_no_jitter() -> None:
    told = Told()
    assert OFFER.digits is not None
    # All comes at one time and has one timestamp, but for the keys: what they tell would be jitter of 50 ms.
    for _ in range(50):
        told.put()
    for _ in range(8):
        told.put(bytes([5, 0x8A, 0, 160]), kind=OFFER.digits, timestamp=50 * TICKS)
    for _ in range(8):
        told.put()
    assert told.pressed == ["5"]
    assert told.audio.quality.received == 66
    assert told.audio.quality.jitter < 0.01


@pytest.mark.parametrize("again", [AudioLink, lambda: None])
def test_what_was_heard_before_another_link_stays_counted(again: type[AudioLink]) -> None:
    told = Told()
    for number in range(100):
        told.put(timestamp=number * TICKS)
    assert told.audio.quality.heard == 2.0
    told.audio.connect(again())
    told.put(timestamp=100 * TICKS)
    assert told.audio.quality.heard >= 2.0


async def test_how_long_packets_waited_is_told_when_the_audio_is_over() -> None:
    told = Told()
    told.put()
    # The third comes before the second, and waits for it.
    told.put(timestamp=2 * TICKS, skip=1)
    told.put(timestamp=TICKS, skip=-1)
    delay = told.audio.quality.delay
    assert delay > 0
    with anyio.move_on_after(0.01):
        await told.audio.run()
    assert told.audio.quality.delay == delay
