"""Client frames of the gateway protocol, as they are after every check."""

from typing import Literal, get_args

import msgspec

#: Speech mode of a call (G7).
Mode = Literal["end-to-end", "traditional", "echo"]
MODES: tuple[str, ...] = get_args(Mode)
#: Touch-tones, RFC 4733 3.2 (events 0 to 15).
DIGITS = frozenset("0123456789*#ABCD")


class AgentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A pinned build of an agent (G8)."""

    artifact_version: str | None = None
    lambda_deployment_version: str | None = None


class Offer(msgspec.Struct, frozen=True, tag="offer", kw_only=True):
    """The caller offers media (G2). ``session`` is empty for a new call."""

    session: str
    #: The SDP offer, unchecked but for being a string.
    sdp: str
    #: The call token, not verified yet.
    auth_token: str
    #: None: the caller did not ask for a mode.
    mode: Mode | None = None
    call_sid: str | None = None
    caller: str | None = None
    callee: str | None = None
    account: str | None = None
    project: str | None = None
    variant: str | None = None
    agent_version: AgentVersion | None = None
    #: True: the client wants ``event`` frames (G10).
    events: bool = False
    variables: dict[str, str] = {}
    metadata: dict[str, str] = {}


class Resume(msgspec.Struct, frozen=True, tag="resume", kw_only=True):
    """A caller who lost its socket comes back to its call (G11)."""

    session: str
    #: The single-use token that came with the answer, or with the last ``resumed``.
    token: str
    #: The last event the client has seen; it gets those after it.
    seq: int = 0


class IceCandidate(msgspec.Struct, frozen=True, tag="ice-candidate", kw_only=True):
    """A trickled candidate (G4); an empty ``candidate`` says that there are no more."""

    session: str
    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


class Close(msgspec.Struct, frozen=True, tag="close", kw_only=True):
    """The caller hangs up (G5)."""

    session: str


class Info(msgspec.Struct, frozen=True, tag="info", kw_only=True):
    """Information from the page for the agent (A5); ``data`` that is no string arrives as JSON text."""

    session: str
    name: str
    data: str


class Text(msgspec.Struct, frozen=True, tag="text", kw_only=True):
    """Text the caller typed."""

    session: str
    text: str


class Dtmf(msgspec.Struct, frozen=True, tag="dtmf", kw_only=True):
    """A touch-tone the caller pressed, one of ``DIGITS``."""

    session: str
    digit: str


ClientFrame = Offer | Resume | IceCandidate | Close | Info | Text | Dtmf
