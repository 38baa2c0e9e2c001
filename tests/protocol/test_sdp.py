"""The reading of offers: real ones pass, bad ones get their reason, nothing else is ever raised.

The offers of Chromium and aiortc in ``offers/`` were recorded; those named ``_form`` are written by hand in the form
of their browser.
"""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offhook.protocol.candidates import Candidate, check_candidate, is_private
from offhook.protocol.errors import Code, Reason, Refusal
from offhook.protocol.sdp import LEVEL, MAX_BYTES, check_answer, check_offer

OFFERS = {path.stem: path.read_bytes().decode() for path in sorted((Path(__file__).parent / "offers").glob("*.sdp"))}
PLAIN = OFFERS["chromium_audio"]


def refusal(sdp: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_offer(sdp)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


def without(name: str, sdp: str = PLAIN) -> str:
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(f"a={name}"))


@pytest.mark.parametrize("name", OFFERS)
def test_offers_of_browsers_are_taken(name: str) -> None:
    offer = check_offer(OFFERS[name], allow_loopback=True, allow_private=True)
    assert offer.sections[offer.audio].kind == "audio"
    assert offer.setup == "actpass"
    assert offer.direction == "sendrecv"
    assert offer.bundled
    assert offer.fingerprints[0].algorithm == "sha-256"
    assert f"a=rtpmap:{offer.opus} opus/48000/2" in OFFERS[name]


def test_the_facts_of_an_offer() -> None:
    offer = check_offer(PLAIN, allow_loopback=True)
    assert (offer.mid, offer.opus, offer.digits, offer.digits_rate) == ("0", 111, 110, 48000)
    assert (offer.ufrag, offer.pwd) == ("mGgw", "TbQuqaaJHTUoEbKcXymxfny4")
    assert [c.address for c in offer.candidates] == ["127.0.0.1", "::1"]
    assert not offer.candidates_done


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (f"a=extmap:3 {LEVEL}", 3),
        (f"a=extmap:14/sendonly {LEVEL} vad=on", 14),
        (f"a=extmap:2/recvonly {LEVEL}", None),
        (f"a=extmap:15 {LEVEL}", None),
        (f"a=extmap:0 {LEVEL}", None),
        ("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid", None),
        ("a=extmap:x", None),
        ("a=extmap", None),
    ],
)
def test_the_level_of_packets_is_taken_where_the_caller_sends_it(line: str, level: int | None) -> None:
    offer = without("extmap:")
    assert check_offer(PLAIN).level == 1
    assert check_offer(offer).level is None
    assert check_offer(offer.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{line}\r\n")).level == level


def test_extra_sections_are_kept_for_refusing_them() -> None:
    offer = check_offer(OFFERS["chromium_all"])
    assert [(s.kind, s.mid) for s in offer.sections] == [("audio", "0"), ("video", "1"), ("application", "2")]
    assert offer.audio == 0


def test_session_attributes_hold_for_the_section() -> None:
    assert check_offer(OFFERS["firefox_form"]).fingerprints[0].value.startswith("4C:8D")
    assert check_offer(OFFERS["firefox_form"]).candidates_done


@pytest.mark.parametrize("word", ["sendonly", "recvonly", "inactive"])
def test_the_answer_looks_the_other_way(word: str) -> None:
    mirrored = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}[word]
    assert check_offer(PLAIN.replace("a=sendrecv", f"a={word}")).direction == mirrored


