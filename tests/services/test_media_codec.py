"""Calls on a machine where libopus cannot be called: PyAV steps in, and ``offhook doctor`` says so."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from webrtc_caller import RATE, WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.protocol.speech import EAR_FRAME, EAR_RATE, MOUTH_RATE
from offhook.services.cli import checks
from offhook.services.media import AiortcEngine, opus
from offhook.services.media.av_codec import AvDecoder, AvEncoder
from offhook.services.media.codec import Codec, find_codec, open_decoder, open_encoder


class _NoLibrary:
    """A cffi that can load nothing, as on a machine without libopus."""

    def dlopen(self, name: str) -> Any:
        raise OSError(f"cannot load library {name!r}")


@pytest.fixture
def without_libopus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(opus, "ffi", _NoLibrary())
    opus.load_opus.cache_clear()
    find_codec.cache_clear()
    yield
    monkeypatch.undo()
    opus.load_opus.cache_clear()
    find_codec.cache_clear()


def tone(frequency: float, seconds: float, rate: int) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    return bytes((8000 * np.sin(2 * np.pi * frequency * time)).astype("<i2").tobytes())


def loudest(pcm: bytes, rate: int) -> float:
    samples = np.frombuffer(pcm, "<i2")
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_with_libopus_it_is_used() -> None:
    assert find_codec() is Codec.LIBOPUS
    finding = checks.opus()
    assert finding.verdict is checks.Verdict.OK


@pytest.mark.usefixtures("without_libopus")
def test_without_libopus_the_doctor_tells() -> None:
    finding = checks.opus()
    assert finding.verdict is checks.Verdict.WARN
    assert "PyAV" in finding.text and "libopus" in finding.mend


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
@pytest.mark.usefixtures("without_libopus")
async def test_without_libopus_audio_goes_both_ways() -> None:
    assert isinstance(open_decoder(EAR_RATE), AvDecoder)
    assert isinstance(open_encoder(MOUTH_RATE), AvEncoder)
    link = AudioLink()
    async with WebRtcCaller() as caller, AiortcEngine("127.0.0.1").open_peer(link, echo=False) as peer:
        await caller.accept(await peer.answer(await caller.offer()))
        await caller.wait_connected()
        caller.say(tone(700, 4, EAR_RATE))
        await link.play(tone(440, 4, MOUTH_RATE))
        heard = b""
        async with asyncio.timeout(10):
            while len(heard) < 2 * 75 * EAR_FRAME // 2:
                heard += await link.receive()
        assert loudest(heard[-EAR_RATE:], EAR_RATE) == pytest.approx(700, abs=5)
        await caller.wait_heard(75)
        assert loudest(caller.heard_pcm()[-RATE:], RATE) == pytest.approx(440, abs=5)
