"""The session protocol (S1-S4): a server invites, a page joins by a single-use token, and the offer is ours.

JSON text frames on ``/ws/<session_id>``: ``auth``, ``answer``, ``ice-candidate`` and ``close`` of the client;
``offer``, ``ice-candidate``, ``error`` and the events of S3 of the server. The call behind it is the same as that of
the gateway protocol.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from offhook.protocol.call.effects import Announce
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.signal.fields import MAX_ID, Fields, clean
from offhook.protocol.signal.strict_json import read_object

#: Where the sockets of sessions are: the session's id follows.
JOIN_PATH = "/ws/"
#: Longest candidate line, UTF-8 bytes.
MAX_CANDIDATE = 1024


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A session that waits for its page; kept on the bus under ``invitation_key``."""

    workspace: str
    agent: str
    #: What the agent is told before the call (A5), and what goes on the record.
    variables: dict[str, str] = {}
    metadata: dict[str, str] = {}
    #: The version of the agent, None: that which serves the public; and its variant.
    version: str | None = None
    variant: str | None = None


def invitation_key(session: str) -> str:
    """The key of the bus for the invitation to ``session``."""
    return f"invitation.{session}"


class Auth(msgspec.Struct, frozen=True, tag="auth"):
    """The first frame: the token that came with the session, not verified yet."""

    token: str


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The page's answer to our offer, unchecked but for being a string."""

    sdp: str


class Candidate(msgspec.Struct, frozen=True, tag="ice-candidate"):
    """A trickled candidate; an empty ``candidate`` says that there are no more."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


class HangUp(msgspec.Struct, frozen=True, tag="close"):
    """The visitor hangs up; closing the socket in good order says the same."""


JoinFrame = Auth | Answer | Candidate | HangUp


def decode_join_frame(text: str) -> JoinFrame:
    """Read one client frame. Raises ``Refusal`` as ``signal.decode_frame`` does, and nothing else."""
    fields = Fields(read_object(text))
    kind = fields.string("type")
    reader = _READERS.get(kind)
    if reader is None:
        raise Refusal(
            Reason.UNKNOWN_TYPE,
            f"Frames of type {clean(kind[:40])!r} are not known here. Known: {', '.join(_READERS)}.",
        )
    return reader(fields)


def _auth(fields: Fields) -> Auth:
    token = fields.raw("token")
    if token is None or token == "":
        raise Refusal(Reason.TOKEN_MISSING, "Auth token required")
    if not isinstance(token, str):
        raise Refusal(Reason.TOKEN_INVALID, "Invalid authentication token")
    return Auth(token)


def _answer(fields: Fields) -> Answer:
    # As a string, or as the object that RTCPeerConnection.localDescription is.
    if isinstance(fields.raw("sdp"), str):
        return Answer(clean(fields.string("sdp")))
    description = fields.inner("sdp")
    description.choice("type", ("answer",))
    return Answer(clean(description.string("sdp")))


def _candidate(fields: Fields) -> Candidate:
    raw = fields.raw("candidate")
    if raw is None:
        return Candidate("")
    if isinstance(raw, str):
        return Candidate(fields.text("candidate", limit=MAX_CANDIDATE))
    inner = fields.inner("candidate")
    if inner.raw("candidate") is None:
        return Candidate("")
    return Candidate(
        inner.text("candidate", limit=MAX_CANDIDATE),
        inner.optional_identifier("sdpMid"),
        inner.small_int("sdpMLineIndex"),
    )


_READERS: dict[str, Callable[[Fields], JoinFrame]] = {
    "auth": _auth,
    "answer": _answer,
    "ice-candidate": _candidate,
    "close": lambda _: HangUp(),
}


def encode_offer(sdp: str) -> str:
    """Our offer, as ``setRemoteDescription`` takes it."""
    return _frame("offer", sdp={"type": "offer", "sdp": sdp})


def encode_own_candidate(candidate: str, sdp_mid: str | None = None, sdp_m_line_index: int | None = None) -> str:
    """A trickled candidate of ours, as ``addIceCandidate`` takes it."""
    return _frame(
        "ice-candidate", candidate={"candidate": candidate, "sdpMid": sdp_mid, "sdpMLineIndex": sdp_m_line_index}
    )


def encode_refusal(refusal: Refusal) -> str:
    """A refusal: its reason is the ``code``."""
    return _frame("error", **{**refusal.extra, "message": refusal.message, "code": refusal.reason.value})


def encode_announcement(announce: Announce) -> str | None:
    """What happened in the call, in the words of S3; None for what those have no word for."""
    data = announce.data
    match announce.event:
        case "answered":
            return _frame("call_started")
        case "speaking" | "listening":
            return _frame(f"agent_{announce.event}")
        case "transcript":
            return _frame("transcript", role=data["role"], text=data["text"])
        case "ended":
            return _frame("call_ended", duration=data["duration"], reason=data["reason"])
        case _:
            return None


def session_of(path: str) -> str:
    """The session that a socket's path names; empty where it names none."""
    name = path.removeprefix(JOIN_PATH)
    return name if path.startswith(JOIN_PATH) and "/" not in name and len(name) <= MAX_ID else ""


def _frame(kind: str, **members: Any) -> str:
    return msgspec.json.encode({"type": kind, **members}).decode()
