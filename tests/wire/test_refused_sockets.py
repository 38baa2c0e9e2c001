"""What closes a signaling socket: broken frames and wrong tokens, each with its own code, and no other call notices."""

import time
from collections.abc import Callable
from typing import Any

import anyio
import jwt
import pytest
from gateway_client import open_client
from webrtc_caller import WebRtcCaller
from wire_stage import Stage

from offhook.services.tokens import open_workspace

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bystander")]


@pytest.fixture(scope="module")
async def good_sdp() -> str:
    """An offer as aiortc makes it."""
    async with WebRtcCaller() as caller:
        return await caller.offer()


# ── sockets that are cut ───────────────────────────────────────────────────────────────────────────────────────────


async def test_sockets_that_are_cut_while_their_offer_is_looked_at(stage: Stage, good_sdp: str) -> None:
    """Each at another moment. A token that was spent suffices: its line to the bus is opened before."""
    token, before = stage.new_token(), stage.processes()
    moments = iter([number / 20_000 for number in range(240)])

    async def cut_some() -> None:
        for moment in moments:
            async with open_client(stage.signaling) as client:
                await client.offer(token, sdp=good_sdp)
                await anyio.sleep(moment)
                client.drop()

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(cut_some)
    async with open_client(stage.signaling) as client:
        await client.call(stage.new_token(), mode="echo")
        await client.hang_up()
    assert stage.processes() == before, "a process has ended"


# ── broken frames ──────────────────────────────────────────────────────────────────────────────────────────────────

MASK = bytes(4)


def frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """A WebSocket frame; the mask is zeros."""
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 1 << 16:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    return head + (MASK if masked else b"") + payload


SIZED = b'{"type": "dance", "sessionId": "", "fill": "%s"}'

BROKEN = [
    ("binary", frame(0x82, b"{}"), 1003, "unsupported_frame"),
    ("more than 64 KiB", frame(0x81, b" " * (64 * 1024 + 1)), 1009, "message_too_large"),
    ("more than 64 KiB in bytes, fewer characters", frame(0x81, "\u20ac".encode() * 22_000), 1009, "message_too_large"),
    ("65 fragments", frame(0x01, b" ") + frame(0x00, b" ") * 64, 1009, "message_too_large"),
    ("invalid UTF-8", frame(0x81, b"\xff\xfe"), 1007, None),
    ("a reserved opcode", frame(0x83, b""), 1002, None),
    ("a reserved bit", frame(0xC1, b"{}"), 1002, None),
    ("no mask", frame(0x81, b"{}", masked=False), 1002, None),
    ("a flood of pings", frame(0x89, b"") * 25, 1008, None),
    ("a flood of messages", frame(0x81, b'{"type": "x", "sessionId": ""}') * 40, 4429, "rate_limited"),
]


