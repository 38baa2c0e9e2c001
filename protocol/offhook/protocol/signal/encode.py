"""Frames of the server (G3, G4, G6, G10), as JSON text."""

from typing import Any

import msgspec

from offhook.protocol.errors import Refusal

_encoder = msgspec.json.Encoder()


def encode_answer(session: str, sdp: str, *, resume_token: str | None = None) -> str:
    """The SDP answer; ``session`` is the UUID that every later frame names (G3).

    A client that asked for events also gets the token to come back with (G11).
    """
    data = {"type": "answer", "sdp": sdp}
    if resume_token is not None:
        data["resumeToken"] = resume_token
    return _frame("answer", session, data)


def encode_resumed(session: str, state: str, seq: int, resume_token: str) -> str:
    """The caller is back in its call (G11): the call's state, the last event there is, and the next token."""
    return _frame("resumed", session, {"state": state, "seq": seq, "resumeToken": resume_token})


def encode_candidate(
    session: str, candidate: str, sdp_mid: str | None = None, sdp_m_line_index: int | None = None
) -> str:
    """A trickled candidate of the server (G4)."""
    return _frame(
        "ice-candidate", session, {"candidate": candidate, "sdpMid": sdp_mid, "sdpMLineIndex": sdp_m_line_index}
    )


def encode_error(session: str, refusal: Refusal) -> str:
    """A refusal: ``code`` and ``message`` (G6), ``reason``, and what more the refusal says."""
    return _frame(
        "error",
        session,
        {**refusal.extra, "code": refusal.code.value, "message": refusal.message, "reason": refusal.reason.value},
    )


def encode_event(session: str, event: str, seq: int, data: dict[str, Any]) -> str:
    """Something that happened in the call, for a client that asked for events (G10)."""
    return _frame("event", session, {**data, "event": event, "seq": seq})


def _frame(kind: str, session: str, data: dict[str, Any]) -> str:
    return _encoder.encode({"type": kind, "sessionId": session, "data": data}).decode()
