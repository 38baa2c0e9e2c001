"""A call on the page, state by state, against a stand-in gateway: covers W5, W6, the client side of G1-G6 and G10."""

import re

from page_stage import OpenPage, answer, call
from playwright.sync_api import expect
from stand_in_gateway import SESSION, StandInGateway


def test_before_the_call_the_page_names_the_agent_and_opens_no_microphone(
    open_page: OpenPage, stand_in: StandInGateway
) -> None:
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Lovelace")
    expect(page.get_by_role("button", name="Call Ada Lovelace")).to_be_enabled()
    expect(page.get_by_role("status")).to_have_text("Ready when you are")
    assert stand_in.heard.empty()
    assert page.evaluate("window.offhookCall") is None


def test_the_offer_is_written_as_the_gateway_reads_it(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    offer = call(page, stand_in)
    assert offer.keys() == {"type", "sessionId", "authToken", "callSid", "events", "data"}
    assert (offer["sessionId"], offer["authToken"], offer["events"]) == ("", "tok_1", True)
    assert re.fullmatch(r"[0-9a-f]{32}", offer["callSid"])
    assert offer["data"]["type"] == "offer" and "opus/48000/2" in offer["data"]["sdp"]
    candidate = stand_in.wait_heard("ice-candidate")
    assert candidate["sessionId"] == SESSION
    assert candidate["data"].keys() == {"candidate", "sdpMid", "sdpMLineIndex"}


def test_a_mode_in_the_address_travels_in_the_offer(open_page: OpenPage, stand_in: StandInGateway) -> None:
    assert call(open_page(address=stand_in.address + "/?mode=echo"), stand_in)["mode"] == "echo"
    assert "mode" not in call(open_page(address=stand_in.address + "/?mode=nonsense"), stand_in)


def test_the_servers_that_come_with_the_token_are_used(open_page: OpenPage, stand_in: StandInGateway) -> None:
    """Covers G9."""
    turn = {"urls": ["turn:127.0.0.1:9?transport=tcp"], "username": "1795183600:call-1", "credential": "secret"}
    stand_in.token = (200, {**stand_in.token[1], "iceServers": [turn]})
    page = open_page()
    call(page, stand_in)
    (used,) = page.evaluate("window.offhookCall._connection._newest._connection.getConfiguration().iceServers")
    assert {name: used[name] for name in turn} == turn


def test_candidates_that_overtake_the_answer_wait_for_it(open_page: OpenPage, stand_in: StandInGateway) -> None:
    data = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    frame = {"type": "ice-candidate", "sessionId": SESSION}
    stand_in.before_answer = [frame | {"data": data}, frame | {"data": data | {"candidate": ""}}]
    page = open_page()
    call(page, stand_in)
    stand_in.event("ringing")
    expect(page.locator("#state")).to_have_text("Ringing…")
    assert page.evaluate("window.offhookCall._connection._newest._connection.remoteDescription.type") == "answer"


def test_every_state_has_its_words(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    state, clock = page.get_by_role("status"), page.get_by_role("timer")
    page.locator("#start").click()
    expect(state).to_have_text("Connecting…")
    stand_in.wait_heard("offer")
    stand_in.event("ringing")
    expect(state).to_have_text("Ringing…")
    expect(clock).to_be_hidden()
    stand_in.event("answered")
    expect(state).to_have_text("In call")
    expect(clock).to_have_text(re.compile(r"0:0\d"))
    stand_in.event("speaking")
    expect(page.locator("#floor")).to_contain_text("Ada Lovelace is speaking")
    stand_in.event("listening")
    expect(page.locator("#floor")).to_contain_text("Ada Lovelace is listening")
    stand_in.event("held")
    expect(state).to_have_text("On hold")
    expect(page.locator("#floor")).not_to_contain_text("listening")
    stand_in.event("reconnecting")
    expect(state).to_have_text("Reconnecting…")
    stand_in.event("held")
    stand_in.event("resumed")
    expect(state).to_have_text("In call")
    stand_in.event("ended", reason="agent_completed", duration=83.2)
    expect(state).to_have_text("Call ended")
    expect(clock).to_have_text("1:23")
    expect(page.get_by_role("alert")).to_have_text("Ada Lovelace ended the call.")
    expect(page.get_by_role("button", name="Call again")).to_be_enabled()


def test_events_that_do_not_fit_the_state_change_nothing(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    for event in ("ringing", "resumed", "answered", "applause"):
        stand_in.event(event)
    stand_in.say({"type": "weather", "data": None})
    stand_in.event("held")
    expect(page.locator("#state")).to_have_text("On hold")
    stand_in.event("speaking")
    stand_in.event("ended", reason="caller_hangup", duration=1)
    expect(page.locator("#state")).to_have_text("Call ended")
    assert page.evaluate("window.offhookCall.floor") is None


def test_the_clock_starts_with_the_answer_and_goes_on_while_held(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    page.clock.install()
    call(page, stand_in)
    stand_in.event("ringing")
    expect(page.locator("#state")).to_have_text("Ringing…")
    page.clock.run_for(5_000)
    stand_in.event("answered")
    expect(page.locator("#state")).to_have_text("In call")
    page.clock.run_for(61_000)
    expect(page.get_by_role("timer")).to_have_text(re.compile("1:0[1-9]"))
    stand_in.event("held")
    expect(page.locator("#state")).to_have_text("On hold")
    page.clock.run_for(3_600_000)
    expect(page.get_by_role("timer")).to_have_text(re.compile("1:01:0[1-9]"))


def test_hanging_up_waits_for_the_last_line(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    page.get_by_role("button", name="End").click()
    assert stand_in.wait_heard("close") == {"type": "close", "sessionId": SESSION}
    expect(page.locator("#state")).to_have_text("Ending…")
    stand_in.event("transcript", role="agent", text="Good", line=1, interrupted=True)
    stand_in.event("ended", reason="caller_hangup", duration=2.5)
    expect(page.locator("#state")).to_have_text("Call ended")
    expect(page.get_by_role("log")).to_contain_text("interrupted")
    expect(page.get_by_role("alert")).to_have_text("You hung up.")


def test_a_call_can_be_ended_before_it_is_answered(open_page: OpenPage, stand_in: StandInGateway) -> None:
    stand_in.answers = False
    page = open_page()
    call(page, stand_in)
    page.get_by_role("button", name="End").click()
    assert stand_in.wait_heard("close") == {"type": "close", "sessionId": ""}
    expect(page.locator("#state")).to_have_text("Call ended")


def test_the_microphone_is_closed_with_the_call(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (wish) => (window.microphone = await open((window.wish = wish)));
        }"""
    )
    answer(page, stand_in)
    assert page.evaluate("window.wish") == {
        "audio": {"echoCancellation": True, "noiseSuppression": True, "autoGainControl": True}
    }
    states = "() => window.microphone.getTracks().map((track) => [track.readyState, track.enabled])"
    assert page.evaluate(states) == [["live", True]]
    page.get_by_role("button", name="Mute").click()
    assert page.evaluate(states) == [["live", False]]
    stand_in.event("ended", reason="agent_completed", duration=1)
    expect(page.locator("#state")).to_have_text("Call ended")
    assert page.evaluate(states) == [["ended", False]]


def test_leaving_the_page_before_the_answer_hangs_up(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    call(page, stand_in)
    stand_in.event("ringing")
    expect(page.locator("#state")).to_have_text("Ringing…")
    page.goto("about:blank")
    assert stand_in.wait_heard("close")["sessionId"] == SESSION


def test_a_second_call_is_a_new_one(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    stand_in.event("transcript", role="agent", text="Hello", line=1, interrupted=False)
    stand_in.event("ended", reason="agent_completed", duration=1)
    page.get_by_role("button", name="Call again").click()
    stand_in.wait_heard("offer")
    stand_in.event("ringing")
    expect(page.locator("#state")).to_have_text("Ringing…")
    expect(page.get_by_role("log")).to_be_hidden()
    expect(page.locator("#notice")).to_be_empty()


def test_both_voices_pass_and_are_measured(open_page: OpenPage, stand_in: StandInGateway) -> None:
    """Another page plays the agent: real audio between two browsers, only the signaling is scripted."""
    stand_in.answers = False
    page, agent = open_page(), open_page()
    sdp = call(page, stand_in)["data"]["sdp"]
    answered = agent.evaluate(
        """async (sdp) => {
          await navigator.mediaDevices.getUserMedia({ audio: true });
          const context = new AudioContext();
          const [tone, voice] = [context.createOscillator(), context.createMediaStreamDestination()];
          tone.connect(voice);
          tone.start();
          const peer = (window.peer = new RTCPeerConnection());
          peer.addTrack(voice.stream.getAudioTracks()[0], voice.stream);
          await peer.setRemoteDescription({ type: "offer", sdp });
          await peer.setLocalDescription(await peer.createAnswer());
          while (peer.iceGatheringState !== "complete") await new Promise((later) => setTimeout(later, 20));
          return peer.localDescription.sdp;
        }""",
        sdp,
    )
    stand_in.say({"type": "answer", "sessionId": SESSION, "data": {"type": "answer", "sdp": answered}})
    agent.wait_for_function("() => window.peer.connectionState === 'connected'")
    for event in ("ringing", "answered", "speaking"):
        stand_in.event(event)
    page.wait_for_function("() => offhookCall.level('agent') > 0.5 && offhookCall.level('caller') > 0.1")
    page.wait_for_function("() => document.getElementById('card').style.getPropertyValue('--agent-level') > 0.5")
    assert page.evaluate("() => offhookCall.remoteStream.getAudioTracks()[0].readyState") == "live"
    page.wait_for_function("() => !audio.paused && audio.currentTime > 0")
    page.get_by_role("button", name="Mute").click()
    page.wait_for_function("() => offhookCall.level('caller') === 0")


def test_the_transcript_says_who_said_what_in_order_and_once(open_page: OpenPage, stand_in: StandInGateway) -> None:
    page = open_page()
    answer(page, stand_in)
    said = [(1, "agent", "Hello"), (3, "agent", "For how ma"), (2, "caller", "A table"), (3, "agent", "For how many")]
    for line, role, text in said:
        stand_in.event("transcript", role=role, text=text, line=line, interrupted=line == 3)
    log = page.get_by_role("log", name="Transcript")
    expect(log.locator(".line")).to_have_text(
        ["Ada LovelaceHello", "YouA table", "Ada LovelaceFor how manyinterrupted"], use_inner_text=False
    )
    expect(log).to_have_attribute("aria-live", "polite")


def test_what_others_wrote_is_text_and_nothing_else(open_page: OpenPage, stand_in: StandInGateway) -> None:
    evil = "<img src=x onerror='window.broken=1'>{name}</p><script>window.broken=1</script>"
    stand_in.agent = {"id": "ag", "name": evil, "avatar": "https://elsewhere.example/tracker.png"}
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text(evil)
    answer(page, stand_in)
    stand_in.event("transcript", role="agent", text=evil, line=1, interrupted=False)
    stand_in.event("speaking")
    expect(page.locator(".said")).to_have_text(evil)
    stand_in.event("ended", reason=evil, duration=1)
    expect(page.get_by_role("alert")).to_have_text("The call is over.")
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.broken") is None
