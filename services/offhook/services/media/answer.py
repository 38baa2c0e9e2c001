"""The SDP answer: one audio section with Opus, everything else refused."""

import secrets
from collections.abc import Sequence

from offhook.protocol.sdp import LEVEL, PROFILE, Offer, Section

#: 20 ms packets, in-band FEC, mono: what a voice needs and no more (RFC 7587 6.1).
OPUS_FORMAT = "minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate=40000"


def write_answer(offer: Offer, transport: Sequence[str], ssrc: int) -> str:
    """The answer to ``offer``; ``transport`` are the lines that describe our end of the path."""
    lines = ["v=0", f"o=- {secrets.randbits(62)} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if offer.bundled and offer.mid is not None:
        lines.append(f"a=group:BUNDLE {offer.mid}")
    lines.append("a=msid-semantic: WMS offhook")
    for index, section in enumerate(offer.sections):
        lines += _accepted(offer, section, transport, ssrc) if index == offer.audio else _refused(section)
    return "\r\n".join(lines) + "\r\n"


def _refused(section: Section) -> list[str]:
    """Port 0 refuses a section; its formats are repeated because the line must have some (RFC 3264 6)."""
    lines = [f"m={section.kind} 0 {section.profile} {section.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return lines


def _accepted(offer: Offer, section: Section, transport: Sequence[str], ssrc: int) -> list[str]:
    formats = str(offer.opus) if offer.digits is None else f"{offer.opus} {offer.digits}"
    lines = [f"m=audio 9 {PROFILE} {formats}", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    if offer.level is not None:
        lines.append(f"a=extmap:{offer.level}/recvonly {LEVEL}")
    lines += [f"a={offer.direction}", "a=rtcp-mux", f"a=rtpmap:{offer.opus} opus/48000/2"]
    lines.append(f"a=fmtp:{offer.opus} {OPUS_FORMAT}")
    if offer.digits is not None:
        lines += [f"a=rtpmap:{offer.digits} telephone-event/{offer.digits_rate}", f"a=fmtp:{offer.digits} 0-15"]
    lines += ["a=ptime:20", "a=msid:offhook voice", f"a=ssrc:{ssrc} cname:offhook"]
    # Whoever is active sends the first flight; being it saves a round trip (RFC 8842 5.3).
    setup = "passive" if offer.setup == "active" else "active"
    return [*lines, *transport, f"a=setup:{setup}"]
