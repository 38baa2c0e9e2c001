"""The console in Chromium, in front of the real product (Build 10): covers R1, R2 and the console's part of X3."""

import base64
import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from page_stage import MICROPHONE, OpenPage
from playwright.sync_api import Page, expect
from product import Product
from sung_recording import BEGINS, SECONDS, sing, sing_spans, sung
from test_page_for_everybody import WEAK_TEXT

import offhook.services.agents
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.keys import SCOPES
from offhook.protocol.messages import encode
from offhook.protocol.webhooks import WEBHOOK_EVENTS
from offhook.services.bus import open_bus
from offhook.services.store import open_keys, open_store, tell_webhooks
from offhook.services.tokens import mint_console_code, open_workspace
from offhook.services.up import bus_address

#: Texts that would run, or leave their place, if anything took them for markup (bad input, 3.5).
PAYLOADS = (
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit=1')()}}",
    "</li></ol><iframe srcdoc='<script>parent.hit=1</script>'>",
    "<a href='https://evil.example'>click</a>\u202e",
)
BEGAN = 1_790_000_000.0
TALK = (("agent", "Hello, how can I help?"), ("caller", "what are your opening hours"), ("agent", "From nine to five."))
#: Counts what the page's policies refused.
WATCH = "window.refused = 0; addEventListener('securitypolicyviolation', () => (window.refused += 1));"


def call_id(number: int) -> str:
    return f"c0000000-0000-4000-8000-{number:012}"


def write_call(
    product: Product,
    number: int,
    lines: tuple[tuple[Any, str], ...],
    *,
    recorded: bool = False,
    living: bool = False,
    **offered: str,
) -> list[LogEntry]:
    """Put a call into the product's records, as its log would have brought it there; returns the log."""
    at = BEGAN + 100 * number
    facts = {"agent": "front-desk", "version": "1", "mode": "end-to-end"} | offered
    workspace = open_workspace(product.folder / "data").id
    events: list[tuple[float, Any]] = [
        (0.0, ev.Offered(workspace=workspace, sdp="v=0", **facts)),  # type: ignore[arg-type]
        (0.3, ev.MediaPrepared(sdp="v=0", node="n")),
        (0.9, ev.MediaConnected()),
        (1.4, ev.AgentAnswered()),
    ]
    for line, (role, text) in enumerate(lines, 1):
        began = at + 2 * line
        events.append((2 * line + 1.5, ev.Said(line=line, role=role, text=text, began=began, ended=began + 1.5)))
    if not living:
        events += [(60.0, ev.CallerHungUp()), (60.1, ev.AgentStopped()), (60.2, ev.MediaClosed())]
    if recorded:
        key, size = sing(product.folder / "data" / "recordings", call_id(number), lines)
        events.insert(-1, (60.1, ev.RecordingSaved(key=key, seconds=SECONDS, size=size, began_at=at + BEGINS)))
    store = open_store(product.folder / "data" / "offhook.db")
    log = [
        LogEntry(call=call_id(number), seq=seq, at=at + after, owner=1, event=event)
        for seq, (after, event) in enumerate(events, 1)
    ]
    for entry in log:
        store.project(entry, listener=tell_webhooks)
    store.close()
    return log


async def keep_log(product: Product, log: list[LogEntry]) -> None:
    """Put the log of a call on the product's bus."""
    url = bus_address(product.folder / "data")
    assert url is not None
    async with open_bus(url, name="test") as bus:
        last = 0
        for entry in log:
            last = await bus.append(subjects.log(entry.call), encode(entry), last=last)


