"""The gateway protocol's frames: G1-G8, G10, A5 and the JSON rows of the bad-input list."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.errors import Code, Reason, Refusal
from offhook.protocol.signal import (
    AgentVersion,
    Close,
    Dtmf,
    IceCandidate,
    Info,
    Offer,
    Text,
    decode_frame,
    encode_answer,
    encode_candidate,
    encode_error,
    encode_event,
)

OFFER: dict[str, Any] = {
    "type": "offer",
    "sessionId": "",
    "authToken": "a.b.c",
    "data": {"type": "offer", "sdp": "v=0\r\n"},
}


def refusal_of(frame: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        decode_frame(frame if isinstance(frame, str) else json.dumps(frame))
    return caught.value


def with_field(name: str, value: object) -> dict[str, Any]:
    return {**OFFER, name: value}


# ── what is taken ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_smallest_offer() -> None:
    """Covers G1, G2."""
    assert decode_frame(json.dumps(OFFER)) == Offer(session="", sdp="v=0\r\n", auth_token="a.b.c")


def test_offer_with_every_field() -> None:
    """Covers G1, G7, G8, G10, A5."""
    frame = decode_frame(
        json.dumps(
            {
                **OFFER,
                "mode": "traditional",
                "callSid": "sid-1",
                "caller": "Zoë",
                "callee": "+49 30 1",
                "accountId": "acc",
                "projectId": "prj",
                "variantId": "blue",
                "agentVersionOverride": {"artifactVersion": "12", "lambdaDeploymentVersion": "3"},
                "events": True,
                "variables": {"name": "Zoë"},
                "metadata": {"page": "/pricing"},
                "notKnownYet": {"a": 1},
            }
        )
    )
    assert frame == Offer(
        session="",
        sdp="v=0\r\n",
        auth_token="a.b.c",
        mode="traditional",
        call_sid="sid-1",
        caller="Zoë",
        callee="+49 30 1",
        account="acc",
        project="prj",
        variant="blue",
        agent_version=AgentVersion(artifact_version="12", lambda_deployment_version="3"),
        events=True,
        variables={"name": "Zoë"},
        metadata={"page": "/pricing"},
    )


def test_null_and_empty_options_are_absent() -> None:
    names = ["mode", "callSid", "caller", "agentVersionOverride", "events", "variables", "metadata"]
    frame = {**OFFER, **dict.fromkeys(names), "variantId": ""}
    assert decode_frame(json.dumps(frame)) == Offer(session="", sdp="v=0\r\n", auth_token="a.b.c")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0},
            ("candidate:1 1 udp 1 192.0.2.1 9 typ host", "0", 0),
        ),
        ({"candidate": "", "sdpMid": "0", "usernameFragment": "x"}, ("", "0", None)),
        ({"candidate": None}, ("", None, None)),
        (None, ("", None, None)),
    ],
)
def test_candidates_and_their_end(data: object, expected: tuple[str, str | None, int | None]) -> None:
    """Covers G4."""
    frame = decode_frame(json.dumps({"type": "ice-candidate", "sessionId": "s", "data": data}))
    candidate, mid, index = expected
    assert frame == IceCandidate(session="s", candidate=candidate, sdp_mid=mid, sdp_m_line_index=index)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "close", "sessionId": "s"}, Close(session="s")),
        ({"type": "text", "sessionId": "s", "data": {"text": "hi\n"}}, Text(session="s", text="hi\n")),
        ({"type": "dtmf", "sessionId": "s", "data": {"digit": "#"}}, Dtmf(session="s", digit="#")),
        ({"type": "info", "sessionId": "s", "data": {"name": "n"}}, Info(session="s", name="n", data="")),
        ({"type": "info", "sessionId": "s", "data": {"name": "n", "data": "x"}}, Info(session="s", name="n", data="x")),
        (
            {"type": "info", "sessionId": "s", "data": {"name": "n", "data": {"é\ud800": [1, "\u202e"]}}},
            Info(session="s", name="n", data='{"é\ufffd":[1,"\ufffd"]}'),
        ),
    ],
)
def test_the_other_frames(frame: dict[str, Any], expected: object) -> None:
    """Covers G5, A5, A7."""
    assert decode_frame(json.dumps(frame)) == expected


def test_free_text_is_cleaned() -> None:
    text = "a\x00b\ud800c\u202ed\te"
    frame = decode_frame(json.dumps({"type": "text", "sessionId": "s", "data": {"text": text}}))
    assert frame == Text(session="s", text="a\ufffdb\ufffdc\ufffdd\te")


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "[]",
        "7",
        "null",
        '"offer"',
        "\ufeff{}",
        '{"type":"close","sessionId":"s"',
        '{"type":"close","sessionId":"s"} x',
        '{"type":"close","sessionId":"s","x":NaN}',
        '{"type":"close","sessionId":"s","x":-Infinity}',
        '{"type":"close","sessionId":"s","x":1e999}',
        '{"type":"close","sessionId":"s","sessionId":"t"}',
        '{"type":"close","sessionId":"s","x":{"a":1,"a":2}}',
        '{"type":"close","sessionId":"s","x":' + "9" * 5000 + "}",
        '{"type":"close","sessionId":"s","x":' + "9" * 21 + "}",
        '{"type":"close","sessionId":"s","x":"\n"}',
        "[" * 100_000,
        '{"a":' * 30_000,
        '{"type":"close","sessionId":"s","x":' + "[" * 16 + "]" * 16 + "}",
        '{"\\' + "[" * 5000,
    ],
)
def test_not_json(text: str) -> None:
    refusal = refusal_of(text)
    assert (refusal.reason, refusal.code) == (Reason.INVALID_JSON, Code.INVALID_MESSAGE)


@pytest.mark.parametrize(
    "value",
    ["9" * 20, "-0.5e10", "[" * 15 + "]" * 15, '"' + "[{" * 40 + '"', '"\\"' + "[" * 40 + '"', '"\\\\"'],
)
def test_odd_but_json(value: str) -> None:
    """Brackets inside strings are no nesting, and depth and digits up to the limit are fine."""
    assert decode_frame('{"type":"close","sessionId":"s","x":' + value + "}") == Close(session="s")


@pytest.mark.parametrize("kind", ["", "hello", "OFFER", "answer", "event", "x" * 5000])
def test_unknown_type(kind: str) -> None:
    refusal = refusal_of({"type": kind, "sessionId": "s"})
    assert (refusal.reason, refusal.code) == (Reason.UNKNOWN_TYPE, Code.INVALID_MESSAGE)
    assert len(refusal.message) < 300


@pytest.mark.parametrize("token", [..., None, ""])
def test_offer_without_a_token(token: object) -> None:
    """Covers G2: the token is asked for before anything else is said about the offer."""
    frame: dict[str, Any] = {"type": "offer", "mode": "nonsense"}
    refusal = refusal_of(frame if token is ... else {**frame, "authToken": token})
    assert (refusal.reason, refusal.code, refusal.message) == (
        Reason.TOKEN_MISSING,
        Code.UNAUTHORIZED,
        "Auth token required",
    )


@pytest.mark.parametrize("token", [7, True, [], {}])
def test_offer_with_a_token_of_another_type(token: object) -> None:
    refusal = refusal_of({**OFFER, "authToken": token})
    assert (refusal.reason, refusal.code, refusal.message) == (
        Reason.TOKEN_INVALID,
        Code.UNAUTHORIZED,
        "Invalid authentication token",
    )


@pytest.mark.parametrize(
    ("frame", "pointer"),
    [
        ({}, "/type"),
        ({"type": 7}, "/type"),
        ({"type": None}, "/type"),
        ({"type": "close"}, "/sessionId"),
        ({"type": "close", "sessionId": None}, "/sessionId"),
        ({"type": "close", "sessionId": 7}, "/sessionId"),
        ({"type": "close", "sessionId": "s" * 129}, "/sessionId"),
        ({"type": "close", "sessionId": "s\x00"}, "/sessionId"),
        ({"type": "close", "sessionId": "s\n"}, "/sessionId"),
        ({"type": "close", "sessionId": "\ud800"}, "/sessionId"),
        ({"type": "close", "sessionId": "a\u202eb"}, "/sessionId"),
        ({"type": "close", "sessionId": "\u2066"}, "/sessionId"),
        (with_field("data", ...), "/data"),
        (with_field("data", None), "/data"),
        (with_field("data", "v=0"), "/data"),
        (with_field("data", {"type": "offer"}), "/data/sdp"),
        (with_field("data", {"type": "offer", "sdp": {"sdp": ""}}), "/data/sdp"),
        (with_field("data", {"sdp": "v=0"}), "/data/type"),
        (with_field("data", {"type": "answer", "sdp": "v=0"}), "/data/type"),
        (with_field("mode", "video"), "/mode"),
        (with_field("mode", 1), "/mode"),
        (with_field("callSid", 12), "/callSid"),
        (with_field("callSid", "\u200f"), "/callSid"),
        (with_field("accountId", "a" * 129), "/accountId"),
        (with_field("agentVersionOverride", "12"), "/agentVersionOverride"),
        (with_field("agentVersionOverride", {"artifactVersion": 12}), "/agentVersionOverride/artifactVersion"),
        (with_field("events", 1), "/events"),
        (with_field("variables", []), "/variables"),
        (with_field("variables", {"a": 1}), "/variables/a"),
        (with_field("variables", {"a/b~c": 1}), "/variables/a~1b~0c"),
        (with_field("variables", {"a": "x" * 2049}), "/variables/a"),
        (with_field("variables", {"a": "é" * 1025}), "/variables/a"),
        (with_field("variables", {"\x00": "x"}), "/variables"),
        (with_field("metadata", {str(n): "" for n in range(65)}), "/metadata"),
        ({"type": "ice-candidate", "sessionId": "s", "data": []}, "/data"),
        ({"type": "ice-candidate", "sessionId": "s", "data": {"candidate": 1}}, "/data/candidate"),
        ({"type": "ice-candidate", "sessionId": "s", "data": {"candidate": "c" * 1025}}, "/data/candidate"),
        (
            {"type": "ice-candidate", "sessionId": "s", "data": {"candidate": "c", "sdpMLineIndex": True}},
            "/data/sdpMLineIndex",
        ),
        (
            {"type": "ice-candidate", "sessionId": "s", "data": {"candidate": "c", "sdpMLineIndex": -1}},
            "/data/sdpMLineIndex",
        ),
        ({"type": "dtmf", "sessionId": "s", "data": {"digit": "12"}}, "/data/digit"),
        ({"type": "dtmf", "sessionId": "s", "data": {"digit": ""}}, "/data/digit"),
        ({"type": "dtmf", "sessionId": "s", "data": {"digit": 1}}, "/data/digit"),
        ({"type": "text", "sessionId": "s", "data": {"text": "x" * 2049}}, "/data/text"),
        ({"type": "text", "sessionId": "s", "data": {"text": " \n"}}, "/data/text"),
        ({"type": "info", "sessionId": "s", "data": {"data": "x"}}, "/data/name"),
        ({"type": "info", "sessionId": "s", "data": {"name": ""}}, "/data/name"),
        ({"type": "info", "sessionId": "s", "data": {"name": "n", "data": ["x" * 2048]}}, "/data/data"),
    ],
)
def test_invalid_field(frame: dict[str, Any], pointer: str) -> None:
    """Covers G1, G6, G7: the pointer names the culprit."""
    refusal = refusal_of({name: value for name, value in frame.items() if value is not ...})
    assert (refusal.reason, refusal.code) == (Reason.INVALID_FIELD, Code.INVALID_ARGUMENT)
    assert refusal.extra == {"pointer": pointer}
    assert refusal.message.startswith(pointer)


# ── whatever comes ─────────────────────────────────────────────────────────────────────────────────────────────────

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=20,
)
NAMES = [*OFFER, "mode", "callSid", "events", "variables", "metadata", "agentVersionOverride", "caller"]
frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["offer", "ice-candidate", "close", "info", "text", "dtmf"]) | json_values},
    optional={name: json_values for name in NAMES if name != "type"},
)
inner_data = st.fixed_dictionaries(
    {},
    optional={
        name: st.text(st.characters(codec=None)) | json_values
        for name in ["type", "sdp", "candidate", "sdpMid", "sdpMLineIndex", "name", "data", "text", "digit"]
    },
)


@given(st.text(st.characters(codec=None)))
def test_any_text_is_a_frame_or_a_refusal(text: str) -> None:
    try:
        decode_frame(text)
    except Refusal as refusal:
        json.loads(encode_error("", refusal))


@given(frames, st.none() | inner_data)
def test_any_json_is_a_frame_or_a_refusal_and_both_can_travel(frame: dict[str, Any], data: object) -> None:
    text = json.dumps(frame if data is None else {"sessionId": "s", "authToken": "t", **frame, "data": data})
    try:
        taken: object = decode_frame(text)
    except Refusal as refusal:
        taken = json.loads(encode_error("s", refusal))
    # A token is only ever verified, so its text is left as it came.
    msgspec.msgpack.encode(msgspec.structs.replace(taken, auth_token="") if isinstance(taken, Offer) else taken)


# ── what the server sends ──────────────────────────────────────────────────────────────────────────────────────────


def test_server_frames() -> None:
    """Covers G3, G4, G6, G10."""
    refusal = Refusal(Reason.INVALID_STATE, "Not now.", state="ringing", code="mine")
    assert json.loads(encode_answer("s", "v=0")) == {
        "type": "answer",
        "sessionId": "s",
        "data": {"type": "answer", "sdp": "v=0"},
    }
    assert json.loads(encode_candidate("s", "c", "0", 0)) == {
        "type": "ice-candidate",
        "sessionId": "s",
        "data": {"candidate": "c", "sdpMid": "0", "sdpMLineIndex": 0},
    }
    assert json.loads(encode_error("s", refusal)) == {
        "type": "error",
        "sessionId": "s",
        "data": {"code": "INVALID_ARGUMENT", "message": "Not now.", "reason": "invalid_state", "state": "ringing"},
    }
    assert json.loads(encode_event("s", "transcript", 4, {"role": "agent", "text": "hi", "seq": 9})) == {
        "type": "event",
        "sessionId": "s",
        "data": {"event": "transcript", "seq": 4, "role": "agent", "text": "hi"},
    }