VIDEO_ONLY = PLAIN.replace("m=audio", "m=video")
BAD = {
    "empty": ("", Reason.SDP_INVALID, 1),
    "garbage": ("hello world", Reason.SDP_INVALID, 1),
    "not sdp": ('{"sdp": 1}', Reason.SDP_INVALID, 1),
    "session only": ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", Reason.SDP_NO_AUDIO, None),
    "bad line": (PLAIN.replace("a=sendrecv", "sendrecv"), Reason.SDP_INVALID, 29),
    "NUL": (PLAIN.replace("s=-", "s=\0"), Reason.SDP_INVALID, 3),
    "lone surrogate": (PLAIN.replace("s=-", "s=\ud800"), Reason.SDP_INVALID, 3),
    "blank line": (PLAIN.replace("s=-", ""), Reason.SDP_INVALID, 3),
    "bad m-line": (PLAIN.replace("m=audio 54630", "m=audio x"), Reason.SDP_INVALID, 8),
    "port": (PLAIN.replace("m=audio 54630", "m=audio 70000"), Reason.SDP_INVALID, 8),
    "payload type 300": (PLAIN.replace("SAVPF 111", "SAVPF 300"), Reason.SDP_INVALID, 8),
    "payload type word": (PLAIN.replace("SAVPF 111", "SAVPF x"), Reason.SDP_INVALID, 8),
    "rtpmap": (PLAIN.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus"), Reason.SDP_INVALID, 34),
    "no ufrag": (without("ice-ufrag"), Reason.SDP_INVALID, 8),
    "no pwd": (without("ice-pwd"), Reason.SDP_INVALID, 8),
    "short pwd": (PLAIN.replace("TbQuqaaJHTUoEbKcXymxfny4", "short"), Reason.SDP_INVALID, 20),
    "no rtcp-mux": (without("rtcp-mux"), Reason.SDP_INVALID, 8),
    "no setup": (without("setup"), Reason.SDP_INVALID, 8),
    "bogus setup": (PLAIN.replace("setup:actpass", "setup:bogus"), Reason.SDP_INVALID, 23),
    "bad fingerprint": (PLAIN.replace("06:AE", "06AE"), Reason.SDP_INVALID, 22),
    "bad mid": (PLAIN.replace("a=mid:0", "a=mid:a b"), Reason.SDP_INVALID, 24),
    "same mid twice": (OFFERS["chromium_all"].replace("a=mid:1", "a=mid:0"), Reason.SDP_INVALID, 178),
    "too large": (PLAIN + "a=x:" + "x" * MAX_BYTES, Reason.SDP_TOO_LARGE, None),
    "too large in bytes": (PLAIN + "a=x:" + "é" * (MAX_BYTES // 2), Reason.SDP_TOO_LARGE, None),
    "video only": (VIDEO_ONLY, Reason.SDP_NO_AUDIO, None),
    "audio switched off": (PLAIN.replace("m=audio 54630", "m=audio 0"), Reason.SDP_NO_AUDIO, None),
    "no opus": (PLAIN.replace("opus/48000/2", "L16/48000/2"), Reason.SDP_NO_OPUS, 8),
    "five sections": (PLAIN + "m=audio 9 RTP/AVP 0\r\n" * 4, Reason.SDP_TOO_MANY_MEDIA, None),
    "no fingerprint": (without("fingerprint"), Reason.SDP_MISSING_FINGERPRINT, 8),
    "sha-1": (PLAIN.replace("sha-256", "sha-1"), Reason.SDP_WEAK_FINGERPRINT, 22),
    "md5": (PLAIN.replace("sha-256", "md5"), Reason.SDP_WEAK_FINGERPRINT, 22),
    "plain RTP": (PLAIN.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), Reason.SDP_INSECURE_PROFILE, 8),
    "SDES": (PLAIN.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), Reason.SDP_INSECURE_PROFILE, 8),
    "many candidates": (
        PLAIN + "a=candidate:1 1 udp 1 8.8.8.8 2000 typ host\r\n" * 24,
        Reason.TOO_MANY_CANDIDATES,
        None,
    ),
    "a thousand candidates": (PLAIN + "a=candidate:1\r\n" * 900, Reason.TOO_MANY_CANDIDATES, None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_offers_get_their_reason(name: str) -> None:
    sdp, reason, line = BAD[name]
    found = refusal(sdp)
    assert (found.reason, found.extra.get("line")) == (reason, line)
    assert len(found.message) > 10


def test_bundle_only_audio_is_alive() -> None:
    sdp = PLAIN.replace("m=audio 54630", "m=audio 0").replace("a=mid:0", "a=mid:0\r\na=bundle-only")
    assert check_offer(sdp).opus == 111


def test_lines_may_end_in_a_bare_newline() -> None:
    assert check_offer(PLAIN.replace("\r\n", "\n")) == check_offer(PLAIN)


GOOD = "a=candidate:1 1 udp 2122260223 8.8.4.4 51472 typ host generation 0"


@pytest.mark.parametrize("text", [GOOD, GOOD.removeprefix("a="), GOOD.removeprefix("a=candidate:")])
def test_a_good_candidate(text: str) -> None:
    assert check_candidate(text) == Candidate("1", 2122260223, "8.8.4.4", 51472, "host")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        GOOD.replace(" 1 udp", " 2 udp"),
        GOOD.replace("udp", "tcp"),
        GOOD.replace("51472", "80"),
        GOOD.replace("51472", "65536"),
        GOOD.replace("51472", "-1"),
        GOOD.replace("2122260223", "4294967296"),
        GOOD.replace("typ host", "typ evil"),
        *(
            GOOD.replace("8.8.4.4", address)
            for address in (
                "example.org",
                "5f0c.local",
                "224.0.0.1",
                "ff02::1",
                "169.254.169.254",
                "169.254.1.1",
                "fe80::1",
                "fe80::1%eth0",
                "0.0.0.0",
                "::",
                "255.255.255.255",
                "240.0.0.1",
                "192.0.2.1",
                "100.100.100.200",
                "fd00:ec2::254",
                "::ffff:169.254.169.254",
                "::10.0.0.1",
                "::8.8.4.4",
                "64:ff9b::a00:1",
                "64:ff9b:1::a00:1",
                "2002:a00:1::1",
                "2001:0:a00:1::1",
                "0x7f.1",
                "2130706433",
            )
        ),
    ],
)
def test_candidates_that_are_dropped_always(text: str) -> None:
    assert check_candidate(text, allow_loopback=True, allow_private=True) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_for_who_offers_it(address: str) -> None:
    text = GOOD.replace("8.8.4.4", address)
    assert check_candidate(text, allow_private=True) is None
    found = check_candidate(text, allow_loopback=True)
    assert found is not None and found.address in {address, "127.0.0.1"}


@pytest.mark.parametrize("address", ["10.1.2.3", "172.20.0.1", "192.168.1.7", "100.64.0.9", "fd12::5"])
def test_private_addresses_are_for_who_offers_them(address: str) -> None:
    text = GOOD.replace("8.8.4.4", address)
    assert is_private(address)
    assert check_candidate(text, allow_loopback=True) is None
    assert check_candidate(text, allow_private=True) is not None


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@example("v=0\r\nm=")
@example("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF ²")
def test_garbage_raises_refusals_only(text: str) -> None:
    with pytest.raises(Refusal):
        check_offer(text)
    assert check_candidate(text) is None


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real offer with a few lines or characters dropped, doubled, swapped or overwritten."""
    lines = draw(st.sampled_from(list(OFFERS.values()))).split("\r\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        what = draw(st.integers(0, 4))
        if what == 0 and len(lines) > 1:
            del lines[at]
        elif what == 1:
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        elif what == 2:
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))] + draw(st.text(max_size=12))
        elif what == 3:
            lines[at] = lines[at].replace(draw(st.sampled_from("0123456789 :/abc")), draw(st.text(max_size=3)))
        else:
            lines[at] = lines[at] * draw(st.integers(1, 3))
    return "\r\n".join(lines)


@given(mutated(), st.booleans())
def test_mutated_offers_are_taken_or_refused(sdp: str, allow: bool) -> None:
    try:
        offer = check_offer(sdp, allow_loopback=allow, allow_private=allow)
    except Refusal:
        return
    assert 0 <= offer.opus <= 127
    assert len(offer.candidates) <= 24
    assert offer.fingerprints


# ── answers to offers of ours ──────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_has_the_same_facts_and_decides_the_role() -> None:
    answer = PLAIN.replace("a=setup:actpass", "a=setup:active")
    assert check_answer(answer, allow_loopback=True) == check_offer(answer, allow_loopback=True)
    with pytest.raises(Refusal) as open_role:
        check_answer(PLAIN)
    assert open_role.value.reason is Reason.SDP_INVALID
    with pytest.raises(Refusal) as more:
        check_answer(OFFERS["chromium_all"].replace("a=setup:actpass", "a=setup:active"))
    assert more.value.reason is Reason.SDP_TOO_MANY_MEDIA
