"""The caller's SDP offer: what is taken from it, and every way to refuse it.

The offer is read once, in time linear in its bounded length, into the few facts that a call needs; whatever else
it says (video, data channels, other header extensions and codecs) is answered by not being accepted. So nothing a peer
wrote reaches a media library except through the fields of ``Offer``.

References: RFC 8866 (SDP), RFC 9143 (BUNDLE), RFC 8839 (ICE in SDP), RFC 8842 (DTLS in SDP), RFC 7587 (Opus), RFC 8285
and RFC 6464 (how loud packets are).
"""

import re
from typing import NoReturn

import msgspec

from offhook.protocol.candidates import Candidate, check_candidate
from offhook.protocol.errors import Reason, Refusal

__all__ = ["Candidate", "Fingerprint", "Offer", "Section", "check_answer", "check_candidate", "check_offer"]

MAX_BYTES = 16 * 1024
MAX_MEDIA = 4
MAX_CANDIDATES = 24

#: The header extension that tells how loud a packet is (RFC 6464).
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
PROFILE = "UDP/TLS/RTP/SAVPF"
#: Hashes strong enough to pin a certificate with, and the length of their fingerprint in bytes (RFC 8122 5).
STRONG = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
#: The direction to answer with (RFC 3264 6.1).
DIRECTIONS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
SETUPS = frozenset({"actpass", "active", "passive"})

