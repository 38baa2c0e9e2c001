"""What strangers send to a media port: one datagram of each kind, and as what the guard must count it.

All of it is malformed, unsigned or foreign. The tests send a little of it to a call of their own; the benchmark
``hostile`` a lot, to its own product on the same machine.
"""

from aioice import stun

from offhook.services.media.guard import Drop

RTP = bytes([0x80, 111]) + bytes(40)
RTCP = bytes([0x80, 201, 0, 1]) + bytes(20)
GOODBYE = bytes([0x81, 203, 0, 1]) + bytes(20)
DTLS = bytes([22, 0xFE, 0xFD]) + bytes(40)
ALERT = bytes([21, 0xFE, 0xFD]) + bytes(8) + b"\0\2\2\x28"
CLOSE_NOTIFY = bytes([21, 0xFE, 0xFD]) + bytes(8) + b"\0\2\1\0"
CHANGE_CIPHER = bytes([20, 0xFE, 0xFD]) + bytes(8) + b"\0\1\1"


def check(user: str, password: str | None = None, **attributes: object) -> bytes:
    """An ICE check for ``user`` (``ours:theirs``), signed if there is a password."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes = {"USERNAME": user, "PRIORITY": 1, **attributes}
    if password is not None:
        message.add_message_integrity(password.encode())
    return bytes(message)


def error_answer(code: int) -> bytes:
    """An error answer to a check that nobody made."""
    message = stun.Message(stun.Method.BINDING, stun.Class.ERROR, attributes={"ERROR-CODE": (code, "")})
    return bytes(message)


def with_attribute(message: bytes, kind: int, value: bytes, *, claims: int | None = None) -> bytes:
    """``message`` with one more attribute in front, which claims to have ``claims`` bytes."""
    size = len(value) if claims is None else claims
    body = kind.to_bytes(2, "big") + size.to_bytes(2, "big") + value + message[20:]
    return message[:2] + len(body).to_bytes(2, "big") + message[4:20] + body


def strangers(user: str) -> dict[str, tuple[bytes, Drop]]:
    """Kinds of datagrams; ``user`` is the ICE user of the call, which somebody may have overheard."""
    ours = f"{user}:theirs"
    return {
        "nothing": (b"", Drop.EMPTY),
        "one byte": (b"\x80", Drop.NO_PROTOCOL),
        "noise": (b"\xff" * 1400, Drop.NO_PROTOCOL),
        "DTLS handshake": (DTLS, Drop.FOREIGN_DTLS),
        "DTLS alert": (ALERT, Drop.FOREIGN_DTLS),
        "DTLS close_notify": (CLOSE_NOTIFY, Drop.FOREIGN_DTLS),
        "RTP": (RTP, Drop.FOREIGN_MEDIA),
        "RTCP": (RTCP, Drop.FOREIGN_MEDIA),
        "RTCP goodbye": (GOODBYE, Drop.FOREIGN_MEDIA),
        "STUN for nobody": (b"\0\1\0\0" + b"\x21\x12\xa4\x42" + bytes(12), Drop.STUN_WRONG_USER),
        "STUN for another call": (check("stranger:theirs", "x" * 22), Drop.STUN_WRONG_USER),
        "STUN without a signature": (check(ours), Drop.STUN_UNSIGNED),
        "STUN with a wrong signature": (check(ours, "x" * 22), Drop.STUN_UNSIGNED),
        "STUN with an attribute too long": (with_attribute(check(ours), 0x0025, b"", claims=900), Drop.STUN_MALFORMED),
        "STUN with a demand": (with_attribute(check(ours), 0x7FFF, b"demand!!"), Drop.STUN_UNKNOWN_DEMAND),
        "STUN answer": (error_answer(487), Drop.STUN_UNASKED),
        "STUN answer with our name": (
            with_attribute(error_answer(487), 0x8022, ours.encode() + b"\0" * (-len(ours) % 4)),
            Drop.STUN_UNASKED,
        ),
    }
