"""Keys and hold in a real browser with the real product: keys travel as events in the audio stream (RTCDTMFSender),
an operator holds the call from the command line. Covers A7, the DTMF of W6, H1 (hold) and W5 (on hold)."""

import wave
from pathlib import Path
from typing import TYPE_CHECKING

from page_stage import CHROMIUM, MICROPHONE, QUIET
from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from product import Product

#: Long enough for a slow machine, milliseconds.
PATIENCE = 30_000
#: Presses keys with the browser's own sender; returns when the last one was sent.
PRESS = """async (keys) => {
    const connection = window.offhookCall._connection._newest._connection;
    const sender = connection.getSenders().find((sender) => sender.dtmf).dtmf;
    await new Promise((done) => {
        sender.ontonechange = (event) => { if (event.tone === "") done(); };
        sender.insertDTMF(keys, 100, 70);
    });
}"""
#: The loudest that arrives in the page within two seconds, of full scale.
LOUDEST = """async () => {
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(window.offhookCall.remoteStream).connect(meter);
    const samples = new Float32Array(meter.fftSize);
    let loudest = 0;
    for (let look = 0; look < 40; look++) {
        await new Promise((done) => setTimeout(done, 50));
        meter.getFloatTimeDomainData(samples);
        loudest = Math.max(loudest, ...samples.map(Math.abs));
    }
    await context.close();
    return loudest;
}"""


def silence(folder: Path) -> Path:
    """A microphone in which nothing is said."""
    file = folder / "silence.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * 16_000))
    return file


def test_keys_reach_the_agent_and_it_answers(product: "Product", tmp_path: Path) -> None:
    flags = [*QUIET, *MICROPHONE, f"--use-file-for-fake-audio-capture={silence(tmp_path)}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.goto(product.url)
        page.click("#start")
        expect(page.locator("#lines")).to_contain_text("Riverside", timeout=PATIENCE)
        call = page.evaluate("window.offhookCall.sessionId")
        hold(page, product, call)
        press(page, "2", "nine to five")
        press(page, "9", "Goodbye")
        expect(page.locator("#state")).to_contain_text("ended", timeout=PATIENCE)
        browser.close()
    record = product.record(call)
    assert record["reason"] == "agent_completed"
    # Each key once, though a browser sends a dozen packets for it.
    assert [line["text"] for line in record["transcript"] if line["role"] == "caller"] == ["2", "9"]


def hold(page: Page, product: "Product", call: str) -> None:
    """Put the caller on hold and take it off again."""
    product.run("calls", "hold", call)
    expect(page.locator("#state")).to_contain_text("On hold", timeout=PATIENCE)
    assert page.evaluate(LOUDEST) > 0.02, "no hold audio is heard"
    product.run("calls", "resume", call)
    expect(page.locator("#state")).not_to_contain_text("On hold", timeout=PATIENCE)
    # The agent may ask meanwhile whether somebody is there; the melody never rests for so long.
    assert any(page.evaluate(LOUDEST) < 0.01 for _ in range(5)), "hold audio goes on"


def press(page: Page, keys: str, answer: str) -> None:
    """Press keys and wait for what the agent says then."""
    page.evaluate(PRESS, keys)
    expect(page.locator("#lines")).to_contain_text(answer, timeout=PATIENCE)
