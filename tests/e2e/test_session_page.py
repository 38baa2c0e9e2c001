"""A page with nothing but fetch, WebSocket and RTCPeerConnection talks to the agent, and the server makes the offer."""

import json
import wave
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright
from test_browser_call import CHROMIUM, chromium, record_sound, recorded_sound, speak_script, wait_until

if TYPE_CHECKING:
    from product import Product

SCRIPT = ((7.5, "what are your opening hours"), (9.0, "good bye"))


def test_a_page_without_an_sdk_talks_to_the_agent(product: "Product", tmp_path: Path) -> None:
    """Covers S1, S2, S3, S4, R1."""
    key = json.loads(product.run("keys", "create", "--kind", "secret", "--name", "page", "--json"))["key"]
    microphone = speak_script(tmp_path, SCRIPT)
    with wave.open(str(microphone)) as sound:
        assert sound.getnframes() > 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=[*CHROMIUM, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        )
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{product.url}web/pages/session/index.html")
        page.fill("#key", key)
        page.fill("#context", '{"name": "Ann"}')
        page.click("#start")
        record_sound(page, "document.querySelector('#voice').srcObject")
        wait_until(page, "document.querySelector('#state').textContent.includes('Call ended')", seconds=90)
        call = page.evaluate("document.body.dataset.session")
        shown = page.evaluate("[...document.querySelectorAll('#lines li')].map((l) => [l.dataset.role, l.textContent])")
        heard = recorded_sound(page)
        browser.close()
    record = product.record(call)
    assert complaints == []
    assert (record["state"], record["reason"], record["variables"]) == ("ended", "agent_completed", {"name": "Ann"})
    assert -40 < record["quality"]["loudest"] < 0
    said = [(line["role"], line["text"]) for line in record["transcript"]]
    caller = [text.replace("goodbye", "good bye") for role, text in said if role == "caller"]
    assert caller == [text for _, text in SCRIPT]
    assert [tuple(line) for line in shown] == said
    assert any("nine to five" in text for role, text in said if role == "agent")
    assert heard.std() > 200


def test_a_wrong_key_is_said_to_the_person(product: "Product") -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        page = browser.new_page()
        page.goto(f"{product.url}web/pages/session/index.html")
        page.fill("#key", "sk_live_wrong")
        page.click("#start")
        wait_until(page, "document.querySelector('#state').textContent.includes('not known here')", seconds=20)
        page.goto(f"{product.url}v1/docs")
        wait_until(page, "document.querySelectorAll('#operations details').length > 8", seconds=20)
        assert "/voice/start" in page.inner_text("#operations")
        browser.close()
