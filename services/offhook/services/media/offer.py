"""The SDP offer of ours, for callers who leave it to the server: one audio section with Opus (S2)."""

import secrets
from collections.abc import Sequence

from offhook.protocol.sdp import LEVEL, PROFILE
from offhook.services.media.answer import OPUS_FORMAT

#: Payload types, those that browsers use themselves.
_OPUS, _DIGITS, _DIGITS_8K = 111, 110, 126
#: Id of the header extension that tells how loud a packet is.
_LEVEL = 1


def write_offer(transport: Sequence[str], ssrc: int) -> str:
    """An offer; ``transport`` are the lines that describe our end of the path."""
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=msid-semantic: WMS offhook",
        f"m=audio 9 {PROFILE} {_OPUS} {_DIGITS} {_DIGITS_8K}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=mid:0",
        f"a=extmap:{_LEVEL}/recvonly {LEVEL}",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{_OPUS} opus/48000/2",
        f"a=fmtp:{_OPUS} {OPUS_FORMAT}",
        f"a=rtpmap:{_DIGITS} telephone-event/48000",
        f"a=fmtp:{_DIGITS} 0-15",
        f"a=rtpmap:{_DIGITS_8K} telephone-event/8000",
        f"a=fmtp:{_DIGITS_8K} 0-15",
        "a=ptime:20",
        "a=msid:offhook voice",
        f"a=ssrc:{ssrc} cname:offhook",
        *transport,
        # The answerer takes the active role and so saves a round trip (RFC 8842 5.2).
        "a=setup:actpass",
    ]
    return "\r\n".join(lines) + "\r\n"
