"""The main job with real parts: a person calls from a real browser, and the agent answers.

A spoken sound file is Chromium's microphone. What the agent says is checked in the transcript and in the sound that
arrived in the page: it is recorded there and compared with the agent's lines, spoken anew by the same voice.
"""

import base64
import io
import re
import shutil
import subprocess
import wave
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import av
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page, sync_playwright

from offhook.protocol.speech import MOUTH_RATE
from offhook.services.agents import open_agents
from offhook.services.speech import open_synthesizer

if TYPE_CHECKING:
    from product import Product

Samples = npt.NDArray[np.float64]

#: What the caller says, each after so many seconds of silence: the agent's answer, and a moment.
SCRIPT = (
    (7.5, "what are your opening hours"),
    (9.0, "book an appointment on tuesday at three"),
    (7.0, "yes"),
    (8.5, "good bye"),
)
CHROMIUM = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Frames a second of the loudness that sounds are compared by.
LOUDNESS_RATE = 50
#: Such frames in a piece that is compared as a whole, and by how many the next one may come earlier or later.
PIECE = 35
PLAY = 5
#: From this likeness on a sentence was heard as it was said.
LIKE = 0.75
#: Part of the sound that the browser may have made up for packets that were late, and every sentence still be clear.
LITTLE = 0.02
#: Keeps count in the page of the samples that were made up, and of all.
COUNT_MADE_UP = """{
    const Connection = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Connection {
        constructor(...options) {
            super(...options);
            setInterval(async () => {
                for (const report of (await this.getStats()).values()) {
                    if (report.type === "inbound-rtp") {
                        window.samples = {
                            madeUp: report.concealedSamples + report.insertedSamplesForDeceleration
                                + report.removedSamplesForAcceleration,
                            all: report.totalSamplesReceived,
                        };
                    }
                }
            }, 500);
        }
    };
}"""


def test_a_browser_calls_the_agent_and_the_agent_answers(product: "Product", tmp_path: Path) -> None:
    """Covers G1-G7, G9, A2, A3, R2, W5, W6."""
    microphone = speak_script(tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=[*CHROMIUM, f"--use-file-for-fake-audio-capture={microphone}%noloop"],
        )
        page = browser.new_page()
        page.add_init_script(COUNT_MADE_UP)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(product.url)
        page.click("#start")
        record_sound(page)
        wait_until(page, "document.querySelector('#state').textContent.includes('ended')", seconds=90)
        call = page.evaluate("window.offhookCall.sessionId")
        shown = page.inner_text("#lines")
        heard = recorded_sound(page)
        samples = page.evaluate("window.samples")
        browser.close()

    record = product.record(call)
    assert complaints == []
    assert (record["state"], record["reason"]) == ("ended", "agent_completed")
    assert [change["state"] for change in record["states"]] == [
        "connecting",
        "ringing",
        "answered",
        "ending",
        "ended",
    ]
    assert (record["agent"], record["version"], record["channel"]) == ("front-desk", "1", "web")
    # Chromium tells how loud its packets are (RFC 6464).
    assert -40 < record["quality"]["loudest"] < 0
    caller = [line["text"] for line in record["transcript"] if line["role"] == "caller"]
    agent = [line["text"] for line in record["transcript"] if line["role"] == "agent"]
    assert [said.replace("goodbye", "good bye") for said in caller] == [text for _, text in SCRIPT]
    assert "nine to five" in agent[1]
    assert "Tuesday at three" in agent[2]
    assert "booked" in agent[3]
    assert "Goodbye" in agent[4]
    for line in agent:
        assert line in shown
    _compare(heard, agent, made_up=samples["madeUp"] / samples["all"])


def chromium() -> str:
    found = shutil.which("chromium")
    assert found, "Chromium is missing: apt-get install chromium, or run the tests with `just test`"
    return found


def speak_script(folder: Path, script: Sequence[tuple[float, str]] = SCRIPT) -> Path:
    """The caller's side of the call as a sound file."""
    pieces: list[bytes] = []
    rate = 16_000
    for silence, text in script:
        spoken = folder / "sentence.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(spoken)], check=True)
        with wave.open(str(spoken)) as sound:
            assert sound.getframerate() == rate
            pieces += [bytes(int(silence * rate) * 2), sound.readframes(sound.getnframes())]
    pieces.append(bytes(30 * rate * 2))
    file = folder / "microphone.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(pieces))
    return file


