"""The page by keyboard, by screen reader, in any scheme, language and size: covers W15, W18 and X3."""

import re

import pytest
from page_stage import OpenPage, answer, call
from playwright.sync_api import expect
from stand_in_gateway import StandInGateway

from offhook.protocol.call.states import CallState
from offhook.web import FOLDER


def test_a_whole_call_by_keyboard(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Call Ada Lovelace")).to_be_focused()
    page.keyboard.press("Enter")
    mute = page.get_by_role("button", name="Mute")
    expect(mute).to_be_focused()
    stand_in.wait_heard("offer")
    stand_in.event("ringing")
    stand_in.event("answered")
    stand_in.event("listening")
    expect(page.locator("#state")).to_have_text("In call")
    page.keyboard.press("Space")
    expect(mute).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#floor")).to_contain_text("You are muted")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="End")).to_be_focused()
    page.keyboard.press("Enter")
    stand_in.wait_heard("close")
    stand_in.event("ended", reason="caller_hangup", duration=1)
    expect(page.get_by_role("button", name="Call again")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_every_state(open_page: OpenPage, stand_in: StandInGateway, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    weak = {"idle": page.evaluate(WEAK_TEXT)}
    answer(page, stand_in)
    stand_in.event("speaking")
    for line, role in enumerate(("agent", "caller"), 1):
        stand_in.event("transcript", role=role, text="Words", line=line, interrupted=True)
    expect(page.locator(".line")).to_have_count(2)
    weak["speaking"] = page.evaluate(WEAK_TEXT)
    stand_in.event("ended", reason="agent_completed", duration=1)
    expect(page.locator("#state")).to_have_text("Call ended")
    weak["ended"] = page.evaluate(WEAK_TEXT)
    stand_in.refusal = {"code": "HANDLER_ERROR", "message": "full", "reason": "at_capacity"}
    page.locator("#start").click()
    expect(page.locator("#state")).to_have_text("Call failed")
    weak["error"] = page.evaluate(WEAK_TEXT)
    assert weak == {"idle": [], "speaking": [], "ended": [], "error": []}


#: Visible pieces of text whose contrast with their ground is below 4.5 (WCAG 2.2, 1.4.3), with their ratio.
WEAK_TEXT = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest("svg")) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push([walker.currentNode.data, ratio]);
  }
  return weak;
}"""


def test_everything_has_a_name_and_a_role(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.event("transcript", role="agent", text="Hello", line=1, interrupted=False)
    expect(page.get_by_role("log")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("main").count() == page.get_by_role("heading", level=1).count() == 1
    nameless = "() => [...document.querySelectorAll('button')].filter((b) => !b.textContent.trim()).length"
    assert page.evaluate(nameless) == 0
    assert page.locator("img:not([alt])").count() == 0
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))
    assert page.title() == "In call – offhook"


def test_nothing_moves_for_those_who_asked_for_less_motion(open_page: OpenPage, stand_in: StandInGateway) -> None:
    moving = "() => document.getAnimations().length"
    calm, lively = open_page(reduced_motion="reduce"), open_page(reduced_motion="no-preference")
    for page, count in ((lively, 2), (calm, 0)):
        call(page, stand_in)
        stand_in.event("ringing")
        expect(page.locator("#state")).to_have_text("Ringing…")
        page.wait_for_function(f"() => document.getAnimations().length === {count}")
        assert page.evaluate(moving) == count
    stand_in.event("answered")
    stand_in.event("listening")
    expect(calm.locator("#state")).to_have_text("In call")
    calm.wait_for_function("() => offhookCall.level('caller') > 0.1")
    assert calm.evaluate("() => document.getElementById('card').style.getPropertyValue('--caller-level')") == "0.000"


def test_a_visitor_reads_their_own_language(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page(locale="de-AT")
    assert page.locator("html").get_attribute("lang") == "de"
    page.get_by_role("button", name="Ada Lovelace anrufen").click()
    stand_in.wait_heard("offer")
    stand_in.event("ringing")
    expect(page.get_by_role("status")).to_have_text("Es klingelt …")


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (844, 390), (1440, 900)])
def test_mute_and_end_are_in_sight_on_every_screen(
    open_page: OpenPage, stand_in: StandInGateway, width: int, height: int
) -> None:
    page = open_page(viewport={"width": width, "height": height})
    answer(page, stand_in)
    for line in range(1, 30):
        stand_in.event("transcript", role="agent", text="Words " * line + "x" * 60, line=line, interrupted=False)
    expect(page.locator(".line")).to_have_count(29)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("Mute", "End"):
        button = page.get_by_role("button", name=name)
        box, card = button.bounding_box(), page.locator("#card").bounding_box()
        assert box and card
        assert box["y"] >= 0 and box["y"] + box["height"] <= min(height, card["y"] + card["height"]) + 1
    # The newest line is the one that is seen.
    assert page.evaluate("lines.scrollHeight - lines.scrollTop - lines.clientHeight < 2")


def test_the_browser_has_the_states_of_the_server(open_page: OpenPage) -> None:
    table = open_page().evaluate("async () => (await import('/web/sdk/states.js')).TABLE")
    assert set(table) == {state.value for state in CallState} - {"created"} | {"idle", "error"}
    assert {target for row in table.values() for target in row.values()} == set(table) - {"idle"}
    # Every state but the two last ones can be left, and a failure always leads to the end.
    assert [state for state, row in table.items() if "failed" not in row] == ["ended", "error"]


def test_scripts_keep_to_what_the_oldest_browsers_read() -> None:
    """W15: the oldest browsers read no newer syntax than ES2018, and one unknown sign stops a module."""
    newer = re.compile(r"\?\.[^\d]|\?\?|\|\|=|&&=|\bthis\.#|^\s+#\w+|^await ", re.MULTILINE)
    files = sorted(FOLDER.rglob("*.js"))
    assert len(files) > 10
    assert {file.name: newer.findall(file.read_text()) for file in files if newer.search(file.read_text())} == {}
