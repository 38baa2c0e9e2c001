"""What the page does when its socket is lost or it is reloaded, against a stand-in gateway: the browser side of G11."""

import re

import pytest
from page_stage import OpenPage, answer, call
from playwright.sync_api import Page, expect
from stand_in_gateway import SESSION, StandInGateway


def _lines(page: Page) -> list[str]:
    return page.locator(".said").all_inner_texts()


def _say(stand_in: StandInGateway, line: int, text: str) -> None:
    stand_in.event("transcript", role="agent", text=text, line=line, interrupted=False)


def test_a_lost_socket_comes_back_with_what_was_missed_in_order_and_once(
    open_page: OpenPage, stand_in: StandInGateway
) -> None:
    page = open_page()
    answer(page, stand_in)
    page.evaluate(
        """() => {
          window.heard = [];
          offhookCall.on("transcript", ({ text }) => heard.push(text));
          offhookCall.on("state", (state) => heard.push(state));
        }"""
    )
    _say(stand_in, 1, "one")
    expect(page.locator(".said")).to_have_count(1)
    seen = stand_in.seq
    stand_in.say(None)
    resume = stand_in.wait_heard("resume")
    assert resume == {"type": "resume", "sessionId": SESSION, "authToken": "ret_1", "data": {"seq": seen}}
    # The gateway tells the newest event again, and then goes on.
    repeated = {"event": "transcript", "role": "agent", "text": "one", "line": 1, "interrupted": False, "seq": seen}
    stand_in.say({"type": "event", "sessionId": SESSION, "data": repeated})
    _say(stand_in, 2, "two")
    expect(page.locator(".said")).to_have_text(["one", "two"])
    assert page.evaluate("window.heard") == ["one", "reconnecting", "answered", "two"]
    stand_in.say(None)
    assert stand_in.wait_heard("resume")["authToken"] == "ret_2"
    expect(page.locator("#state")).to_have_text("In call")


#: Sockets that close before they open, as many as ``window.refuse`` says.
REFUSING = """
  window.refuse = 0;
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      if (window.refuse > 0) {
        window.refuse -= 1;
        this.close();
      }
    }
  };
"""


def test_the_page_tries_again_until_the_server_is_back(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page(before=REFUSING, excuse="WebSocket is closed before the connection is established")
    answer(page, stand_in)
    page.evaluate("window.refuse = 3")
    stand_in.say(None)
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    stand_in.wait_heard("resume")
    assert page.evaluate("window.refuse") == 0
    expect(page.locator("#state")).to_have_text("In call")


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": "UNAUTHORIZED", "message": "Invalid authentication token", "reason": "token_invalid"},
        {"code": "SESSION_NOT_FOUND", "message": "The call is over.", "reason": "session_not_found"},
    ],
)
def test_a_call_that_is_over_ends_with_a_clear_word(
    open_page: OpenPage, stand_in: StandInGateway, refusal: dict[str, str]
) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.welcome = refusal
    stand_in.say(None)
    expect(page.locator("#state")).to_have_text("Call ended")
    expect(page.get_by_role("alert")).to_have_text("The connection was lost.")
    expect(page.get_by_role("button", name="Call again")).to_be_enabled()


