"""A recording in a real browser: Chromium's player plays it, both sides, to the end (covers R5)."""

import base64
from pathlib import Path

import pytest
from page_stage import Browsers
from test_media_recording import AGENT, CALLER, feed, silent_recording

SECONDS = 2.0
PLAY = """async (bytes) => {
    const audio = new Audio("data:audio/ogg;base64," + bytes);
    audio.playbackRate = 4;
    await audio.play();
    await new Promise((done, failed) => { audio.onended = done; audio.onerror = () => failed(audio.error.message); });
    const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    const sound = await new OfflineAudioContext(2, 1, 48000).decodeAudioData(data.buffer);
    const share = (channel, frequency) => {
        // The part of the energy at one frequency (Goertzel).
        const turn = 2 * Math.cos(2 * Math.PI * frequency / sound.sampleRate);
        let [one, two, energy] = [0, 0, 0];
        for (const sample of channel) {
            [one, two] = [sample + turn * one - two, one];
            energy += sample * sample;
        }
        return (one * one + two * two - turn * one * two) * 2 / (energy * channel.length);
    };
    const sides = [0, 1].map((side) => sound.getChannelData(side));
    return { played: audio.currentTime, shares: sides.map((side) => [CALLER, AGENT].map((hz) => share(side, hz))) };
}""".replace("CALLER", str(CALLER)).replace("AGENT", str(AGENT))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut off"])
def test_chromium_plays_a_recording(browsers: Browsers, tmp_path: Path, whole: bool) -> None:
    recording, clock = silent_recording(tmp_path)
    for begin in range(0, int(SECONDS * 50), 25):
        feed(recording, 26, begin=begin, clock=clock)
        recording.write()
    recording.write(last=whole)
    data = (tmp_path / "a-call.ogg").read_bytes()
    page = browsers.get(()).new_page()
    found = page.evaluate(PLAY, base64.b64encode(data if whole else data[:-100]).decode())
    page.close()
    assert found["played"] > SECONDS - 1.1
    (caller_left, agent_left), (caller_right, agent_right) = found["shares"]
    assert caller_left > 0.9 and agent_left < 0.01
    assert agent_right > 0.9 and caller_right < 0.01


SEEK = """async (bytes) => {
    const blob = await (await fetch("data:audio/ogg;base64," + bytes)).blob();
    const audio = new Audio(URL.createObjectURL(blob));
    await new Promise((done) => (audio.onloadedmetadata = done));
    const length = audio.duration;
    for (const place of [length, 3, length, 0, 5, 7.2]) {
        audio.currentTime = place;
        await new Promise((done) => setTimeout(done, 60));
    }
    audio.playbackRate = 4;
    await audio.play();
    await new Promise((done) => (audio.onended = done));
    return [length, audio.duration, audio.currentTime];
}"""


def test_going_to_the_end_and_back_loses_no_time(browsers: Browsers, tmp_path: Path) -> None:
    """Chromium once counted a recording longer whose last page it was sent into."""
    recording, clock = silent_recording(tmp_path)
    for begin in range(0, 400, 25):
        feed(recording, 25, begin=begin, clock=clock)
        recording.write()
    recording.write(last=True)
    page = browsers.get(()).new_page()
    found = page.evaluate(SEEK, base64.b64encode((tmp_path / "a-call.ogg").read_bytes()).decode())
    page.close()
    assert found == [8, 8, 8]
