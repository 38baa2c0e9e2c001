"""How long trouble between a browser and the product is felt: a browser that vanishes, lost packets, a reloaded page.

A real `offhook up` and Debian's Chromium on 127.0.0.1. The server sends a packet each 20 ms for as long as a call
lives, so silence is the time in which the page's count of received packets stands still (it is looked at each 20 ms).

    python bench/reconnect.py [--times 5]
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from measure.figures import Progress, machine, print_result, row, summary
from measure.processes import processes_below
from playwright.sync_api import Error as BrowserGone
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))
from cuttable_path import CuttablePath, open_cuttable_path
from page_stage import CHROMIUM, MICROPHONE, QUIET
from product import Product

from offhook.protocol.record import CallRecord
from offhook.services.store import open_store, store_file

#: Notes when packets came (``heard``, milliseconds since the epoch), and when a connection was begun (``offered``).
EAR = """
  window.heard = [];
  window.offered = [];
  let connection = null, packets = 0;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(configuration);
      window.offered.push(Date.now());
      [connection, packets] = [this, 0];
    }
  };
  setInterval(async () => {
    const now = connection;
    const stats = now && (await now.getStats().catch(() => null));
    let count = 0;
    stats?.forEach((one) => (count += one.type === "inbound-rtp" ? one.packetsReceived : 0));
    if (now === connection && count > packets) (packets = count), window.heard.push(Date.now());
  }, 20);
  addEventListener("pagehide", () => sessionStorage.setItem("heard", window.heard.at(-1)));
"""


@contextmanager
def calling(product: Product, path: CuttablePath | None = None) -> Iterator[Page]:
    """A page in a call for a moment already."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *MICROPHONE])
        page = browser.new_page()
        page.add_init_script(EAR)
        if path is not None:
            path.guide(page)
        page.goto(product.url)
        page.click("#start")
        wait_until(page, "window.offhookCall && offhookCall.state === 'answered'")
        page.wait_for_timeout(2000)
        yield page
        try:
            page.evaluate("offhookCall && offhookCall.end && offhookCall.end()")
            browser.close()
        except BrowserGone:
            pass  # it was killed


def wait_until(page: Page, script: str, seconds: float = 30) -> None:
    """Wait until a script gives true."""
    until = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < until, f"{script}: {page.inner_text('main')}"
        page.wait_for_timeout(20)


def noticed(product: Product, call: str, since: float) -> float:
    """Seconds from ``since`` until the call was reconnecting, by its record."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        store = open_store(store_file(product.folder / "data"))
        try:
            record: CallRecord = store.call(call)
        finally:
            store.close()
        for change in msgspec.to_builtins(record)["states"]:
            if change["state"] == "reconnecting":
                return float(change["at"]) - since
        time.sleep(0.1)
    raise AssertionError(f"call {call} never noticed")


def vanish(product: Product) -> dict[str, float]:
    """The browser is killed."""
    with calling(product) as page:
        call = page.evaluate("offhookCall.sessionId")
        # The driver of the browser is killed with it; leaving the context then has nothing left to close.
        pids = [one.pid for one in processes_below(os.getpid()) if "chrom" in one.name]
        assert pids
        at = time.time()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    return {"server notices": noticed(product, call, at)}


def cut(product: Product) -> dict[str, float]:
    """Every packet of the connection is lost; the page offers a new one."""
    with open_cuttable_path() as path, calling(product, path) as page:
        call = page.evaluate("offhookCall.sessionId")
        at = time.time()
        path.cut()
        wait_until(page, f"offered.length > 1 && heard.at(-1) > offered.at(-1) && offered.at(-1) > {at * 1000}")
        page.wait_for_timeout(300)
        heard, offered = page.evaluate("[heard, offered]")
        assert page.evaluate("offhookCall.sessionId") == call
        again = next(moment for moment in heard if moment > offered[1])
        last = max(moment for moment in heard if moment < offered[1])
        return {
            "new offer after": offered[1] / 1000 - at,
            "silence from the new offer": (again - offered[1]) / 1000,
            "silence in all": (again - last) / 1000,
            "server notices": noticed(product, call, at),
        }


def reload(product: Product) -> dict[str, float]:
    """The page is loaded again, and goes on by itself."""
    with calling(product) as page:
        call = page.evaluate("offhookCall.sessionId")
        page.reload()
        wait_until(page, "window.heard && heard.length > 0")
        assert page.evaluate("offhookCall.sessionId") == call
        last, first, offered = page.evaluate("[Number(sessionStorage.getItem('heard')), heard[0], offered[0]]")
        return {"silence in all": (first - last) / 1000, "silence from the new offer": (first - offered) / 1000}


TROUBLES: dict[str, Callable[[Product], dict[str, float]]] = {"vanished": vanish, "cut": cut, "reloaded": reload}


def run(product: Product, times: int, troubles: list[str]) -> dict[str, Any]:
    """All troubles; prints and returns the figures."""
    progress, figures = Progress(times * len(troubles)), {}
    for trouble in troubles:
        felt: dict[str, list[float]] = {}
        for number in range(times):
            progress.step(f"{trouble} {number + 1} of {times}")
            for what, seconds in TROUBLES[trouble](product).items():
                felt.setdefault(what, []).append(seconds)
        for what, values in felt.items():
            print(row(f"{trouble}: {what}", values, "s"))
        figures[trouble] = {what: summary(values) for what, values in felt.items()}
    progress.end()
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=5, help="how often each trouble is made")
    parser.add_argument("--only", default=",".join(TROUBLES), help="some of the troubles, with commas between")
    options = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        product = Product(Path(folder))
        try:
            figures = run(product, options.times, options.only.split(","))
        finally:
            product.stop()
    print_result("reconnect", before, figures)


if __name__ == "__main__":
    main()
