"""What the page says when something goes wrong: covers W10 and the unsupported browser of W8."""

from urllib.parse import urlsplit

import pytest
from page_stage import FAKE_DEVICE, MICROPHONE, OpenPage, answer, call, expect_failure
from playwright.sync_api import expect
from stand_in_gateway import SESSION, StandInGateway


def test_microphone_denied(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page(flags=(FAKE_DEVICE, "--deny-permission-prompts"))
    page.locator("#start").click()
    expect_failure(page, "microphone_denied", "Your microphone is blocked")
    assert stand_in.heard.empty()


def test_no_microphone(open_page: OpenPage) -> None:
    page = open_page(flags=("--use-fake-ui-for-media-stream",))
    page.locator("#start").click()
    expect_failure(page, "microphone_missing", "No microphone found")


def test_microphone_in_use(open_page: OpenPage) -> None:
    busy = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('busy', 'NotReadableError'); };"
    page = open_page(before=busy)
    page.locator("#start").click()
    expect_failure(page, "microphone_busy", "Your microphone is in use")


def test_an_insecure_page_says_so_before_anybody_calls(open_page: OpenPage, stand_in: StandInGateway) -> None:
    port = urlsplit(stand_in.address).port
    rules = "--host-resolver-rules=MAP plain.example 127.0.0.1"
    page = open_page(flags=(*MICROPHONE, rules), address=f"http://plain.example:{port}/")
    assert page.evaluate("window.isSecureContext") is False
    expect(page.get_by_role("alert")).to_contain_text("This page is not secure")
    expect(page.locator("#start")).to_be_disabled()


def test_a_browser_without_webrtc_says_so_before_anybody_calls(open_page: OpenPage) -> None:
    page = open_page(before="delete window.RTCPeerConnection")
    expect(page.get_by_role("alert")).to_contain_text("This browser cannot make calls")
    expect(page.locator("#start")).to_be_disabled()


def test_without_scripts_the_page_says_what_it_needs(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    expect(page.get_by_text("This page needs JavaScript and a current browser.")).to_be_visible()
    expect(page.locator("#start")).to_be_disabled()


@pytest.mark.parametrize(
    ("status", "problem", "code", "title"),
    [
        (429, {"code": "rate_limited", "detail": "slower"}, "rate_limited", "Too many calls in a short time"),
        (503, {"code": "at_capacity", "detail": "full"}, "at_capacity", "All lines are busy"),
        (403, {"code": "origin_not_allowed"}, "unauthorized", "This call is not allowed"),
        (404, {"code": "agent_not_found"}, "agent_failed", "Ada Lovelace cannot talk right now"),
        (500, {}, "server_error", "Something went wrong"),
    ],
)
def test_no_token(
    open_page: OpenPage, stand_in: StandInGateway, status: int, problem: dict[str, str], code: str, title: str
) -> None:
    stand_in.token = (status, problem)
    page = open_page(excuse=f"status of {status}")
    page.locator("#start").click()
    expect_failure(page, code, title)


@pytest.mark.parametrize(
    ("refusal", "code", "title"),
    [
        (
            {"code": "HANDLER_ERROR", "message": "full", "reason": "at_capacity"},
            "at_capacity",
            "All lines are busy",
        ),
        (
            {"code": "UNAUTHORIZED", "message": "Invalid authentication token", "reason": "token_invalid"},
            "unauthorized",
            "This call is not allowed",
        ),
        (
            {"code": "MEDIA_BRIDGE_FAILURE", "message": "no way"},
            "connection_failed",
            "No audio connection",
        ),
        ({"code": "INVALID_ARGUMENT", "message": "mode"}, "server_error", "Something went wrong"),
    ],
)
def test_the_offer_is_refused(
    open_page: OpenPage, stand_in: StandInGateway, refusal: dict[str, str], code: str, title: str
) -> None:
    stand_in.refusal = refusal
    page = open_page()
    page.locator("#start").click()
    expect_failure(page, code, title)


@pytest.mark.parametrize(
    ("reason", "failure", "code"),
    [
        ("failed", "media_timeout", "connection_failed"),
        ("failed", "agent_failed", "agent_failed"),
        ("failed", "internal", "server_error"),
        ("at_capacity", None, "at_capacity"),
    ],
)
def test_the_call_breaks(
    open_page: OpenPage, stand_in: StandInGateway, reason: str, failure: str | None, code: str
) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.event("ended", reason=reason, failure=failure, duration=1)
    expect(page.locator("#state")).to_have_text("Call failed")
    assert page.evaluate("window.offhookCall.error.code") == code


def test_an_error_for_one_frame_does_not_end_the_call(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    data = {"code": "INVALID_ARGUMENT", "message": "ignored", "reason": "too_many_candidates"}
    stand_in.say({"type": "error", "sessionId": SESSION, "data": data})
    stand_in.event("held")
    expect(page.locator("#state")).to_have_text("On hold")
    # Nor is it the reason of what ends the call later.
    stand_in.event("ended", reason="failed", failure="agent_failed", duration=1)
    expect(page.locator("#state")).to_have_text("Call failed")
    assert page.evaluate("window.offhookCall.error.code") == "agent_failed"


def test_no_audio_path(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    page.clock.install()
    call(page, stand_in)
    stand_in.wait_heard("ice-candidate")
    page.clock.fast_forward(25_000)
    expect_failure(page, "connection_failed", "No audio connection")


def test_the_server_goes_away_before_the_answer(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    call(page, stand_in)
    stand_in.say(None)
    expect_failure(page, "server_gone", "The server cannot be reached")


def test_the_server_is_not_there(open_page: OpenPage) -> None:
    page = open_page(excuse="ERR_CONNECTION_REFUSED")
    page.route("**/api/demo/token", lambda route: route.abort("connectionrefused"))
    page.locator("#start").click()
    expect_failure(page, "server_gone", "The server cannot be reached")


def test_the_sound_is_blocked_until_a_press(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          const play = audio.play.bind(audio);
          audio.play = () => { audio.play = play; return Promise.reject(new DOMException("no", "NotAllowedError")); };
        }"""
    )
    call(page, stand_in)
    expect(page.get_by_role("alert")).to_contain_text("The sound is off")
    page.get_by_role("button", name="Turn sound on").click()
    expect(page.locator("#notice")).to_be_empty()
