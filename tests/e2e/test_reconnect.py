"""A caller who comes back, with the real product and a real browser: covers G11, W16.

The microphone is a file that asks the same question again and again. How long each trouble was felt is printed
(``pytest -s``), not asserted.
"""

import datetime
import os
import signal
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cuttable_path import CuttablePath, open_cuttable_path
from page_stage import CHROMIUM, MICROPHONE, QUIET
from playwright.sync_api import Page, sync_playwright

if TYPE_CHECKING:
    from product import Product

#: Seconds of silence before each question: the greeting, or the answer, and a moment.
PAUSE = 8.0
QUESTION = "what are your opening hours"
HOURS = "nine to five"
GREETING = "this is the front desk"
#: Notes when the page was left, and when it was in the call again; milliseconds since the epoch.
STOPWATCH = """
  addEventListener("pagehide", () => sessionStorage.setItem("left", Date.now()));
  const timer = setInterval(() => {
    if (!window.offhookCall || offhookCall.state !== "answered") return;
    window.talkingAt = Date.now();
    clearInterval(timer);
  }, 10);
"""

SENT = """async () => {
  let packets = 0;
  const stats = await offhookCall._connection._peer._connection.getStats();
  stats.forEach((entry) => (packets += entry.type === "outbound-rtp" ? entry.packetsSent : 0));
  return packets;
}"""


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("microphone")
    spoken, file = folder / "sentence.wav", folder / "microphone.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", QUESTION, "-o", str(spoken)], check=True)
    with wave.open(str(spoken)) as sound, wave.open(str(file), "wb") as loop:
        loop.setparams(sound.getparams())
        loop.writeframes(bytes(int(PAUSE * sound.getframerate()) * 2) + sound.readframes(sound.getnframes()))
    return file


@pytest.fixture(scope="module", autouse=True)
def abandoned(product: "Product", microphone: Path) -> str:
    """A call whose tab was closed. It is looked at last: that the caller does not come back takes its time."""
    with _calling(product, microphone, answers=0) as page:
        call: str = page.evaluate("offhookCall.sessionId")
        page.close()
    return call