_MEDIA = re.compile(
    r"m=([a-z]{1,16}) ([0-9]{1,5})(?:/[0-9]{1,5})? ([A-Za-z0-9/]{1,32}) ([!-~]{1,64}(?: [!-~]{1,64}){0,127})"
)
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
_RTPMAP = re.compile(r"([0-9]{1,3}) ([A-Za-z0-9._-]{1,64})/([0-9]{1,6})(?:/([0-9]{1,2}))?")
_EXTMAP = re.compile(r"([0-9]{1,2})(?:/(sendrecv|sendonly|recvonly|inactive))? (\S{1,256})(?: .*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Fingerprint(msgspec.Struct, frozen=True):
    """Hash of the caller's certificate: ``sha-256`` and upper-case hex pairs joined by colons."""

    algorithm: str
    value: str


class Section(msgspec.Struct, frozen=True):
    """One m-section as far as an answer must repeat it to refuse it (RFC 3264 6)."""

    kind: str
    profile: str
    formats: str
    mid: str | None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call takes from an offer."""

    #: Every m-section in order; ``audio`` is the index of the one to accept.
    sections: tuple[Section, ...]
    audio: int
    ufrag: str
    pwd: str
    fingerprints: tuple[Fingerprint, ...]
    #: DTLS role the caller offers: ``actpass``, ``active`` or ``passive``.
    setup: str
    #: Direction to answer with, seen from us.
    direction: str
    #: Payload type of Opus, and of telephone-event (RFC 4733) with its clock rate if it is offered.
    opus: int
    digits: int | None
    digits_rate: int
    #: Id of the header extension that tells how loud a packet is, where the caller sends it.
    level: int | None
    candidates: tuple[Candidate, ...]
    #: Whether the caller said that no more candidates follow.
    candidates_done: bool
    #: Whether the audio section is in a BUNDLE group.
    bundled: bool

    @property
    def mid(self) -> str | None:
        """The name of the accepted section (RFC 5888), or None."""
        return self.sections[self.audio].mid


def check_answer(sdp: str, *, allow_loopback: bool = False, allow_private: bool = False) -> Offer:
    """Read the caller's answer to an offer of ours, which had one section: the same facts as in an offer.

    Raises ``Refusal`` as ``check_offer`` does, and ``sdp_invalid`` for an answer that leaves the DTLS role open
    (RFC 8842 5.3).
    """
    answer = check_offer(sdp, max_media=1, allow_loopback=allow_loopback, allow_private=allow_private)
    if answer.setup == "actpass":
        raise Refusal(Reason.SDP_INVALID, "An SDP answer says a=setup:active or a=setup:passive.")
    return answer


class _Lines:
    """The lines of one section (or of the session part): attributes by name, with their line numbers."""

    def __init__(self, head: str, number: int) -> None:
        self.head = head
        self.number = number
        self.attributes: dict[str, list[tuple[int, str]]] = {}

    def add(self, number: int, line: str) -> None:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            self.attributes.setdefault(name, []).append((number, value))

    def all(self, name: str) -> list[tuple[int, str]]:
        return self.attributes.get(name, [])

    def one(self, name: str, session: "_Lines") -> tuple[int, str] | None:
        """An attribute of the section, or of the session when the section has none (RFC 8866 5.13)."""
        found = self.all(name) or session.all(name)
        return found[0] if found else None


def check_offer(
    sdp: str,
    *,
    max_bytes: int = MAX_BYTES,
    max_media: int = MAX_MEDIA,
    max_candidates: int = MAX_CANDIDATES,
    allow_loopback: bool = False,
    allow_private: bool = False,
) -> Offer:
    """Read the caller's offer; unusable candidates are left out (see ``check_candidate``).

    Raises ``Refusal`` with an ``sdp_*`` reason or ``too_many_candidates``; ``line`` (from 1) is in its extra data
    where a line is to blame. Nothing else is raised, whatever ``sdp`` holds.
    """
    session, media = _split(sdp, max_bytes, max_media)
    sections = tuple(_section(m) for m in media)
    mids = [s.mid for s in sections if s.mid is not None]
    if len(set(mids)) < len(mids):
        _invalid(media[-1].number, "Two media sections have the same a=mid.")
    audio, opus = _choose_audio(media, sections)
    chosen = media[audio]
    # Sections that are refused do not count: a browser repeats every candidate in each section.
    count = len(chosen.all("candidate"))
    if count > max_candidates:
        raise Refusal(
            Reason.TOO_MANY_CANDIDATES,
            f"Offer at most {max_candidates} ICE candidates.",
            count=count,
            limit=max_candidates,
        )
    digits, digits_rate = _digits(chosen, sections[audio])
    ufrag = _matching("ice-ufrag", _UFRAG, chosen, session)
    pwd = _matching("ice-pwd", _PWD, chosen, session)
    fingerprints = _fingerprints(chosen, session)
    found = (
        check_candidate(value, allow_loopback=allow_loopback, allow_private=allow_private)
        for _, value in chosen.all("candidate")
    )
    groups = [value.split() for _, value in session.all("group")]
    return Offer(
        sections=sections,
        audio=audio,
        ufrag=ufrag,
        pwd=pwd,
        fingerprints=fingerprints,
        setup=_setup(chosen, session),
        direction=_direction(chosen, session),
        opus=opus,
        digits=digits,
        digits_rate=digits_rate,
        level=_level(chosen),
        candidates=tuple(candidate for candidate in found if candidate is not None),
        candidates_done=bool(chosen.all("end-of-candidates") or session.all("end-of-candidates")),
        bundled=any(g[:1] == ["BUNDLE"] and sections[audio].mid in g[1:] for g in groups),
    )


def _invalid(line: int, message: str) -> NoReturn:
    raise Refusal(Reason.SDP_INVALID, message, line=line)


def _split(sdp: str, max_bytes: int, max_media: int) -> tuple[_Lines, list[_Lines]]:
    if len(sdp) > max_bytes or len(sdp.encode("utf-8", "surrogatepass")) > max_bytes:
        raise Refusal(Reason.SDP_TOO_LARGE, f"The SDP offer may have at most {max_bytes} bytes.", limit=max_bytes)
    lines = [line.removesuffix("\r") for line in sdp.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0] != "v=0":
        _invalid(1, "An SDP offer begins with v=0.")
    session = _Lines(lines[0], 1)
    media: list[_Lines] = []
    for number, line in enumerate(lines, 1):
        if len(line) < 2 or line[1] != "=" or not ("a" <= line[0] <= "z") or "\r" in line or _CONTROL.search(line):
            _invalid(number, "A line of SDP is a lower-case letter, an equals sign and text.")
        if line.startswith("m="):
            media.append(_Lines(line, number))
        else:
            (media[-1] if media else session).add(number, line)
    if len(media) > max_media:
        raise Refusal(
            Reason.SDP_TOO_MANY_MEDIA, f"Offer at most {max_media} media sections.", count=len(media), limit=max_media
        )
    return session, media


def _section(lines: _Lines) -> Section:
    match = _MEDIA.fullmatch(lines.head)
    if match is None or int(match[2]) > 65535:
        _invalid(lines.number, "The m= line is malformed.")
    mid = lines.all("mid")
    if mid and _MID.fullmatch(mid[0][1]) is None:
        _invalid(mid[0][0], "The value of a=mid is malformed.")
    return Section(kind=match[1], profile=match[3], formats=match[4], mid=mid[0][1] if mid else None)


def _choose_audio(media: list[_Lines], sections: tuple[Section, ...]) -> tuple[int, int]:
    """Index of the audio section to accept and its Opus payload type."""
    # Port 0 without a=bundle-only is a section that the caller has switched off (RFC 9143 6).
    alive = [
        i
        for i, section in enumerate(sections)
        if section.kind == "audio" and (media[i].head.split()[1] != "0" or media[i].all("bundle-only"))
    ]
    if not alive:
        raise Refusal(Reason.SDP_NO_AUDIO, "The offer has no audio; add a microphone track or an audio transceiver.")
    secure = [i for i in alive if sections[i].profile == PROFILE]
    if not secure:
        profile = sections[alive[0]].profile
        raise Refusal(
            Reason.SDP_INSECURE_PROFILE,
            f"Audio must be offered as {PROFILE}.",
            profile=profile,
            line=media[alive[0]].number,
        )
    for i in secure:
        for pt, name, rate, channels, _ in _codecs(media[i], sections[i]):
            if (name, rate, channels) == ("opus", 48000, 2):
                return i, pt
    raise Refusal(Reason.SDP_NO_OPUS, "The offer has no Opus (opus/48000/2).", line=media[secure[0]].number)


def _codecs(lines: _Lines, section: Section) -> list[tuple[int, str, int, int, int]]:
    """Payload type, name, clock rate, channels and line of every format that is mapped, in order of preference."""
    order = []
    for text in section.formats.split():
        # A payload type has seven bits (RFC 3550 5.1).
        if not (text.isdigit() and len(text) <= 3 and int(text) <= 127):
            _invalid(lines.number, "A payload type is a number from 0 to 127.")
        order.append(int(text))
    found = {}
    for number, value in lines.all("rtpmap"):
        match = _RTPMAP.fullmatch(value.strip())
        if match is None or int(match[1]) > 127:
            _invalid(number, "The a=rtpmap line is malformed.")
        found[int(match[1])] = (int(match[1]), match[2].lower(), int(match[3]), int(match[4] or 1), number)
    return [found[pt] for pt in order if pt in found]


def _digits(lines: _Lines, section: Section) -> tuple[int | None, int]:
    """Payload type and clock rate of telephone-event; the rate of Opus is preferred, as it shares its timestamps."""
    offered = [(rate, pt) for pt, name, rate, _, _ in _codecs(lines, section) if name == "telephone-event"]
    best = max(offered, default=None)
    return (None, 0) if best is None else (best[1], best[0])


def _level(lines: _Lines) -> int | None:
    """The id under which the caller tells how loud its packets are; ids of one byte only (RFC 8285 4.2, 5)."""
    for _, value in lines.all("extmap"):
        match = _EXTMAP.fullmatch(value)
        if match and match[3] == LEVEL and match[2] in (None, "sendrecv", "sendonly") and 1 <= int(match[1]) <= 14:
            return int(match[1])
    return None


def _matching(name: str, pattern: re.Pattern[str], lines: _Lines, session: _Lines) -> str:
    found = lines.one(name, session)
    if found is None:
        _invalid(lines.number, f"The audio section has no a={name}.")
    if pattern.fullmatch(found[1]) is None:
        _invalid(found[0], f"The value of a={name} is malformed.")
    return found[1]


def _fingerprints(lines: _Lines, session: _Lines) -> tuple[Fingerprint, ...]:
    offered = lines.all("fingerprint") or session.all("fingerprint")
    if not offered:
        raise Refusal(Reason.SDP_MISSING_FINGERPRINT, "The offer has no a=fingerprint.", line=lines.number)
    strong = []
    for number, value in offered:
        algorithm, _, digest = value.partition(" ")
        size = STRONG.get(algorithm.lower())
        if size is None:
            continue
        if re.fullmatch(rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{size - 1}}}", digest.strip()) is None:
            _invalid(number, "The value of a=fingerprint is malformed.")
        strong.append(Fingerprint(algorithm.lower(), digest.strip().upper()))
    if not strong:
        raise Refusal(
            Reason.SDP_WEAK_FINGERPRINT, f"Offer a fingerprint with one of {', '.join(STRONG)}.", line=offered[0][0]
        )
    return tuple(strong)


def _setup(lines: _Lines, session: _Lines) -> str:
    if not lines.all("rtcp-mux"):
        _invalid(lines.number, "The audio section has no a=rtcp-mux.")
    found = lines.one("setup", session)
    if found is None:
        _invalid(lines.number, "The audio section has no a=setup.")
    if found[1] not in SETUPS:
        _invalid(found[0], "a=setup must be actpass, active or passive.")
    return found[1]


def _direction(lines: _Lines, session: _Lines) -> str:
    for part in (lines, session):
        for name, answer in DIRECTIONS.items():
            if part.all(name):
                return answer
    return "sendrecv"
