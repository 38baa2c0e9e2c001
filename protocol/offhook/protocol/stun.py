"""STUN as ICE uses it, read just far enough to tell a caller's message from a stranger's.

A port on the open network gets STUN from anybody. What is read here comes before any library: it takes a message apart
without making objects of its attributes, and refuses what is malformed. Whether a message is the caller's is told by
``check_integrity``.

References: RFC 8489 (STUN), RFC 8445 (ICE).
"""

import hashlib
import hmac
import zlib
from enum import IntEnum

import msgspec

COOKIE = b"\x21\x12\xa4\x42"
HEADER = 20
#: A message of ICE has some 100 to 200 bytes; what is longer than a datagram is nobody's.
MAX_LENGTH = 1500

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_PRIORITY = 0x0024
_FINGERPRINT = 0x8028
#: The attributes below 0x8000 that are understood; another one there makes a message unusable (RFC 8489 6.3).
#: Those that older servers add to an answer (RFC 3489 11.2) are understood and ignored.
_UNDERSTOOD = frozenset(
    {0x0001, 0x0004, 0x0005, _USERNAME, _MESSAGE_INTEGRITY, _ERROR_CODE, 0x000A, 0x0020, _PRIORITY, 0x0025}
)


class Kind(IntEnum):
    """The messages of the one method that ICE uses, by their first two bytes (RFC 8489 5)."""

    REQUEST = 0x0001
    INDICATION = 0x0011
    RESPONSE = 0x0101
    ERROR = 0x0111


_KINDS = {int(kind): kind for kind in Kind}


class Stun(msgspec.Struct, frozen=True):
    """One well-formed Binding message. Only what stands before MESSAGE-INTEGRITY counts (RFC 8489 14.5)."""

    kind: Kind
    #: 12 bytes.
    transaction: bytes
    username: bytes | None = None
    #: Where the attribute MESSAGE-INTEGRITY begins; None without one.
    integrity_at: int | None = None
    has_priority: bool = False
    #: The code of an error, such as 487; None without one.
    error: int | None = None
    #: Whether it demands something that is not understood.
    demands_unknown: bool = False


def read_stun(data: bytes) -> Stun:
    """Read a Binding message. Raises ``ValueError`` for anything else, and for what is malformed."""
    if not HEADER <= len(data) <= MAX_LENGTH or len(data) % 4 or data[4:8] != COOKIE:
        raise ValueError("no STUN message")
    kind = _KINDS.get(data[0] << 8 | data[1])
    if kind is None or data[2] << 8 | data[3] != len(data) - HEADER:
        raise ValueError("another method, or a length that is wrong")
    username, integrity_at, error, has_priority, unknown = None, None, None, False, False
    at = HEADER
    while at < len(data):
        attribute, size = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
        begin, end = at + 4, at + 4 + size
        if end > len(data):
            raise ValueError("an attribute reaches past the end")
        if attribute == _FINGERPRINT:
            _check_fingerprint(data, at, size)
        elif integrity_at is not None:
            pass  # not protected: as if it were not there
        elif attribute == _MESSAGE_INTEGRITY:
            if size != 20:
                raise ValueError("MESSAGE-INTEGRITY has 20 bytes")
            integrity_at = at
        elif attribute == _USERNAME:
            username = data[begin:end]
        elif attribute == _PRIORITY:
            has_priority = size == 4
        elif attribute == _ERROR_CODE:
            error = data[begin + 2] % 8 * 100 + data[begin + 3] if size >= 4 else None
        elif attribute < 0x8000 and attribute not in _UNDERSTOOD:
            unknown = True
        at = end + -size % 4
    return Stun(kind, data[8:HEADER], username, integrity_at, has_priority, error, unknown)


def check_integrity(data: bytes, message: Stun, password: bytes) -> bool:
    """Whether the sender of ``data``, read as ``message``, knows the password (RFC 8489 14.5)."""
    at = message.integrity_at
    if at is None:
        return False
    # The length counts as if the message ended with this attribute.
    covered = data[:2] + (at + 4).to_bytes(2, "big") + data[4:at]
    return hmac.compare_digest(hmac.digest(password, covered, hashlib.sha1), data[at + 4 : at + 24])


def _check_fingerprint(data: bytes, at: int, size: int) -> None:
    if size != 4 or at + 8 != len(data):
        raise ValueError("FINGERPRINT has 4 bytes and comes last")
    if zlib.crc32(data[:at]) ^ 0x5354554E != int.from_bytes(data[at + 4 : at + 8], "big"):
        raise ValueError("the fingerprint does not match")