def erase(product: Product, number: int) -> None:
    """Take a call out of the product's records."""
    store = open_store(product.folder / "data" / "offhook.db")
    store.erase(call_id(number), now=BEGAN)
    store.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product with three calls of its own."""
    running = Product(tmp_path_factory.mktemp("console"), "--webhook-allow", "127.0.0.1")
    anyio.run(keep_log, running, write_call(running, 1, TALK, recorded=True, caller="Ann"), backend="trio")
    write_call(running, 2, tuple(("caller", text) for text in PAYLOADS), agent=PAYLOADS[1], caller=PAYLOADS[0])
    write_call(running, 3, (), agent="sales", caller="Bob")
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def key(house: Product) -> str:
    made: str = json.loads(house.run("keys", "create", "--kind", "secret", "--name", "tests", "--json"))["key"]
    return made


@pytest.fixture
def enter(house: Product, key: str, open_page: OpenPage) -> Iterator[Any]:
    """Open a page of the console, signed in; at its end nothing may have been refused."""
    pages: list[Page] = []

    def open_signed_in(path: str = "calls", **options: Any) -> Page:
        keep = f"sessionStorage.setItem('offhook.console', JSON.stringify({{ key: '{key}', id: null }}));"
        page = open_page(address=f"{house.url}console#/{path}", before=WATCH + keep, **options)
        pages.append(page)
        return page

    yield open_signed_in
    assert [page.evaluate("window.refused") for page in pages] == [0] * len(pages)


# ── sign in ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sign_in_with_a_key(house: Product, key: str, open_page: OpenPage) -> None:
    page = open_page(address=f"{house.url}console", excuse="status of 401")
    expect(page.get_by_label("Secret key")).to_be_focused()
    page.keyboard.type("sk_live_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    page.get_by_label("Secret key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calls")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Secret key")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0


def test_a_link_signs_in_once_and_its_key_dies_at_the_sign_out(house: Product, open_page: OpenPage) -> None:
    link = house.run("open", "calls", "--http", f"127.0.0.1:{house.port}").split()[-1]
    page = open_page(address=link)
    expect(page.locator("tbody tr")).to_have_count(3)
    assert "code" not in page.url
    made = page.evaluate("JSON.parse(sessionStorage.getItem('offhook.console'))")
    keys = open_keys(house.folder / "data" / "offhook.db")
    found = keys.find(made["key"])
    assert found is not None and found.id == made["id"] and found.expires_at is not None
    again = open_page(address=link, excuse="status of 401")
    expect(again.get_by_role("alert")).to_contain_text("used before")
    expect(again.get_by_label("Secret key")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Secret key")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert keys.find(made["key"]) is None
    keys.close()


def test_links_that_do_not_count_are_refused(house: Product, open_page: OpenPage) -> None:
    workspace = open_workspace(house.folder / "data")
    old = mint_console_code(workspace, ttl=-1)
    for code, sentence in ((old, "too old"), (house.token(), "not from this server"), ("x", "not from this server")):
        page = open_page(address=f"{house.url}console#/calls?code={code}", excuse="status of 401")
        expect(page.get_by_role("alert")).to_contain_text(sentence)
        assert page.evaluate("sessionStorage.length") == 0


# ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_are_listed_filtered_and_come_by_themselves(house: Product, enter: Any) -> None:
    page = enter()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("sales")
    page.get_by_label("Words said").fill("opening")
    page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Ann")
    assert "text=opening" in page.url
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export CSV").click()
    found = list(csv.DictReader(io.StringIO(saved.value.path().read_text(), newline="")))
    assert [row["id"] for row in found] == [call_id(1)] and saved.value.suggested_filename.endswith(".csv")
    page.go_back()
    expect(rows).to_have_count(3)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export JSON lines").click()
    lines = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
    assert [line["caller"] for line in lines] == ["Bob", PAYLOADS[0], "Ann"]
    page.get_by_label("Agent").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_have_text("No call fits these filters.")
    page.get_by_role("link", name="Clear").click()
    expect(rows).to_have_count(3)
    write_call(house, 4, (), agent="late", caller="Eve")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("late")
    erase(house, 4)
    expect(rows).to_have_count(3)


def test_one_call_with_everything_it_has(enter: Any) -> None:
    page = enter(f"calls/{call_id(1)}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Call with front-desk")
    expect(page.locator(".said")).to_have_text([text for _, text in TALK])
    states = ["Connecting", "Ringing", "In call", "Ending", "Ended"]
    expect(page.locator(".states .pill")).to_have_text(states)
    widths = page.locator(".bar-of-states rect").evaluate_all("all => all.map((r) => Number(r.getAttribute('width')))")
    assert max(widths) == widths[2] and 940 < sum(widths) <= 1000
    page.get_by_text("Event log").click()
    events = page.locator(".log-of-events tbody tr")
    expect(events).to_have_count(11)
    expect(events.first).to_contain_text('"sdp":"(left out)"')
    expect(events.nth(5)).to_contain_text(TALK[1][1])
    expect(events.last).to_contain_text("MediaClosed")
    assert page.evaluate(WEAK_TEXT) == []
    page.get_by_text("Record as JSON").click()
    assert json.loads(page.locator("pre").inner_text())["id"] == call_id(1)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download JSON").click()
    assert json.loads(saved.value.path().read_text())["transcript"][1]["text"] == TALK[1][1]
    page.get_by_role("link", name="All calls").click()
    expect(page.locator("tbody tr")).to_have_count(3)


#: Notes each line that is marked from then on.
NOTE_MARKS = """() => {
    window.marks = [];
    const note = ({ target }) => target.matches("[aria-current]") && window.marks.push(target.children[2].textContent);
    const seen = new MutationObserver((changes) => changes.forEach(note));
    seen.observe(document.querySelector(".lines"), { subtree: true, attributeFilter: ["aria-current"] });
}"""


def levels(page: Page, role: str) -> list[float]:
    """How high the waveform of one side is, bar after bar."""
    path = page.locator(f".waveform path[data-role={role}]").get_attribute("d")
    assert path is not None
    return [abs(float(bar)) for bar in re.findall(r"v(-?[\d.]+)", path)]


def test_the_recording_is_drawn_and_plays_in_step_with_the_transcript(enter: Any) -> None:
    """Covers R2, R5: what is drawn was decoded from the file."""
    page = enter(f"calls/{call_id(1)}")
    slider = page.get_by_role("slider", name="Position in the recording")
    expect(slider).to_have_attribute("aria-valuemax", str(int(SECONDS)))
    for role in ("caller", "agent"):
        assert max(levels(page, role)) > 40, "it was drawn by who spoke when"
        loud = [number / 300 * SECONDS for number, level in enumerate(levels(page, role)) if level > 20]
        lines = [sung(line) for line, (by, _) in enumerate(TALK, 1) if by == role]
        assert all(any(begin - 0.1 < at < end + 0.1 for begin, end in lines) for at in loud)
        assert all(any(begin < at < end for at in loud) for begin, end in lines)
    marked, lines = page.locator(".line[aria-current]"), page.locator(".line")
    expect(marked).to_have_count(0)
    lines.nth(1).locator(".said").click()
    expect(slider).to_have_attribute("aria-valuetext", "0:03 of 0:08")
    expect(marked).to_contain_text(TALK[1][1])
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] * 0.15, "y": 10})
    expect(slider).to_have_attribute("aria-valuenow", "1")
    expect(marked).to_contain_text(TALK[0][1])
    slider.focus()
    for key, place in (("End", "8"), ("ArrowLeft", "3"), ("PageUp", "8"), ("Home", "0"), ("ArrowRight", "5")):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", place)
    page.get_by_role("button", name="Go to 0:02 in the recording").focus()
    page.keyboard.press("Enter")
    expect(marked).to_contain_text(TALK[1][1])
    slider.press("Home")
    slider.press("ArrowRight")
    expect(marked).to_have_count(0)
    page.evaluate(NOTE_MARKS)
    page.get_by_label("Speed").select_option("1.25")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuenow", "8")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert page.evaluate("window.marks") == [TALK[2][1]]
    expect(marked).to_have_count(0)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download audio").click()
    assert saved.value.path().read_bytes()[:4] == b"OggS"


def test_a_long_recording_is_drawn_piece_by_piece(enter: Any, tmp_path: Path) -> None:
    spans = [("agent", 10.0, 20.0), ("caller", 50.0, 70.0), ("agent", 118.0, 122.0), ("caller", 130.0, 140.0)]
    data = sing_spans(tmp_path, spans, 150.0).read_bytes()
    page = enter()
    draw = """async ([text, lines]) => {
        const { loudness, spoken } = await import("/web/pages/console/waveform.js");
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        return [await loudness(new Blob([bytes])), spoken(lines, 150)];
    }"""
    lines = [{"role": role, "begin": begin, "end": end} for role, begin, end in spans]
    for sides in page.evaluate(draw, [base64.b64encode(data).decode(), lines]):
        for role, side in zip(("caller", "agent"), sides, strict=True):
            heard = [(begin, end) for who, begin, end in spans if who == role]
            for bar, level in enumerate(side):
                at = (bar + 0.5) / 2
                if any(begin + 0.5 < at < end - 0.5 for begin, end in heard):
                    assert level > 0.4, f"{role} at {at} s"
                elif not any(begin - 0.5 < at < end + 0.5 for begin, end in heard):
                    assert level < 0.2, f"{role} at {at} s"


def test_an_audio_element_plays_a_link_without_a_key(house: Product, key: str, enter: Any) -> None:
    """Covers R5."""
    asked = f"{house.url}v1/calls/{call_id(1)}/recording-links"
    link = httpx2.post(asked, headers={"Authorization": f"Bearer {key}"}).json()["url"]
    page = enter()
    play = """async (link) => {
        const audio = Object.assign(new Audio(link), { currentTime: 6.5, playbackRate: 4 });
        await audio.play();
        await new Promise((done) => (audio.onended = done));
        return audio.currentTime;
    }"""
    assert page.evaluate(play, link) == pytest.approx(SECONDS, abs=0.1)


def test_a_recording_that_is_kept_no_more(house: Product, enter: Any) -> None:
    write_call(house, 7, TALK, recorded=True)
    (house.folder / "data" / "recordings" / f"{call_id(7)}.ogg").unlink()
    page = enter(f"calls/{call_id(7)}", excuse="status of 404")
    expect(page.get_by_text("The recording is not kept any more.")).to_be_visible()
    expect(page.locator(".said")).to_have_count(len(TALK))
    erase(house, 7)


def test_what_callers_say_stays_text(enter: Any) -> None:
    page = enter(f"calls/{call_id(2)}")
    page.get_by_text("Event log").click()
    expect(page.locator("details[open] [role=status]")).to_contain_text("The log of this call is gone")
    expect(page.locator(".said")).to_have_count(len(PAYLOADS))
    shown = page.locator(".said").evaluate_all("all => all.map((said) => said.textContent)")
    assert shown == list(PAYLOADS)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Call with {PAYLOADS[1]}")
    inside = "document.querySelectorAll('main script, main img, main iframe, main [onload], main a[href*=evil]').length"
    assert page.evaluate(inside) == 0
    page.get_by_role("link", name="All calls").click()
    expect(page.locator("tbody tr").nth(1)).to_contain_text(PAYLOADS[0])
    assert page.evaluate(inside) == 0
    assert page.evaluate("window.hit") is None


def test_markup_from_a_text_would_be_refused(house: Product, open_page: OpenPage) -> None:
    page = open_page(address=f"{house.url}console", before=WATCH, excuse="TrustedHTML")
    assert page.evaluate("() => { try { document.body.innerHTML = 'x'; } catch (e) { return e.name; } }") == "TypeError"
    page.wait_for_function("window.refused === 1")


def test_a_call_is_erased_once_that_is_confirmed(house: Product, enter: Any) -> None:
    write_call(house, 5, TALK)
    page = enter(f"calls/{call_id(5)}")
    page.get_by_role("button", name="Erase").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".said")).to_have_count(len(TALK))
    page.get_by_role("button", name="Erase").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calls")
    expect(page.locator("tbody tr")).to_have_count(3)
    store = open_store(house.folder / "data" / "offhook.db")
    assert store.erasure(call_id(5)) is not None
    store.close()


def test_a_living_call_is_held_resumed_and_ended(house: Product, enter: Any, open_page: OpenPage) -> None:
    caller = open_page(address=house.url, flags=MICROPHONE)
    caller.click("#start")
    expect(caller.locator("#state")).to_contain_text("In call")
    page = enter(f"calls/{caller.evaluate('window.offhookCall.sessionId')}")
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(caller.locator("#state")).to_contain_text("hold", ignore_case=True)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Hold")).to_be_visible()
    page.get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(caller.locator("#state")).to_contain_text("ended", ignore_case=True)
    expect(page.get_by_role("button", name="Erase")).to_be_visible()
    page.get_by_role("button", name="Erase").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()


def test_a_call_goes_on_being_looked_at_when_the_server_was_away(house: Product, enter: Any) -> None:
    write_call(house, 20, TALK, living=True)
    page = enter(f"calls/{call_id(20)}", excuse="status of 503")
    expect(page.get_by_role("button", name="Hold")).to_be_visible()
    address = f"**/v1/calls/{call_id(20)}"
    page.route(address, lambda route: route.fulfill(status=503, json={"code": "x", "detail": "Away for a moment."}))
    expect(page.get_by_role("alert")).to_contain_text("Away for a moment.")
    write_call(house, 20, TALK)
    page.unroute(address)
    expect(page.get_by_role("button", name="Erase")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    erase(house, 20)


def test_calls_that_come_by_the_page_leave_no_gap(house: Product, enter: Any) -> None:
    page = enter(excuse="ERR_INTERNET_DISCONNECTED")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.context.set_offline(True)
    numbers = range(100, 155)
    for number in numbers:
        write_call(house, number, ())
    page.context.set_offline(False)
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="More").click()
    expect(rows).to_have_count(len(numbers) + 3)
    for number in numbers:
        erase(house, number)


def test_a_call_that_does_not_exist(house: Product, enter: Any) -> None:
    page = enter("calls/none", excuse="status of 404")
    expect(page.get_by_role("alert")).to_contain_text("no call with this id")


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_made_rotated_and_revoked(house: Product, enter: Any) -> None:
    page = enter("keys")
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("<b>crm</b>")
    boxes = dialog.get_by_role("checkbox").evaluate_all("all => all.map((box) => box.value)")
    assert sorted(boxes) == sorted(set(SCOPES) - {"*"})
    dialog.get_by_label("calls:read").check()
    dialog.get_by_role("button", name="Make the key").click()
    shown = dialog.get_by_label("<b>crm</b>")
    text = shown.input_value()
    keys = open_keys(house.folder / "data" / "offhook.db")
    made = keys.find(text)
    assert made is not None and made.scopes == ("calls:read",)
    dialog.get_by_role("button", name="Close").click()
    row = page.locator(f"tr[data-id={made.id}]")
    expect(row).to_contain_text("<b>crm</b>")
    row.get_by_role("button", name="Rotate").click()
    dialog.get_by_label("The old key counts for").select_option("no longer")
    dialog.get_by_role("button", name="Rotate").click()
    expect(dialog.get_by_label("<b>crm</b>")).not_to_have_value(text)
    new = keys.find(dialog.get_by_label("<b>crm</b>").input_value())
    assert new is not None and keys.find(text) is None
    dialog.get_by_role("button", name="Close").click()
    expect(row).to_contain_text("Ran out")
    row = page.locator(f"tr[data-id={new.id}]")
    row.get_by_role("button", name="Revoke").click()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(row.get_by_role("button", name="Revoke")).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("Revoked")
    assert keys.get(new.workspace, new.id).revoked_at is not None
    keys.close()


# ── webhooks ───────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Somebody's server, and the headers of what came to it; it answers with each status once, with the last again."""
    left, came = list(statuses), list[dict[str, str]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/calls", came
        server.shutdown()


def test_a_webhook_from_its_first_message_to_its_end(house: Product, enter: Any) -> None:
    """Covers R6: made, told of a call, looked into, sent again, changed, given another secret, deleted."""
    page = enter("webhooks", excuse="status of 422")
    dialog, rows = page.get_by_role("dialog"), page.locator("tbody tr")
    expect(page.locator(".empty")).to_contain_text("Nobody is told of calls yet")
    page.get_by_role("button", name="New webhook").click()
    boxes = dialog.get_by_role("checkbox").evaluate_all("all => all.map((box) => box.value)")
    assert tuple(boxes) == WEBHOOK_EVENTS
    dialog.get_by_label("Address").fill("http://169.254.169.254/")
    dialog.get_by_role("button", name="Make the webhook").click()
    expect(dialog.get_by_role("alert")).to_contain_text("does not send to this address")
    with receiver(500, 204) as (url, came):
        dialog.get_by_label("Address").fill(url)
        dialog.get_by_label("call.ended").check()
        page.keyboard.press("Enter")
        secret = dialog.get_by_label("Signing secret").input_value()
        assert secret.startswith("whsec_")
        dialog.get_by_role("button", name="Close").click()
        rows.get_by_role("link", name=url).click()
        expect(page.locator(".empty")).to_contain_text("Nothing was sent yet")
        write_call(house, 6, (("caller", PAYLOADS[0]),))
        page.reload()
        expect(rows).to_contain_text(["call.ended"])
        expect(rows).to_contain_text("http_500")
        rows.get_by_role("button", name="Details").click()
        expect(dialog.locator("pre")).to_contain_text(PAYLOADS[0])
        expect(dialog.locator("li")).to_contain_text("http_500")
        assert page.evaluate(WEAK_TEXT) == []
        page.keyboard.press("Escape")
        expect(rows.get_by_role("button", name="Details")).to_be_focused()
        rows.get_by_role("button", name="Send again").click()
        expect(rows.locator(".pill")).to_have_text("Delivered")
        expect(rows).to_contain_text("Answered 204")
        # What came through does not come again by itself.
        before = len(came)
        rows.get_by_role("button", name="Send again").click()
        for _ in range(100):
            if len(came) > before:
                break
            page.wait_for_timeout(100)
        assert len(came) > before and len({headers["webhook-id"] for headers in came}) == 1
    page.get_by_label("Show").select_option("Given up")
    expect(page.locator(".empty")).to_have_text("There are no such deliveries.")
    page.get_by_role("button", name="Edit").click()
    expect(dialog.get_by_label("call.ended")).to_be_checked()
    dialog.get_by_label("call.ended").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("header.call-head")).to_contain_text("Told of: everything")
    page.get_by_role("button", name="Disable").click()
    dialog.get_by_role("button", name="Disable").click()
    expect(page.locator("header .pill")).to_have_text("Disabled")
    page.get_by_role("button", name="Enable").click()
    expect(page.locator("header .pill")).to_have_text("Sends")
    page.get_by_role("button", name="Rotate secret").click()
    dialog.get_by_role("button", name="Rotate secret").click()
    expect(dialog.get_by_label("Signing secret")).not_to_have_value(secret)
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".empty")).to_contain_text("Nobody is told of calls yet")
    assert page.evaluate("window.hit") is None
    erase(house, 6)


