"""Webhooks: where they may go, how they are signed, when they are sent again, and what they are told."""

import ipaddress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.call import Call, LogEntry
from offhook.protocol.record import Progress, advance, fold_record
from offhook.protocol.webhooks import (
    GIVE_UP_AFTER,
    WEBHOOK_EVENTS,
    BadSignature,
    Told,
    UrlNotAllowed,
    WebhookUnfit,
    body_of,
    check_address,
    check_events,
    message_id,
    new_secret,
    parse_networks,
    read_target,
    sign,
    tell,
    verify,
    wait_after,
)
from offhook.simulation.call_logs import call_logs

# ── where they may go ──────────────────────────────────────────────────────────────────────────────────────────────

#: The list of the issue and its relatives: each must be refused.
NOT_ALLOWED = [
    # loopback, and this host, in every spelling
    "http://127.0.0.1/", "https://127.255.255.254/", "http://[::1]/", "http://0.0.0.0/", "http://[::]/",
    "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://0x7f.1/", "http://127.1/", "http://127.0.1/",
    "http://017700000001/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
    "http://１２７.0.0.1/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://127.0.0.1./", "http://0/", "http://0.0/",
    # metadata and link-local
    "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::1]/", "http://2852039166/",
    "http://[2001:0:a9fe:a9fe::1]/", "http://100.100.100.200/",
    # private and shared
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://100.64.0.1/",
    "http://[fd00::1]/", "http://[fc00::1]/", "http://[fec0::1]/", "http://[::ffff:10.0.0.1]/", "http://198.18.0.1/",
    # nobody's
    "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://192.0.2.1/", "http://198.51.100.1/",
    "http://203.0.113.1/", "http://192.88.99.1/", "http://[ff02::1]/", "http://[2001:db8::1]/", "http://192.0.0.170/",
    # schemes, users, ports, shapes
    "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "javascript:alert(1)", "//example.org/",
    "example.org",
    "https://user:pass@example.org/", "https://user@example.org/", "https://example.org@127.0.0.1/", "http://@127.0.0.1/",
    "https://example.org:22/", "https://example.org:25/", "https://example.org:6379/", "https://example.org:5432/",
    "https://example.org:0/", "https://example.org:65536/", "https://example.org:x/", "https://example.org:/",
    "https://example.org/#x", "https://", "https:///x", "https://ex ample.org/", "https://example.org/a b", "http://[::1",
    "https://example.org\\@127.0.0.1/", "https://example.org/\r\nHost: x", "https://example.org/\t", "\nhttps://example.org/",
    "https://exa\0mple.org/", "https://-a.org/", "https://a..b/", "https://.org/", f"https://{'a' * 64}.org/",
    "https://example.org/" + "x" * 2000, "https://[1.2.3.4]/", "https://1.2.3.4.5/", "https://a.1/", "https://256.1.1.1/",
]  # fmt: skip

ALLOWED = {
    "https://example.org": ("example.org", 443, "/"),
    "HTTPS://Example.ORG/Hook?x=1&y=2": ("example.org", 443, "/Hook?x=1&y=2"),
    "http://example.org.:8080/a": ("example.org", 8080, "/a"),
    "https://münchen.example/": ("xn--mnchen-3ya.example", 443, "/"),
    "https://8.8.8.8/": ("8.8.8.8", 443, "/"),
    "https://[2606:4700:4700::1111]:8443/x": ("2606:4700:4700::1111", 8443, "/x"),
    "https://[64:ff9b::808:808]/": ("64:ff9b::808:808", 443, "/"),
    "https://1.2.3.4.example.org/": ("1.2.3.4.example.org", 443, "/"),
}


@pytest.mark.parametrize("url", NOT_ALLOWED)
def test_a_url_that_leads_inside_or_nowhere_is_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        read_target(url)


@pytest.mark.parametrize("url", ALLOWED)
def test_a_url_of_the_web_is_taken_apart(url: str) -> None:
    target = read_target(url)
    assert (target.host, target.port, target.path) == ALLOWED[url]
    assert target.authority.startswith(("[", target.host))


def test_the_host_header_names_a_port_of_its_own() -> None:
    assert read_target("https://example.org:443/").authority == "example.org"
    assert read_target("http://example.org:443/").authority == "example.org:443"
    assert read_target("https://[2606:4700::1]:8443/").authority == "[2606:4700::1]:8443"


def test_the_operator_can_allow_a_network() -> None:
    allowed = parse_networks(["127.0.0.0/8", "fd00::/8"])
    for url in ("http://127.0.0.1:22/", "http://[fd00::1]/", "http://[::ffff:127.0.0.1]/"):
        assert read_target(url, allowed=allowed).url == url
    for url in (
        "http://10.0.0.1/",
        "http://[fe80::1]/",
        "http://127.1/",
        "ftp://127.0.0.1/",
        "https://example.org:22/",
    ):
        with pytest.raises(UrlNotAllowed):
            read_target(url, allowed=allowed)
    with pytest.raises(ValueError, match="no network"):
        parse_networks(["127.0.0.1/8"])


