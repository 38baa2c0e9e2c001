"""Signatures of webhooks, as Standard Webhooks 1.0 has them (symmetric, ``v1``)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from offhook.protocol.errors import OffhookError

PREFIX = "whsec_"
#: Random bytes of a secret, and seconds by which a receiver's clock may differ.
SIZE = 32
TOLERANCE = 300


class BadSignature(OffhookError):
    """A message was not signed with one of the secrets, or not now."""


def new_secret(chance: bytes) -> str:
    """A secret made of ``SIZE`` random bytes."""
    return PREFIX + base64.b64encode(chance).decode()


def sign(secrets: Sequence[str], *, id: str, at: int, body: bytes) -> dict[str, str]:  # noqa: A002 - the header's word
    """The headers of one message, sent at ``at`` (whole seconds since the epoch); a signature for each secret."""
    signatures = " ".join(f"v1,{_signature(secret, id, at, body)}" for secret in secrets)
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signatures}


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> None:
    """What a receiver does. Raises ``BadSignature``."""
    try:
        id_, stamp, given = (headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature"))
        at = int(stamp)
    except (KeyError, ValueError):
        raise BadSignature("the headers are not there") from None
    if abs(now - at) > TOLERANCE:
        raise BadSignature("it is too old, or from the future")
    expected = _signature(secret, id_, at, body)
    versions = (one.partition(",") for one in given.split(" "))
    if not any(version == "v1" and hmac.compare_digest(mark, expected) for version, _, mark in versions):
        raise BadSignature("it was signed with another secret, or changed")


def _signature(secret: str, id_: str, at: int, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a secret of a webhook") from error
    mark = hmac.new(key, b".".join((id_.encode(), str(at).encode(), body)), hashlib.sha256).digest()
    return base64.b64encode(mark).decode()