# ── agents ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deliveries_are_asked_for_again_when_the_server_was_away(house: Product, enter: Any) -> None:
    told = ("--event", "call.ended", "--webhook-allow", "127.0.0.1", "--json")
    made = json.loads(house.run("webhooks", "create", "http://127.0.0.1:9/", *told))
    page = enter("webhooks", excuse="status of 503")
    page.route("**/deliveries?*", lambda route: route.fulfill(status=503, json={"code": "x", "detail": "Away."}))
    page.goto(f"{house.url}console#/webhooks/{made['id']}")
    expect(page.get_by_role("alert")).to_contain_text("Away.")
    page.unroute("**/deliveries?*")
    expect(page.get_by_text("Nothing was sent")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    house.run("webhooks", "delete", made["id"])


def test_versions_are_compared_published_and_rolled_back(house: Product, key: str, enter: Any) -> None:
    first = (Path(offhook.services.agents.__file__).parent / "front-desk.toml").read_text()
    first = first.replace('id = "front-desk"', 'id = "console-desk"')
    second = f"{first}\n# <img src=x onerror='window.hit = 1'>\n"

    def send(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx2.request(method, f"{house.url}v1/agents{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    send("POST", "", {"text": first})
    send("POST", "/console-desk/publish", {})
    send("PUT", "/console-desk", {"text": second, "note": "<b>bold</b>"})
    page = enter("agents")
    expect(page.locator("tr[data-file=front-desk]")).to_contain_text("from a file")
    page.locator("tr[data-id=console-desk] a").click()
    row = page.locator("tr[data-version='2']")
    expect(row).to_contain_text("<b>bold</b>")
    row.get_by_role("button", name="Compare").click()
    expect(page.locator(".diff[data-kind=added]").last).to_have_text(re.compile("onerror"))
    assert page.evaluate(WEAK_TEXT) == []
    row.get_by_role("button", name="Publish live").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish live").click()
    expect(row.locator(".pill")).to_have_text("Live")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.locator("tr[data-version='1'] .pill")).to_have_text("Live")
    expect(row.locator(".pill")).to_have_text("Was published")
    assert page.evaluate("window.hit") is None


# ── for everybody ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_the_sign_in_to_a_call_by_keyboard(house: Product, key: str, open_page: OpenPage) -> None:
    page = open_page(address=f"{house.url}console")
    expect(page.get_by_label("Secret key")).to_be_focused()
    page.keyboard.insert_text(key)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(3)
    link = page.locator("tbody a").last
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate("(link) => link === document.activeElement"):
            break
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Call with front-desk")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="All calls")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(enter: Any, scheme: str) -> None:
    nameless = """() => [...document.querySelectorAll("button, a, input, select")].filter((element) =>
      !element.hidden && !(element.labels && element.labels.length) && !element.textContent.trim()).length"""
    lists = (("calls", "tbody tr"), ("webhooks", ".empty"), ("keys", "tbody tr"))
    for path, shown in (*lists, (f"calls/{call_id(1)}", ".said")):
        page = enter(path, color_scheme=scheme, reduced_motion="reduce")
        expect(page.locator(shown).first).to_be_visible()
        assert page.evaluate(WEAK_TEXT) == []
        assert page.evaluate(nameless) == 0
        assert page.get_by_role("main").count() == page.get_by_role("heading", level=1).count() == 1
        ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((element) => element.id)")
        assert len(ids) == len(set(ids))
        assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("width", [360, 800])
def test_nothing_hangs_over_the_edge_of_a_small_screen(enter: Any, width: int) -> None:
    for path, shown in (("calls", "tbody tr"), (f"calls/{call_id(2)}", ".said"), ("webhooks", ".empty")):
        page = enter(path, viewport={"width": width, "height": 740})
        expect(page.locator(shown).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
