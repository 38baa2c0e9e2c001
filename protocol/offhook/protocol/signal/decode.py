"""From the text of a client frame to a Struct (G1-G5, G7, G8, A5).

Members that are not known are ignored, so that newer clients can talk to older gateways; known members are checked
strictly.
"""

import json
from collections.abc import Callable
from typing import cast

from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.signal.fields import MAX_TEXT, Fields, clean, clean_value
from offhook.protocol.signal.frames import (
    DIGITS,
    MODES,
    AgentVersion,
    ClientFrame,
    Close,
    Dtmf,
    IceCandidate,
    Info,
    Mode,
    Offer,
    Resume,
    Text,
)
from offhook.protocol.signal.strict_json import read_object

#: Longest candidate line, UTF-8 bytes.
MAX_CANDIDATE = 1024


def decode_frame(text: str) -> ClientFrame:
    """Read one client frame.

    Raises ``Refusal``: ``invalid_json``; ``unknown_type``; ``token_missing`` or ``token_invalid`` for the form of an
    offer's ``authToken``; ``invalid_field`` with a JSON ``pointer``. Never raises anything else.
    """
    fields = Fields(read_object(text))
    kind = fields.string("type")
    reader = _READERS.get(kind)
    if reader is None:
        raise Refusal(
            Reason.UNKNOWN_TYPE,
            f"Frames of type {clean(kind[:40])!r} are not known here. Known: {', '.join(_READERS)}.",
        )
    return reader(fields)


def _offer(fields: Fields) -> Offer:
    token = _auth_token(fields)
    session = fields.identifier("sessionId")
    mode = None if fields.raw("mode") is None else cast(Mode, fields.choice("mode", MODES))
    data = fields.inner("data")
    data.choice("type", ("offer",))
    return Offer(
        session=session,
        sdp=clean(data.string("sdp")),
        auth_token=token,
        mode=mode,
        call_sid=fields.optional_identifier("callSid"),
        caller=fields.optional_identifier("caller"),
        callee=fields.optional_identifier("callee"),
        account=fields.optional_identifier("accountId"),
        project=fields.optional_identifier("projectId"),
        variant=fields.optional_identifier("variantId"),
        agent_version=_agent_version(fields),
        events=fields.flag("events"),
        variables=fields.strings("variables"),
        metadata=fields.strings("metadata"),
    )


def _resume(fields: Fields) -> Resume:
    token = _auth_token(fields)
    session = fields.identifier("sessionId")
    data = fields.optional_inner("data")
    seq = None if data is None else data.small_int("seq")
    return Resume(session=session, token=token, seq=seq or 0)


def _auth_token(fields: Fields) -> str:
    """The token comes before every other field: who may not call is not told what else is wrong (G2)."""
    token = fields.raw("authToken")
    if token is None or token == "":
        raise Refusal(Reason.TOKEN_MISSING, "Auth token required")
    if not isinstance(token, str):
        raise Refusal(Reason.TOKEN_INVALID, "Invalid authentication token")
    return token


def _agent_version(fields: Fields) -> AgentVersion | None:
    override = fields.optional_inner("agentVersionOverride")
    if override is None:
        return None
    return AgentVersion(
        artifact_version=override.optional_identifier("artifactVersion"),
        lambda_deployment_version=override.optional_identifier("lambdaDeploymentVersion"),
    )


def _ice_candidate(fields: Fields) -> IceCandidate:
    session = fields.identifier("sessionId")
    data = fields.optional_inner("data")
    # The end of candidates comes as no data, as a null candidate or as an empty one (RFC 8838 13; W3C webrtc 4.8.1).
    if data is None or data.raw("candidate") is None:
        return IceCandidate(session=session, candidate="")
    return IceCandidate(
        session=session,
        candidate=data.text("candidate", limit=MAX_CANDIDATE),
        sdp_mid=data.optional_identifier("sdpMid"),
        sdp_m_line_index=data.small_int("sdpMLineIndex"),
    )


def _close(fields: Fields) -> Close:
    return Close(session=fields.identifier("sessionId"))


def _info(fields: Fields) -> Info:
    session = fields.identifier("sessionId")
    data = fields.inner("data")
    name = data.identifier("name")
    if not name:
        raise data.refuse("name", "must not be empty.")
    value = data.raw("data")
    if value is None or isinstance(value, str):
        return Info(session=session, name=name, data="" if value is None else data.text("data"))
    text = json.dumps(clean_value(value), ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_TEXT:
        raise data.refuse("data", f"must have at most {MAX_TEXT} bytes as JSON.")
    return Info(session=session, name=name, data=text)


def _text(fields: Fields) -> Text:
    session = fields.identifier("sessionId")
    data = fields.inner("data")
    text = data.text("text")
    if not text.strip():
        raise data.refuse("text", "must not be empty.")
    return Text(session=session, text=text)


def _dtmf(fields: Fields) -> Dtmf:
    session = fields.identifier("sessionId")
    data = fields.inner("data")
    digit = data.string("digit")
    if digit not in DIGITS:
        raise data.refuse("digit", "must be one of 0-9, *, #, A-D.")
    return Dtmf(session=session, digit=digit)


_READERS: dict[str, Callable[[Fields], ClientFrame]] = {
    "offer": _offer,
    "resume": _resume,
    "ice-candidate": _ice_candidate,
    "close": _close,
    "info": _info,
    "text": _text,
    "dtmf": _dtmf,
}