def wait_until(page: Page, condition: str, *, seconds: float) -> None:
    """Playwright's own waiting needs eval in the page, which the page's security policy forbids."""
    for _ in range(int(seconds * 10)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within {seconds} s: {condition}; the page shows {page.inner_text('main')!r}")


def record_sound(page: Page, stream: str = "window.offhookCall?.remoteStream") -> None:
    wait_until(page, f"{stream}?.getAudioTracks().length > 0", seconds=20)
    page.evaluate(f"() => {{ window.toRecord = {stream}; }}")
    page.evaluate(
        """() => {
            const recorder = new MediaRecorder(window.toRecord);
            window.recorded = [];
            recorder.ondataavailable = (event) => window.recorded.push(event.data);
            window.recordedAll = new Promise((done) => { recorder.onstop = done; });
            recorder.start(1000);
            window.recorder = recorder;
        }"""
    )


def recorded_sound(page: Page) -> Samples:
    """What arrived in the page, mono at ``MOUTH_RATE``."""
    encoded = page.evaluate(
        """async () => {
            if (window.recorder.state !== "inactive") window.recorder.stop();
            await window.recordedAll;
            const bytes = new Uint8Array(await new Blob(window.recorded).arrayBuffer());
            let text = "";
            for (let i = 0; i < bytes.length; i += 32768) {
                text += String.fromCharCode(...bytes.subarray(i, i + 32768));
            }
            return btoa(text);
        }"""
    )
    with av.open(io.BytesIO(base64.b64decode(encoded)), "r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=MOUTH_RATE)
        frames = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate(frames).astype(np.float64)


async def _spoken(lines: list[str]) -> list[Samples]:
    """The lines as the agent's voice speaks them."""
    voice = open_agents(None).profile("front-desk").voice
    async with open_synthesizer() as synthesizer:
        sounds = []
        for line in lines:
            async with synthesizer.speak(line, voice) as chunks:
                pcm = b"".join([chunk.pcm async for chunk in chunks])
            sounds.append(np.frombuffer(pcm, np.int16).astype(np.float64))
        return sounds


def _loudness(sound: Samples) -> Samples:
    size = MOUTH_RATE // LOUDNESS_RATE
    blocks = sound[: len(sound) // size * size].reshape(-1, size)
    level: Samples = np.log10(np.sqrt((blocks**2).mean(axis=1)) + 50.0)
    return level


def _likenesses(loudness: Samples, piece: Samples) -> Samples:
    """Correlation of ``piece`` with the course of loudness from each place on, -1 to 1; silence is like nothing."""
    windows = np.lib.stride_tricks.sliding_window_view(loudness, len(piece))
    spread = windows.std(axis=1)
    covered = ((windows - windows.mean(axis=1, keepdims=True)) * (piece - piece.mean())).mean(axis=1)
    like: Samples = np.where(spread < 0.01, 0.0, covered / np.maximum(spread * piece.std(), 1e-9))
    return like


def _find(loudness: Samples, wanted: Samples) -> tuple[float, int]:
    """How like ``wanted`` the best place is, and where that ends.

    Piece by piece, each a little earlier or later than the one before tells: a browser plays faster or slower to
    make up for packets that were late.
    """
    if len(loudness) < 2 * len(wanted) // 3:
        return 0.0, 0
    pieces = np.array_split(wanted, max(1, len(wanted) // PIECE))
    best = _likenesses(loudness, pieces[0])
    for before, piece in pairwise(pieces):
        likeness = _likenesses(loudness, piece)
        reach = np.full(len(likeness), -np.inf)
        for shift in range(-PLAY, PLAY + 1):
            places = np.arange(len(likeness)) - len(before) - shift
            known = (places >= 0) & (places < len(best))
            reach[known] = np.maximum(reach[known], best[places[known]])
        best = likeness + reach
    place = int(np.argmax(best))
    return float(best[place]) / len(pieces), place + len(pieces[-1])


def _compare(heard: Samples, lines: list[str], *, made_up: float) -> None:
    """Each sentence is found in the sound, one after the other, as it was said.

    Where this machine stood still so often that the browser had to make up more than a ``LITTLE`` of the sound, a third
    of the sentences will do: the others say how it plays, not what we sent.
    """
    loudness = _loudness(heard)
    sentences = [sentence for line in lines for sentence in re.split(r"(?<=[.?!]) ", line)]
    found = dict[str, float]()
    for line, sound in zip(sentences, anyio.run(_spoken, sentences), strict=True):
        wanted = _loudness(sound)
        found[line], end = _find(loudness, wanted)
        if found[line] > LIKE:
            loudness = loudness[end - len(wanted) // 2 :]
    clear = [line for line, like in found.items() if like > LIKE]
    wanted_clear = len(sentences) if made_up < LITTLE else len(sentences) / 3
    assert len(clear) >= wanted_clear, f"too little was heard in the page, {made_up:.1%} made up: {found}"


def test_the_comparison_of_sounds_notices_other_words() -> None:
    """The check above can fail: another sentence of the same voice is not taken for the one wanted."""
    line = "We are open Monday to Friday from nine to five, and Saturday from ten to two."
    other = "Thank you for calling Riverside Studio. I wish you a very good day and hope to see you soon. Goodbye!"
    spoken, different = anyio.run(_spoken, [line, other])
    silence = np.zeros(MOUTH_RATE)
    _compare(np.concatenate([silence, spoken, silence]), [line], made_up=0.0)
    with pytest.raises(AssertionError, match="too little was heard"):
        _compare(np.concatenate([silence, different, silence]), [line], made_up=1.0)