@pytest.mark.parametrize(("data", "code", "reason"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
async def test_a_broken_frame_closes_the_socket_with_its_code(
    stage: Stage, data: bytes, code: int, reason: str | None
) -> None:
    async with open_client(stage.signaling) as client:
        await client.send_raw(data)
        assert await client.wait_closed() == code
        if reason is not None:
            # Answers to the good frames before it may still follow.
            assert reason in [frame["data"]["reason"] for frame in client.frames]


async def test_64_kib_are_allowed(stage: Stage) -> None:
    fill = b"a" * (64 * 1024 - len(SIZED) + 2)
    async with open_client(stage.signaling) as client:
        await client.send_raw(frame(0x81, SIZED % fill))
        assert await client.wait_error() == ("INVALID_MESSAGE", "unknown_type")


async def test_another_path_is_no_signaling(stage: Stage) -> None:
    with pytest.raises(AssertionError, match="404"):
        async with open_client(stage.signaling + "/other"):
            pass


# ── tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def forged(
    stage: Stage, *, key: str | None = None, algorithm: str = "HS256", headers: Any = None, **claims: Any
) -> str:
    """A token that differs in one thing from a good one; a claim that is None is left out."""
    workspace = open_workspace(stage.folder / "data")
    signing = workspace.signing_keys[0]
    now = int(time.time())
    good = {
        "iss": "offhook",
        "aud": "offhook:call",
        "sub": workspace.id,
        "agent": "clerk",
        "iat": now,
        "exp": now + 300,
        "jti": f"forged {time.monotonic_ns()}",
    }
    left = {name: value for name, value in {**good, **claims}.items() if value is not None}
    secret = "" if algorithm == "none" else key or signing.secret
    return jwt.encode(left, secret, algorithm=algorithm, headers={"kid": signing.kid, **(headers or {})})


TOKENS: list[tuple[str, Callable[[Stage], str | None], str]] = [
    ("none", lambda _: None, "token_missing"),
    ("empty", lambda _: "", "token_missing"),
    ("malformed", lambda _: "abc", "token_invalid"),
    ("expired", lambda stage: stage.new_token(ttl=-1), "token_expired"),
    ("not valid yet", lambda stage: forged(stage, nbf=int(time.time()) + 600), "token_not_yet_valid"),
    ("of another key", lambda stage: forged(stage, key="k" * 32), "token_invalid"),
    ("without a signature", lambda stage: forged(stage, algorithm="none"), "token_invalid"),
    ("with another algorithm", lambda stage: forged(stage, algorithm="HS512", key="k" * 64), "token_invalid"),
    ("with an unknown key id", lambda stage: forged(stage, headers={"kid": "other"}), "token_invalid"),
    ("with a critical header", lambda stage: forged(stage, headers={"crit": ["x"], "x": 1}), "token_invalid"),
    ("for another audience", lambda stage: forged(stage, aud="offhook:api"), "token_wrong_audience"),
    ("of another issuer", lambda stage: forged(stage, iss="somebody"), "token_wrong_issuer"),
    ("of another workspace", lambda stage: forged(stage, sub="somebody"), "token_invalid"),
    ("without an end", lambda stage: forged(stage, exp=None), "token_invalid"),
    ("without an id", lambda stage: forged(stage, jti=None), "token_invalid"),
    ("for another page", lambda stage: stage.new_token(origin="https://example.com"), "origin_mismatch"),
]


@pytest.mark.parametrize(("make", "reason"), [row[1:] for row in TOKENS], ids=[row[0] for row in TOKENS])
async def test_a_wrong_token_closes_the_socket(
    stage: Stage, good_sdp: str, make: Callable[[Stage], str | None], reason: str
) -> None:
    async with open_client(stage.signaling) as client:
        await client.offer(make(stage), sdp=good_sdp)
        error = (await client.wait_frame("error"))["data"]
        assert (error["code"], error["reason"]) == ("UNAUTHORIZED", reason)
        assert error["message"] == (
            "Auth token required" if reason == "token_missing" else "Invalid authentication token"
        )
        assert await client.wait_closed() == 4401


async def test_a_token_opens_one_call(stage: Stage) -> None:
    token = stage.new_token()
    async with open_client(stage.signaling) as client, open_client(stage.signaling) as thief:
        await client.call(token, mode="echo")
        await thief.offer(token, mode="echo")
        assert await thief.wait_error() == ("UNAUTHORIZED", "token_used")
        assert await thief.wait_closed() == 4401
        await client.caller.wait_heard(10)
        assert await client.hang_up() == 1000


async def test_a_token_for_an_agent_that_is_gone(stage: Stage, good_sdp: str) -> None:
    async with open_client(stage.signaling) as client:
        await client.offer(stage.new_token("nobody"), sdp=good_sdp)
        assert await client.wait_error() == ("INVALID_ARGUMENT", "agent_not_found")


async def test_a_token_may_have_any_id(stage: Stage, good_sdp: str) -> None:
    async with open_client(stage.signaling) as client:
        await client.offer(forged(stage, jti="an id > with . spaces *"), sdp=good_sdp)
        await client.wait_frame("answer")
