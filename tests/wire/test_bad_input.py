"""Bad input over the real wire: what each gets, that the socket goes on, and that another call never notices."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from bystander import Bystander
from gateway_client import GatewayClient, open_client
from webrtc_caller import WebRtcCaller
from wire_stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bystander")]


@pytest.fixture(scope="module")
async def good_sdp() -> str:
    """An offer as aiortc makes it."""
    async with WebRtcCaller() as caller:
        return await caller.offer()


async def goes_on(client: GatewayClient) -> bool:
    """Whether the socket still answers."""
    await client.send_text('{"type": "are you there", "sessionId": ""}')
    return await client.wait_error() == ("INVALID_MESSAGE", "unknown_type")


# ── frames ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FRAMES = [
    ("nothing", "", "INVALID_MESSAGE", "invalid_json"),
    ("not JSON", "hello", "INVALID_MESSAGE", "invalid_json"),
    ("half of JSON", '{"type": "offer"', "INVALID_MESSAGE", "invalid_json"),
    ("an array", "[]", "INVALID_MESSAGE", "invalid_json"),
    ("a number", "42", "INVALID_MESSAGE", "invalid_json"),
    ("NaN", '{"type": "close", "sessionId": "", "n": NaN}', "INVALID_MESSAGE", "invalid_json"),
    ("a name twice", '{"type": "close", "type": "offer", "sessionId": ""}', "INVALID_MESSAGE", "invalid_json"),
    ("5,000 digits", '{"type": "close", "sessionId": "", "n": ' + "9" * 5000 + "}", "INVALID_MESSAGE", "invalid_json"),
    ("nested deeply", '{"type": ' + "[" * 5000 + "]" * 5000 + "}", "INVALID_MESSAGE", "invalid_json"),
    ("no type", '{"sessionId": ""}', "INVALID_ARGUMENT", "invalid_field"),
    ("a type of the wrong type", '{"type": 1, "sessionId": ""}', "INVALID_ARGUMENT", "invalid_field"),
    ("an unknown type", '{"type": "dance", "sessionId": ""}', "INVALID_MESSAGE", "unknown_type"),
    ("no session id", '{"type": "close"}', "INVALID_ARGUMENT", "invalid_field"),
    ("a session id of the wrong type", '{"type": "close", "sessionId": 7}', "INVALID_ARGUMENT", "invalid_field"),
    ("a session id with NUL", '{"type": "close", "sessionId": "a\\u0000"}', "INVALID_ARGUMENT", "invalid_field"),
    ("an unknown session", '{"type": "close", "sessionId": "nobody"}', "INVALID_ARGUMENT", "session_not_found"),
    (
        "a candidate before the offer",
        '{"type": "ice-candidate", "sessionId": "", "data": {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host"}}',
        "INVALID_ARGUMENT",
        "invalid_state",
    ),
    ("text before the offer", '{"type": "text", "sessionId": "", "data": {"text": "hi"}}', "INVALID_ARGUMENT",
     "invalid_state"),
    ("a digit that is none", '{"type": "dtmf", "sessionId": "", "data": {"digit": "x"}}', "INVALID_ARGUMENT",
     "invalid_field"),
    ("text that is too long", json.dumps({"type": "text", "sessionId": "", "data": {"text": "a" * 2049}}),
     "INVALID_ARGUMENT", "invalid_field"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "reason"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES])
async def test_a_bad_frame_is_refused_and_the_socket_goes_on(stage: Stage, text: str, code: str, reason: str) -> None:
    async with open_client(stage.signaling) as client:
        await client.send_text(text)
        assert await client.wait_error() == (code, reason)
        assert await goes_on(client)


async def test_after_all_of_them_one_socket_still_makes_a_call(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        for name, text, code, reason in FRAMES:
            if reason != "invalid_json":
                await client.send_text(text)
                assert await client.wait_error() == (code, reason), name
                await anyio.sleep(0.05)  # below the rate limit
        await client.call(stage.new_token(), mode="echo")
        await client.caller.wait_heard(10)
        assert await client.hang_up() == 1000


async def test_the_fifth_frame_that_is_not_json_closes_the_socket(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        for _ in range(5):
            await client.send_text("?")
            assert await client.wait_error() == ("INVALID_MESSAGE", "invalid_json")
        assert await client.wait_closed() == 4400


# ── offers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def without(sdp: str, *starts: str) -> str:
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(starts))


CANDIDATE = "a=candidate:{0} 1 udp 2130706431 127.0.0.1 {0} typ host\r\n"


def candidates(count: int) -> str:
    return "".join(CANDIDATE.format(2000 + number) for number in range(count))


OFFERS: list[tuple[str, Callable[[str], str], str]] = [
    ("empty", lambda _: "", "sdp_invalid"),
    ("garbage", lambda _: "hello", "sdp_invalid"),
    ("without audio", lambda sdp: sdp[: sdp.index("m=audio")], "sdp_no_audio"),
    ("video only", lambda sdp: sdp.replace("m=audio", "m=video"), "sdp_no_audio"),
    ("without Opus", lambda sdp: without(sdp, "a=rtpmap:96 opus").replace("opus", "other"), "sdp_no_opus"),
    ("without a fingerprint", lambda sdp: without(sdp, "a=fingerprint"), "sdp_missing_fingerprint"),
    (
        "with a weak fingerprint",
        lambda sdp: without(sdp, "a=fingerprint") + "a=fingerprint:sha-1 " + ":".join(["AA"] * 20) + "\r\n",
        "sdp_weak_fingerprint",
    ),
    ("without ICE", lambda sdp: without(sdp, "a=ice-ufrag"), "sdp_invalid"),
    ("without rtcp-mux", lambda sdp: without(sdp, "a=rtcp-mux"), "sdp_invalid"),
    ("with a bogus setup", lambda sdp: sdp.replace("a=setup:actpass", "a=setup:bogus"), "sdp_invalid"),
    ("with payload type 300", lambda sdp: sdp.replace("SAVPF ", "SAVPF 300 "), "sdp_invalid"),
    ("in plain RTP", lambda sdp: sdp.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "sdp_insecure_profile"),
    ("more than 16 KiB", lambda sdp: sdp + "a=x:" + "y" * 16_384 + "\r\n", "sdp_too_large"),
    ("with five sections", lambda sdp: sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n" * 4, "sdp_too_many_media"),
    ("with 100 candidates", lambda sdp: sdp + candidates(100), "too_many_candidates"),
    ("with 1,000 candidates", lambda sdp: sdp + candidates(1000), "sdp_too_large"),
]


@pytest.mark.parametrize(("spoil", "reason"), [row[1:] for row in OFFERS], ids=[row[0] for row in OFFERS])
async def test_an_offer_that_cannot_be_used_is_refused_and_the_next_one_taken(
    stage: Stage, spoil: Callable[[str], str], reason: str
) -> None:
    token = stage.new_token()
    async with open_client(stage.signaling) as client:
        sdp = await client.caller.offer()
        await client.offer(token, sdp=spoil(sdp))
        assert await client.wait_error() == ("INVALID_ARGUMENT", reason)
        # A token is spent only when a call comes of it.
        await client.call(token, sdp=sdp, mode="echo")
        assert await client.hang_up() == 1000


FIELDS = [
    ("an unknown mode", {"mode": "shouting"}),
    ("a mode that the agent has not", {"mode": "end-to-end"}),
    ("a mode of the wrong type", {"mode": 3}),
    ("a version that is not there", {"agentVersionOverride": {"artifactVersion": "99"}}),
    ("events of the wrong type", {"events": "yes"}),
    ("a callSid that is too long", {"callSid": "x" * 129}),
    ("variables of the wrong type", {"variables": {"visitor": 1}}),
    ("metadata without end", {"metadata": {str(number): "" for number in range(65)}}),
]


@pytest.mark.parametrize("members", [row[1] for row in FIELDS], ids=[row[0] for row in FIELDS])
async def test_a_wrong_field_is_named(stage: Stage, good_sdp: str, members: dict[str, Any]) -> None:
    async with open_client(stage.signaling) as client:
        await client.offer(stage.new_token(), sdp=good_sdp, **members)
        error = (await client.wait_frame("error"))["data"]
        assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "invalid_field")
        assert error["pointer"].startswith("/" + next(iter(members)))
        assert await goes_on(client)


@pytest.mark.parametrize("data", [None, "sdp", {}, {"type": "offer"}, {"type": "answer", "sdp": ""}, {"sdp": 5}])
async def test_an_offer_without_an_offer_is_refused(stage: Stage, data: object) -> None:
    async with open_client(stage.signaling) as client:
        await client.send("offer", data, authToken=stage.new_token())
        assert await client.wait_error() == ("INVALID_ARGUMENT", "invalid_field")
        assert await goes_on(client)


# ── in a call ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bad_frames_in_a_call_do_not_end_it(stage: Stage, bystander: Bystander) -> None:
    token = stage.new_token()
    async with open_client(stage.signaling) as client:
        sdp = await client.caller.offer()
        await client.call(token, sdp=sdp, mode="echo")
        await client.offer(token, sdp=sdp, mode="echo")
        assert (await client.wait_frame("answer"))["sessionId"] == client.session
        for members, reason in (
            ({"sdp": sdp.replace("a=setup:actpass", "a=setup:active")}, "use_reattach"),
            ({"sdp": sdp, "sessionId": bystander.call}, "session_not_found"),
            ({"sdp": sdp, "sessionId": "nobody"}, "session_not_found"),
        ):
            await client.offer(token, **members)
            assert await client.wait_error() == ("INVALID_ARGUMENT", reason)
        await client.send("close", sessionId=bystander.call)
        assert await client.wait_error() == ("INVALID_ARGUMENT", "session_not_found")
        await client.send("text", {"text": ""})
        assert await client.wait_error() == ("INVALID_ARGUMENT", "invalid_field")
        await client.send_text("?")
        assert await client.wait_error() == ("INVALID_MESSAGE", "invalid_json")
        for candidate in ("", "candidate:1 1 udp 1 169.254.169.254 80 typ host", "candidate:1 1 tcp 1 ::1 9 typ host"):
            await client.send("ice-candidate", {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})
        await client.caller.wait_heard(len(client.caller.heard) + 10)
        assert await client.hang_up() == 1000


async def test_candidates_without_end_are_ignored_and_then_close_the_socket(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        await client.call(stage.new_token(), mode="echo")
        for number in range(49):
            await client.send(
                "ice-candidate", {"candidate": f"candidate:{number} 1 udp 1 127.0.0.1 {2000 + number} typ host"}
            )
            await anyio.sleep(0.04)  # below the rate limit
        assert await client.wait_error() == ("INVALID_ARGUMENT", "too_many_candidates")
        assert await client.wait_closed() == 4429


async def test_a_caller_whose_audio_never_comes_is_told_after_ten_seconds(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        await client.offer(stage.new_token(), events=True)
        call = (await client.wait_frame("answer"))["sessionId"]
        assert await client.wait_error() == ("MEDIA_BRIDGE_FAILURE", "media_timeout")
        ended = await client.wait_event("ended")
        assert (ended["reason"], ended["failure"]) == ("failed", "media_timeout")
        assert await client.wait_closed() == 1000
    assert (await stage.ended(call))["reason"] == "failed"
