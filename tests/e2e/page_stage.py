"""The stage of the page's tests: browsers, the page in front of a stand-in gateway, and steps they have in common."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from stand_in_gateway import StandInGateway

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
]
FAKE_DEVICE = "--use-fake-device-for-media-stream"
#: A microphone that beeps, and nobody is asked.
MICROPHONE = (FAKE_DEVICE, "--use-fake-ui-for-media-stream")
#: Long enough for a slow machine, milliseconds; nothing waits this long when all is well.
PATIENCE = 20_000

OpenPage = Callable[..., Page]


class Browsers:
    """Running browsers, one for each set of flags."""

    def __init__(self, playwright: Playwright) -> None:
        self._chromium = playwright.chromium
        self._running: dict[tuple[str, ...], Browser] = {}

    def get(self, flags: tuple[str, ...]) -> Browser:
        if flags not in self._running:
            self._running[flags] = self._chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *flags])
        return self._running[flags]

    def close(self) -> None:
        for browser in self._running.values():
            browser.close()


@contextmanager
def open_browsers() -> Iterator[Browsers]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; the command that runs all tests installs it (apt-get install chromium)")
    with sync_playwright() as playwright:
        browsers = Browsers(playwright)
        yield browsers
        browsers.close()


class Pages:
    """Opens the page, and notes what a page should never do: log an error, or ask another host."""

    def __init__(self, browsers: Browsers, gateway: StandInGateway) -> None:
        expect.set_options(timeout=PATIENCE)
        self._browsers = browsers
        self._gateway = gateway
        self._opened: list[Page] = []
        self._excused: list[str] = []
        self._noted: list[str] = []

    def open(
        self,
        *,
        flags: tuple[str, ...] = MICROPHONE,
        address: str | None = None,
        excuse: str | None = None,
        before: str = "",
        **options: Any,
    ) -> Page:
        """A page in a context of its own (``options``); ``before`` is a script that runs first.

        ``excuse`` is part of an error that the browser itself will log.
        """
        address = address or self._gateway.address
        page = self._browsers.get(flags).new_context(**options).new_page()
        page.set_default_timeout(PATIENCE)
        if before:
            page.add_init_script(before)
        if excuse:
            self._excused.append(excuse)
        self._opened.append(page)
        host = urlsplit(address).hostname
        page.on("console", lambda message: self._noted.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._noted.append(str(error)))
        page.on("request", lambda request: self._note_host(request.url, host))
        page.on("websocket", lambda socket: self._note_host(socket.url, host))
        page.goto(address)
        return page

    def close(self) -> list[str]:
        """Close all; what was noted and not excused."""
        for page in self._opened:
            page.context.close()
        return [text for text in self._noted if not any(excuse in text for excuse in self._excused)]

    def _note_host(self, url: str, host: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != host:
            self._noted.append(f"asked another host: {url}")


def call(page: Page, gateway: StandInGateway) -> dict[str, Any]:
    """Press the button and wait for the offer, which is returned."""
    page.locator("#start").click()
    return gateway.wait_heard("offer")


def answer(page: Page, gateway: StandInGateway) -> None:
    """Bring a call to where agent and caller talk."""
    call(page, gateway)
    gateway.event("ringing")
    gateway.event("answered")
    expect(page.locator("#state")).to_have_text("In call")


def expect_failure(page: Page, code: str, title: str) -> None:
    """The visitor reads what is wrong and can try again; a program gets the typed code."""
    expect(page.locator("#state")).to_have_text("Call failed")
    expect(page.get_by_role("alert").locator("strong")).to_have_text(title)
    expect(page.get_by_role("alert").locator("span")).to_have_text(re.compile(r"^[A-Z].{20,}\.$"))
    assert page.evaluate("window.offhookCall.error.code") == code
    expect(page.get_by_role("button", name="Try again")).to_be_enabled()
