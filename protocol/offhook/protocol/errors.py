"""Refusals: what a peer is told when its input cannot be taken.

A refusal is the *peer's* mistake or a limit it met; the call, the socket and every other call go on unless the surface
says otherwise. Our own bugs are never refusals: they crash the actor they happen in.

Every refusal has a stable ``Reason`` (a word programs can test), one of the six gateway codes (``Code``, G6) that the
reason belongs to, and a sentence for a human that says what to do. More detail goes into ``extra`` fields, never into
new codes.
"""

from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """The six error codes of the gateway protocol (G6)."""

    #: The token is missing, wrong, expired or made for something else.
    UNAUTHORIZED = "UNAUTHORIZED"
    #: A field has an invalid value.
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    #: The frame is malformed or of a kind that is not supported.
    INVALID_MESSAGE = "INVALID_MESSAGE"
    #: The server could not handle a correct request.
    HANDLER_ERROR = "HANDLER_ERROR"
    #: Audio between browser and server could not be set up or broke.
    MEDIA_BRIDGE_FAILURE = "MEDIA_BRIDGE_FAILURE"
    #: The agent, or a provider it needs, failed.
    AGENT_FAILURE = "AGENT_FAILURE"


class Reason(StrEnum):
    """The stable word of a refusal. Programs test it; people read the message beside it."""

    INVALID_JSON = "invalid_json"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_FRAME = "unsupported_frame"
    MESSAGE_TOO_LARGE = "message_too_large"

    INVALID_FIELD = "invalid_field"
    INVALID_STATE = "invalid_state"
    SESSION_NOT_FOUND = "session_not_found"
    USE_REATTACH = "use_reattach"
    SDP_TOO_LARGE = "sdp_too_large"
    SDP_INVALID = "sdp_invalid"
    SDP_NO_AUDIO = "sdp_no_audio"
    SDP_NO_OPUS = "sdp_no_opus"
    SDP_TOO_MANY_MEDIA = "sdp_too_many_media"
    SDP_MISSING_FINGERPRINT = "sdp_missing_fingerprint"
    SDP_WEAK_FINGERPRINT = "sdp_weak_fingerprint"
    SDP_INSECURE_PROFILE = "sdp_insecure_profile"
    TOO_MANY_CANDIDATES = "too_many_candidates"

    TOKEN_MISSING = "token_missing"
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_WRONG_AUDIENCE = "token_wrong_audience"
    TOKEN_WRONG_ISSUER = "token_wrong_issuer"
    TOKEN_WRONG_AGENT = "token_wrong_agent"
    TOKEN_WRONG_SESSION = "token_wrong_session"
    TOKEN_USED = "token_used"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    ORIGIN_MISMATCH = "origin_mismatch"

    MEDIA_TIMEOUT = "media_timeout"
    MEDIA_FAILED = "media_failed"
    DTLS_FINGERPRINT_MISMATCH = "dtls_fingerprint_mismatch"

    AGENT_NOT_FOUND = "agent_not_found"
    AGENT_FAILED = "agent_failed"
    PROVIDER_FAILED = "provider_failed"

    RATE_LIMITED = "rate_limited"
    AT_CAPACITY = "at_capacity"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


def code_of(reason: Reason) -> Code:
    """The gateway code that ``reason`` travels under."""
    word = reason.value
    if word in {"invalid_json", "unknown_type", "unsupported_frame", "message_too_large"}:
        return Code.INVALID_MESSAGE
    if word.startswith(("token_", "origin_")):
        return Code.UNAUTHORIZED
    if word.startswith(("media_", "dtls_")):
        return Code.MEDIA_BRIDGE_FAILURE
    if reason in {Reason.AGENT_FAILED, Reason.PROVIDER_FAILED}:
        return Code.AGENT_FAILURE
    if reason in {Reason.RATE_LIMITED, Reason.AT_CAPACITY, Reason.UNAVAILABLE, Reason.INTERNAL}:
        return Code.HANDLER_ERROR
    return Code.INVALID_ARGUMENT


class OffhookError(Exception):
    """Root of every error offhook raises on purpose."""


class Refusal(OffhookError):
    """The peer asked for something that cannot be done, and should be told so.

    You do *not* get this for a fault of our own; that is an ordinary exception and ends the actor.
    """

    def __init__(self, reason: Reason, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.extra = extra

    @property
    def code(self) -> Code:
        """The gateway code of this refusal (G6)."""
        return code_of(self.reason)

    def __repr__(self) -> str:
        return f"Refusal({self.reason.value!r}, {self.message!r}, {self.extra!r})"
