"""Take the pictures of docs/console.md: the real product, real calls from a browser. Run: just console-pictures"""

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from product import Product
from screenshot import CHROMIUM, PATIENCE, speak

import offhook.services.agents

IMAGES = Path(__file__).parent / "images"
SIZE: ViewportSize = {"width": 1200, "height": 860}


def talk(browser: Browser, url: str) -> None:
    """A call in which the agent answers two questions."""
    page = browser.new_page()
    page.goto(url)
    page.click("#start")
    expect(page.locator("#lines")).to_contain_text("Tuesday at three", timeout=PATIENCE)
    hang_up(page)


def call_shortly(browser: Browser, url: str) -> None:
    """A call in which the caller hears the greeting and hangs up."""
    page = browser.new_page()
    page.goto(url)
    page.click("#start")
    expect(page.locator("#state")).to_have_text("In call", timeout=PATIENCE)
    hang_up(page)


def hang_up(page: Page) -> None:
    """End the call and wait until it has ended."""
    page.click("#end")
    expect(page.locator("#state")).to_have_text("Call ended", timeout=PATIENCE)
    page.close()


def recorded_agents(folder: Path) -> Path:
    """A folder with the agent that comes with offhook; its calls are recorded."""
    agents = folder / "agents"
    agents.mkdir()
    text = (Path(offhook.services.agents.__file__).parent / "front-desk.toml").read_text()
    (agents / "front-desk.toml").write_text(f"{text}\n[recording]\non = true\n")
    return agents


def keep_agent(product: Product) -> None:
    """An agent in two versions, of which the first is live."""
    key = json.loads(product.run("keys", "create", "--kind", "secret", "--name", "deployment", "--json"))["key"]
    text = (Path(offhook.services.agents.__file__).parent / "front-desk.toml").read_text()
    text = text.replace('id = "front-desk"', 'id = "reception"')
    changed = text.replace("How can I help you?", "What can I do for you?")
    with httpx2.Client(base_url=product.url, headers={"Authorization": f"Bearer {key}"}) as client:
        client.post("/v1/agents", json={"text": text, "note": "As the front desk"}).raise_for_status()
        client.post("/v1/agents/reception/publish", json={}).raise_for_status()
        saved = {"text": changed, "note": "Another greeting"}
        client.put("/v1/agents/reception", json=saved).raise_for_status()


class Receiver(BaseHTTPRequestHandler):
    """A server that is told of calls, and fails when one is answered."""

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500 if b'"call.answered"' in body else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def receiver() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/calls"
        server.shutdown()


def take(product: Product, browser: Browser) -> None:
    """Open the console by a link and take the pictures."""
    keep_agent(product)
    product.run("keys", "create", "--kind", "publishable", "--name", "website", "--domain", "example.com")
    product.run("keys", "create", "--kind", "secret", "--name", "crm", "--scope", "calls:read")
    old = json.loads(product.run("keys", "create", "--kind", "secret", "--name", "old backend", "--json"))
    product.run("keys", "revoke", old["id"])
    link = product.run("open", "calls", "--http", f"127.0.0.1:{product.port}").split()[-1]
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(PATIENCE)
    page.goto(link)
    expect(page.locator("tbody tr")).to_have_count(3, timeout=PATIENCE)
    page.screenshot(path=IMAGES / "console-calls.png")
    page.locator("tbody tr", has_not_text="0:0").get_by_role("link").first.click()
    expect(page.locator(".waveform")).to_be_visible()
    page.locator(".said", has_text="nine").first.click()
    expect(page.locator(".line[aria-current]")).to_be_visible()
    # Neither the pointer nor a line that was pressed belongs into the picture.
    page.mouse.move(0, 0)
    page.set_viewport_size({**SIZE, "height": 1280})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "console-call.png")
    page.set_viewport_size(SIZE)
    page.get_by_role("link", name="Keys").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.screenshot(path=IMAGES / "console-keys.png")
    page.get_by_role("link", name="Agents").click()
    page.locator("tr[data-id=reception] a").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".diff").first).to_be_visible()
    page.screenshot(path=IMAGES / "console-agent.png")
    page.get_by_role("link", name="Webhooks").click()
    page.locator("tbody tr").get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.screenshot(path=IMAGES / "console-webhook.png")


def main() -> None:
    """Start the product, make three calls, take the pictures, stop it."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright, receiver() as told:
        folder = Path(name)
        arguments = [*CHROMIUM, f"--use-file-for-fake-audio-capture={speak(folder)}%noloop"]
        product = Product(folder, "--webhook-allow", "127.0.0.1", "--agents", str(recorded_agents(folder)))
        events = ("call.started", "call.answered", "call.ended")
        options = [part for event in events for part in ("--event", event)]
        product.run("webhooks", "create", told, *options, "--webhook-allow", "127.0.0.1")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        try:
            call_shortly(browser, product.url)
            browser.close()
            # The sound file begins anew with the browser.
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
            talk(browser, product.url)
            call_shortly(browser, product.url)
            take(product, browser)
        finally:
            browser.close()
            product.stop()
    print(*sorted(IMAGES.glob("console-*.png")), sep="\n")


if __name__ == "__main__":
    main()