def test_a_gateway_that_cannot_answer_now_is_asked_again(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.welcome = {"code": "HANDLER_ERROR", "message": "in a moment", "reason": "unavailable"}
    stand_in.say(None)
    stand_in.wait_heard("resume")
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    stand_in.welcome = {"state": "held"}
    stand_in.wait_heard("resume")
    expect(page.locator("#state")).to_have_text("On hold")


def test_after_half_a_minute_the_page_gives_up(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page(before=REFUSING, excuse="WebSocket is closed before the connection is established")
    page.clock.install()
    answer(page, stand_in)
    page.evaluate("() => { window.refuse = 1000; }")
    stand_in.say(None)
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    page.clock.run_for(29_000)
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    page.clock.run_for(2_000)
    expect(page.get_by_role("alert")).to_have_text("The connection was lost.")


def test_a_call_that_went_on_elsewhere_is_not_taken_back(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.close(4409)
    expect(page.locator("#state")).to_have_text("Call ended")
    expect(page.get_by_role("alert")).to_have_text("The call goes on in another window.")


def test_hanging_up_while_the_socket_is_away_still_hangs_up(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.welcome = {"code": "HANDLER_ERROR", "message": "in a moment", "reason": "unavailable"}
    stand_in.say(None)
    stand_in.wait_heard("resume")
    page.get_by_role("button", name="End").click()
    expect(page.locator("#state")).to_have_text("Ending…")
    stand_in.welcome = {"state": "answered"}
    assert stand_in.wait_heard("close")["sessionId"] == SESSION
    stand_in.event("ended", reason="caller_hangup", duration=2)
    expect(page.get_by_role("alert")).to_have_text("You hung up.")


def test_lost_audio_is_offered_anew_with_another_key(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    first = call(page, stand_in)
    stand_in.event("ringing")
    stand_in.event("answered")
    expect(page.locator("#state")).to_have_text("In call")
    stand_in.event("reconnecting")
    again = stand_in.wait_heard("offer")
    assert (again["sessionId"], again["authToken"]) == (SESSION, "ret_1")
    assert "callSid" not in again
    key = re.compile("a=fingerprint:(.*)")
    assert key.findall(again["data"]["sdp"]) != key.findall(first["data"]["sdp"])
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    stand_in.event("resumed")
    expect(page.locator("#state")).to_have_text("In call")


def test_a_reloaded_page_is_in_the_same_call(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    for line, text in enumerate(("one", "two"), 1):
        _say(stand_in, line, text)
    page.get_by_role("button", name="Mute").click()
    page.evaluate("offhookCall._answeredAt -= 61000")
    stand_in.welcome = {"state": "reconnecting"}
    page.reload()
    resume = stand_in.wait_heard("resume")
    assert resume == {"type": "resume", "sessionId": SESSION, "authToken": "ret_1", "data": {"seq": 0}}
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    expect(page.get_by_role("timer")).to_have_text(re.compile("1:0[1-9]"))
    again = stand_in.wait_heard("offer")
    assert (again["sessionId"], again["authToken"]) == (SESSION, "ret_2")
    # The whole history comes again; states that are past do not count.
    last, stand_in.seq = stand_in.seq, 0
    stand_in.event("ringing")
    stand_in.event("answered")
    for line, text in enumerate(("one", "two"), 1):
        _say(stand_in, line, text)
    assert stand_in.seq == last
    expect(page.locator(".said")).to_have_text(["one", "two"])
    expect(page.locator("#state")).to_have_text("Reconnecting…")
    stand_in.event("resumed")
    expect(page.locator("#state")).to_have_text("In call")
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Lovelace")
    page.get_by_role("button", name="End").click()
    assert stand_in.wait_heard("close")["sessionId"] == SESSION
    stand_in.event("ended", reason="caller_hangup", duration=70)
    expect(page.locator("#state")).to_have_text("Call ended")
    page.reload()
    expect(page.locator("#state")).to_have_text("Ready when you are")


def test_a_page_left_long_ago_is_in_no_call(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page(excuse="status of 404")
    answer(page, stand_in)
    page.goto(stand_in.address + "/elsewhere")
    page.evaluate(
        """() => {
          const kept = JSON.parse(sessionStorage.getItem("offhook.call"));
          sessionStorage.setItem("offhook.call", JSON.stringify({ ...kept, leftAt: kept.leftAt - 31000 }));
        }"""
    )
    page.goto(stand_in.address)
    expect(page.locator("#state")).to_have_text("Ready when you are")
    assert page.evaluate("sessionStorage.getItem('offhook.call')") is None


def test_another_tab_does_not_take_the_call(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    other = page.context.new_page()
    other.goto(stand_in.address)
    expect(other.locator("#state")).to_have_text("Ready when you are")


def test_a_browser_that_keeps_a_reloaded_page_silent_gets_a_button(
    open_page: OpenPage, stand_in: StandInGateway
) -> None:
    silent = """
      const play = HTMLMediaElement.prototype.play;
      window.gesture = false;
      addEventListener("click", () => (window.gesture = true), true);
      HTMLMediaElement.prototype.play = function () {
        return window.gesture ? play.call(this) : Promise.reject(new DOMException("no", "NotAllowedError"));
      };
    """
    page = open_page(before=silent)
    answer(page, stand_in)
    page.reload()
    stand_in.wait_heard("resume")
    expect(page.get_by_role("alert")).to_contain_text("You are still in the call")
    page.get_by_role("button", name="Continue the call").click()
    expect(page.locator("#notice")).to_be_empty()


def test_a_reloaded_page_without_a_microphone_says_so(open_page: OpenPage, stand_in: StandInGateway) -> None:
    denied = """
      if (sessionStorage.getItem("offhook.call")) {
        navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
      }
    """
    page = open_page(before=denied)
    answer(page, stand_in)
    page.reload()
    expect(page.locator("#state")).to_have_text("Call failed")
    expect(page.get_by_role("alert").locator("strong")).to_have_text("Your microphone is blocked")