@given(st.ip_addresses())
def test_only_public_addresses_are_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """By the registry: whatever is not global, or carries another address, is refused."""
    try:
        check_address(address)
    except UrlNotAllowed:
        return
    assert address.is_global and not address.is_multicast and not address.is_loopback and not address.is_private


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://127.0.0.1", "https://[", "//"]))
def test_any_text_is_taken_apart_or_refused(text: str, begin: str) -> None:
    try:
        target = read_target(begin + text)
    except UrlNotAllowed:
        return
    assert target.host.isascii() and target.scheme in {"http", "https"} and target.path.startswith("/")


# ── signatures ─────────────────────────────────────────────────────────────────────────────────────────────────────

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def test_a_signature_is_what_the_standard_says() -> None:
    """The vector that the reference libraries of Standard Webhooks test with."""
    headers = sign([SECRET], id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=1614265330, body=BODY)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_both_secrets_sign_while_they_overlap() -> None:
    other = new_secret(b"x" * 32)
    headers = sign([other, SECRET], id="m", at=1000, body=BODY)
    for secret in (other, SECRET):
        verify(secret, headers, BODY, now=1000.0)
    with pytest.raises(BadSignature):
        verify(new_secret(b"y" * 32), headers, BODY, now=1000.0)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "n"}, {"webhook-timestamp": "1001"}, {"webhook-timestamp": "x"}, {"webhook-signature": "v1,"},
        {"webhook-signature": ""},
    ],
)  # fmt: skip
def test_what_was_changed_is_not_believed(change: dict[str, str]) -> None:
    headers = sign([SECRET], id="m", at=1000, body=BODY)
    verify(SECRET, headers, BODY, now=1299.0)
    for wrong, body, now in ((headers | change, BODY, 1000.0), (headers, BODY + b" ", 1000.0), (headers, BODY, 1301.0)):
        with pytest.raises(BadSignature):
            verify(SECRET, wrong, body, now=now)


# ── when ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.floats(0, 0.999), st.floats(0, 10))
def test_attempts_go_on_for_a_day_with_growing_waits(chance: float, took: float) -> None:
    now, attempts, waits = 1_000.0, 0, list[float]()
    while True:
        now, attempts = now + took, attempts + 1
        wait = wait_after(attempts, first_at=1_000.0, now=now, chance=chance)
        if wait is None:
            break
        waits.append(wait)
        now += wait
    assert waits == sorted(waits) and 5 <= waits[0] < 6.1
    assert 0.6 * GIVE_UP_AFTER < now - 1_000.0 <= GIVE_UP_AFTER + took


# ── what ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def told_by(entries: list[LogEntry]) -> list[Told]:
    progress, found = Progress(call=Call(id="c")), list[Told]()
    for entry in entries:
        gained = advance(progress, entry)
        assert gained is not None
        found += tell(entry, gained, answered_before=progress.call.answered_at is not None)
        progress = gained.progress
    return found


@given(call_logs("c"))
def test_each_thing_is_told_once_and_as_the_record_has_it(entries: list[LogEntry]) -> None:
    found, record = told_by(entries), fold_record("c", entries)
    events = [one.event for one in found]
    assert set(events) <= set(WEBHOOK_EVENTS)
    ids = [message_id(one) for one in found]
    assert len(set(ids)) == len(ids) and ids == [message_id(one) for one in told_by(entries)]
    if record.agent is None:
        assert not found
        return
    assert events.count("call.started") == 1
    assert events.count("call.answered") == (record.answered_at is not None)
    assert events.count("call.ended") == (record.state == "ended")
    lines = [one.data["line"]["text"] for one in found if one.event == "transcript.final"]
    assert lines == [line.text for line in record.transcript]


def test_a_body_is_what_the_standard_recommends() -> None:
    told = Told(
        event="call.started", call="c", workspace="w", at=1_790_000_000.25, data={"call": {"id": "c"}}, mark="1"
    )
    body: dict[str, Any] = msgspec.json.decode(body_of(told))
    assert body == {"type": "call.started", "timestamp": "2026-09-21T14:13:20.250000Z", "data": {"call": {"id": "c"}}}


def test_events_that_are_none_are_refused() -> None:
    assert check_events(["call.ended", "call.started", "call.ended"]) == ("call.started", "call.ended")
    with pytest.raises(WebhookUnfit, match=r"transcript\.final"):
        check_events(["call.end"])
