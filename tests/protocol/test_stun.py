"""STUN is read as another implementation writes it, and never raises anything but ``ValueError``."""

import struct

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.stun import Kind, check_integrity, read_stun

PASSWORD = b"a password of ICE"


def message(message_class: stun.Class = stun.Class.REQUEST, **attributes: object) -> stun.Message:
    return stun.Message(stun.Method.BINDING, message_class, b"t" * 12, dict(attributes))


def test_a_check_is_read() -> None:
    written = message(USERNAME="ours:theirs", PRIORITY=7)
    written.attributes |= {"ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
    written.add_message_integrity(PASSWORD)
    read = read_stun(bytes(written))
    assert read.kind is Kind.REQUEST and read.transaction == b"t" * 12
    assert read.username == b"ours:theirs" and read.has_priority and not read.demands_unknown
    assert check_integrity(bytes(written), read, PASSWORD)
    assert not check_integrity(bytes(written), read, PASSWORD + b"?")


def test_an_error_is_read() -> None:
    written = message(stun.Class.ERROR, **{"ERROR-CODE": (487, "Role Conflict")})
    written.add_fingerprint()
    read = read_stun(bytes(written))
    assert read.kind is Kind.ERROR and read.error == 487
    assert not check_integrity(bytes(written), read, PASSWORD)


def test_what_comes_after_the_signature_does_not_count() -> None:
    written = message(PRIORITY=7)
    written.add_message_integrity(PASSWORD)
    signed = bytes(written)[:-8]  # without the fingerprint
    added = b"\0\x06\0\4evil" + b"\x7f\xff\0\0"
    whole = signed[:2] + (len(signed) - 20 + len(added)).to_bytes(2, "big") + signed[4:] + added
    read = read_stun(whole)
    assert read.username is None and not read.demands_unknown
    assert check_integrity(whole, read, PASSWORD)


@given(st.text(max_size=60), st.integers(0, 2**32 - 1), st.sampled_from(list(stun.Class)), st.booleans())
def test_both_read_the_same(user: str, priority: int, kind: stun.Class, signed: bool) -> None:
    written = message(kind, USERNAME=user, PRIORITY=priority)
    if signed:
        written.add_message_integrity(PASSWORD)
    data = bytes(written)
    ours, theirs = read_stun(data), stun.parse_message(data)
    assert ours.username == theirs.attributes["USERNAME"].encode()
    assert ours.kind == theirs.message_class | theirs.message_method
    assert check_integrity(data, ours, PASSWORD) == theirs.check_message_integrity(PASSWORD) == signed


@given(st.binary(max_size=80), st.sampled_from(list(Kind)))
def test_any_bytes_are_read_or_refused(body: bytes, kind: Kind) -> None:
    data = int(kind).to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + b"t" * 12 + body
    try:
        read = read_stun(data)
    except ValueError:
        return
    assert len(body) % 4 == 0
    assert not check_integrity(data, read, PASSWORD)
    try:
        theirs = stun.parse_message(data)
    except (ValueError, struct.error):
        return  # aioice reads the values of attributes, too, and stumbles over some
    assert theirs.transaction_id == read.transaction


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no STUN"),
        (bytes(19), "no STUN"),
        (bytes(20), "no STUN"),
        (b"\0\1\0\0" + b"\x21\x12\xa4\x43" + bytes(12), "no STUN"),
        (b"\0\1\x10\0" + b"\x21\x12\xa4\x42" + bytes(12 + 4096), "no STUN"),
        (b"\0\1\0\4" + b"\x21\x12\xa4\x42" + bytes(12), "a length that is wrong"),
        (b"\0\3\0\0" + b"\x21\x12\xa4\x42" + bytes(12), "another method"),
        (b"\0\1\0\4" + b"\x21\x12\xa4\x42" + bytes(12) + b"\0\x06\0\1", "past the end"),
        (b"\0\1\0\x08" + b"\x21\x12\xa4\x42" + bytes(12) + b"\0\x08\0\4abcd", "20 bytes"),
        (b"\0\1\0\x08" + b"\x21\x12\xa4\x42" + bytes(12) + b"\x80\x28\0\4abcd", "fingerprint"),
    ],
)
def test_what_is_malformed_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_stun(data)
