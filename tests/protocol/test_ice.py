"""What browsers are told of STUN and TURN servers (G9)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.ice import TURN_TTL, IceServer, ice_servers, parse_ice_url, stun_server

STUN = "stun:stun.example.org:3478"
TURN = "turn:turn.example.org:3478?transport=udp"
TURNS = "turns:[2001:db8::1]:5349?transport=tcp"


def test_turn_has_credentials_for_an_hour_and_stun_has_none() -> None:
    servers = ice_servers([TURN, STUN, TURNS], secret="north", name="call-1", now=1_795_180_000.7)
    # printf %s 1795183600:call-1 | openssl dgst -sha1 -hmac north -binary | base64
    turn = IceServer((TURN, TURNS), "1795183600:call-1", "r34oKYTzQHtRnrHDCqDJhlTrFHI=")
    assert servers == (IceServer((STUN,)), turn)
    assert TURN_TTL == 3600


def test_a_browser_takes_them_as_they_are() -> None:
    servers = ice_servers([STUN], secret=None, name="call-1", now=0.0)
    assert msgspec.json.encode(servers) == b'[{"urls":["stun:stun.example.org:3478"]}]'


def test_nothing_configured_is_nothing_told() -> None:
    assert ice_servers([], secret="north", name="call-1", now=0.0) == ()


def test_turn_without_a_secret_is_not_told() -> None:
    assert ice_servers([TURN, STUN], secret=None, name="call-1", now=0.0) == (IceServer((STUN,)),)


@given(st.text(), st.text(), st.text())
def test_another_secret_or_name_is_another_credential(secret: str, other: str, name: str) -> None:
    (one,) = ice_servers([TURN], secret=f"{secret}1", name=name, now=0.0)
    (two,) = ice_servers([TURN], secret=f"{other}2", name=name, now=0.0)
    (later,) = ice_servers([TURN], secret=f"{secret}1", name=name, now=1.0)
    assert len({one.credential, two.credential, later.credential}) == 3


@pytest.mark.parametrize("url", [STUN, TURN, TURNS, "stuns:s.example", "turn:10.0.0.1", "stun:[::1]"])
def test_addresses_that_are_taken(url: str) -> None:
    assert parse_ice_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stun.example.org:3478",
        "stun://stun.example.org",
        "http://stun.example.org",
        "stun:",
        "stun:a:0",
        "stun:a:65536",
        "stun:a:b",
        "stun:2001:db8::1",
        "stun:a?transport=udp",
        "turn:a?transport=tls",
        "turn:a?transport=udp&x=1",
        "turn:user@a",
        "turn:a b",
        "turn:a\n",
        "turn:ä",
    ],
)
def test_addresses_that_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not a STUN or TURN address, such as"):
        parse_ice_url(url)


@pytest.mark.parametrize(
    ("urls", "server"),
    [
        ([], None),
        ([TURN, "stuns:s.example"], None),
        ([TURN, STUN, "stun:second"], ("stun.example.org", 3478)),
        (["stun:s.example"], ("s.example", 3478)),
        (["stun:[2001:db8::1]:99"], ("2001:db8::1", 99)),
        (["stun:[::1]"], ("::1", 3478)),
    ],
)
def test_the_server_a_voice_node_asks(urls: list[str], server: tuple[str, int] | None) -> None:
    assert stun_server(urls) == server
