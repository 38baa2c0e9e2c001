"""The STUN and TURN servers a browser is told of, with short-lived credentials for TURN.

Credentials follow "A REST API for Access to TURN Services" (draft-uberti-behave-turn-rest-00), which servers know as
``use-auth-secret``: the TURN server checks them with a shared secret and needs no list of users.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

import msgspec

#: Seconds for which TURN credentials count: longer than any call's set-up. Relays that are in use go on after it.
TURN_TTL = 3600

#: RFC 7064 3.1 and RFC 7065 3.1; only TURN addresses name a transport.
_URL = re.compile(
    r"(?:stuns?|(?P<turn>turns?)):(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
    r"(?(turn)(?:\?transport=(?:udp|tcp))?)",
    re.ASCII,
)


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of ``iceServers``, as ``RTCPeerConnection`` takes it."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


def parse_ice_url(text: str) -> str:
    """A STUN or TURN address as it was written. Raises ``ValueError`` with a sentence."""
    found = _URL.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 3478) < 65536:
        raise ValueError(
            f"{text!r} is not a STUN or TURN address, such as stun:stun.example.org:3478 or "
            "turns:turn.example.org:5349?transport=tcp."
        )
    return text


def is_turn(url: str) -> bool:
    """Whether an address is of a TURN server, which wants credentials."""
    return url.startswith("turn")


def stun_server(urls: Iterable[str]) -> tuple[str, int] | None:
    """Host and port of the first STUN server that speaks UDP in the clear (RFC 7064 3.2); None without one."""
    for url in urls:
        found = _URL.fullmatch(url)
        if found is not None and url.startswith("stun:"):
            host = url.removeprefix("stun:")
            if found["port"] is not None:
                host = host.removesuffix(f":{found['port']}")
            return host.strip("[]"), int(found["port"] or 3478)
    return None


def ice_servers(urls: Iterable[str], *, secret: str | None, name: str, now: float) -> tuple[IceServer, ...]:
    """What a browser is told: STUN as it is, TURN with credentials for ``name`` from ``now`` (seconds since the epoch).

    Without a ``secret`` TURN is left out: browsers refuse an address of TURN without credentials altogether.
    """
    urls = tuple(urls)
    stun = tuple(url for url in urls if not is_turn(url))
    turn = tuple(url for url in urls if is_turn(url))
    servers = (IceServer(stun),) if stun else ()
    if not turn or secret is None:
        return servers
    username = f"{int(now) + TURN_TTL}:{name}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return (*servers, IceServer(turn, username, base64.b64encode(digest).decode()))