@contextmanager
def _calling(
    product: "Product", microphone: Path, path: CuttablePath | None = None, *, answers: int = 1
) -> Iterator[Page]:
    """A page in a call, in which the question was answered so often."""
    with sync_playwright() as playwright:
        flags = [*QUIET, *MICROPHONE, f"--use-file-for-fake-audio-capture={microphone}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.add_init_script(STOPWATCH)
        if path is not None:
            path.guide(page)
        page.goto(product.url)
        page.click("#start")
        _wait_until(page, lambda: _state(page) == "answered" and _answers(page) == answers)
        yield page
        browser.close()


def _wait_until(page: Page, condition: Callable[[], bool], *, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, page.inner_text("main")
        page.wait_for_timeout(50)


def _answers(page: Page) -> int:
    return sum(HOURS in text for text in page.locator(".said").all_inner_texts())


def _state(page: Page) -> str:
    state: str = page.evaluate("window.offhookCall ? offhookCall.state : ''")
    return state


def _hang_up(page: Page) -> str:
    call: str = page.evaluate("offhookCall.sessionId")
    page.click("#end")
    _wait_until(page, lambda: _state(page) == "ended")
    return call


def _changes(record: dict[str, Any]) -> list[str]:
    return [change["state"] for change in record["states"]]


def _moment(record: dict[str, Any], state: str) -> float:
    at = next(change["at"] for change in record["states"] if change["state"] == state)
    return at if isinstance(at, float) else datetime.datetime.fromisoformat(at).timestamp()


def _expect_whole(record: dict[str, Any], page_lines: list[str]) -> None:
    """One conversation: every question and answer once, in order, on the page as on the record."""
    assert record["reason"] == "caller_hangup"
    lines = [line["text"] for line in record["transcript"]]
    assert page_lines == lines
    assert [line["line"] for line in record["transcript"]] == list(range(1, len(lines) + 1))


def test_a_killed_gateway_is_not_the_end_of_its_calls(own_product: "Product", microphone: Path) -> None:
    with _calling(own_product, microphone) as page:
        call = page.evaluate("offhookCall.sessionId")
        page.evaluate("window.audioPath = offhookCall._connection._peer")
        killed = time.monotonic()
        os.kill(own_product.processes()["gateway"], signal.SIGKILL)
        _wait_until(page, lambda: _state(page) == "reconnecting")
        _wait_until(page, lambda: _state(page) == "answered")
        print(f"\ngateway killed: the page was back after {time.monotonic() - killed:.2f} s")
        _wait_until(page, lambda: _answers(page) == 2)
        assert page.evaluate("offhookCall.sessionId") == call
        assert page.evaluate("window.audioPath === offhookCall._connection._peer"), "the audio was not to be touched"
        assert _hang_up(page) == call
        shown = page.locator(".said").all_inner_texts()
    record = own_product.record(call)
    assert "reconnecting" not in _changes(record)
    _expect_whole(record, shown)
    assert own_product.run("calls", "--json").count(f'"{call}"') == 1


def test_a_killed_voice_node_is_not_the_end_of_its_calls(own_product: "Product", microphone: Path) -> None:
    with _calling(own_product, microphone) as page:
        call = page.evaluate("offhookCall.sessionId")
        page.wait_for_timeout(1000)
        killed = time.monotonic()
        os.kill(own_product.processes()["voice"], signal.SIGKILL)
        _wait_until(page, lambda: _state(page) == "reconnecting")
        noticed = time.monotonic() - killed
        _wait_until(page, lambda: _state(page) == "answered")
        back = time.monotonic() - killed
        print(f"\nvoice node killed: the page noticed after {noticed:.2f} s, and had audio again after {back:.2f} s")
        _wait_until(page, lambda: _answers(page) == 2)
        assert _hang_up(page) == call
        shown = page.locator(".said").all_inner_texts()
    record = own_product.record(call)
    _expect_whole(record, shown)
    assert sum(GREETING in line["text"] for line in record["transcript"]) == 1
    assert own_product.run("calls", "--json").count(f'"{call}"') == 1


def test_lost_packets_bring_a_new_connection_to_the_same_call(product: "Product", microphone: Path) -> None:
    with open_cuttable_path() as path, _calling(product, microphone, path) as page:
        page.evaluate("window.before = offhookCall.remoteStream")
        cut, cut_at = time.monotonic(), time.time()
        path.cut()
        _wait_until(page, lambda: _state(page) == "reconnecting")
        _wait_until(page, lambda: _state(page) == "answered")
        back = time.monotonic() - cut
        assert page.evaluate("window.before === offhookCall.remoteStream && audio.srcObject === window.before")
        _wait_until(page, lambda: _answers(page) == 2)
        call = _hang_up(page)
        shown = page.locator(".said").all_inner_texts()
    record = product.record(call)
    _expect_whole(record, shown)
    noticed = f"{_moment(record, 'reconnecting') - cut_at:.2f} s" if "reconnecting" in _changes(record) else "not"
    print(f"\npackets cut: the server noticed after {noticed}, the caller was back after {back:.2f} s")


def test_a_reloaded_page_goes_on_with_its_call(product: "Product", microphone: Path) -> None:
    with _calling(product, microphone) as page:
        call = page.evaluate("offhookCall.sessionId")
        seconds = page.evaluate("offhookCall.seconds")
        page.reload()
        _wait_until(page, lambda: _state(page) == "answered")
        silent = page.evaluate("(window.talkingAt - Number(sessionStorage.getItem('left'))) / 1000")
        print(f"\npage reloaded: in the call again after {silent:.2f} s")
        assert page.evaluate("offhookCall.sessionId") == call
        assert page.evaluate("offhookCall.seconds") > seconds
        _wait_until(page, lambda: _answers(page) == 2)
        assert _hang_up(page) == call
        shown = page.locator(".said").all_inner_texts()
    record = product.record(call)
    _expect_whole(record, shown)
    assert _changes(record)[2:] in (
        ["answered", "reconnecting", "answered", "ending", "ended"],
        ["answered", "ending", "ended"],
    )


def test_a_muted_browser_is_not_lost(product: "Product", microphone: Path) -> None:
    with _calling(product, microphone, answers=0) as page:
        page.click("#mute")
        before = page.evaluate(SENT)
        page.wait_for_timeout(6000)
        print(f"\nmuted: {(page.evaluate(SENT) - before) / 6:.0f} packets a second")
        call = _hang_up(page)
    assert "reconnecting" not in _changes(product.record(call))


def test_a_closed_tab_ends_its_call_as_lost(product: "Product", abandoned: str) -> None:
    until = time.monotonic() + 60
    while (record := product.record(abandoned))["state"] != "ended" and time.monotonic() < until:
        time.sleep(1)
    assert (record["state"], record["reason"]) == ("ended", "lost")
