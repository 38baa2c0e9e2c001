"""Who knocks: the visitor behind a connection, and behind the proxies that we were told to trust."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import h11
import msgspec

Network = IPv4Network | IPv6Network


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """What a request tells of its sender."""

    #: Network address, IPv4 in its own form also where it came over an IPv6 socket.
    address: str
    #: ``http`` or ``https``, as the visitor sees it.
    scheme: str
    #: Host as the visitor named it, None where it named none.
    host: str | None
    origin: str | None
    #: Path without the query.
    path: str


def visitor_of(request: h11.Request, peer: str, trusted: Sequence[Network]) -> Visitor:
    """The visitor who sent ``request`` over a connection from ``peer``.

    ``X-Forwarded-*`` counts only from a trusted proxy: then the visitor is the last one in the list of hops that is
    not itself trusted, because everything before that is hearsay.
    """
    headers = {name: value.decode("latin-1") for name, value in request.headers}
    address, scheme, host = peer, "http", headers.get(b"host")
    if is_trusted(peer, trusted):
        hops = [hop.strip() for name, value in request.headers if name == b"x-forwarded-for" for hop in _split(value)]
        address = next((hop for hop in reversed(hops) if not is_trusted(hop, trusted)), peer)
        if headers.get(b"x-forwarded-proto", "").lower() in {"http", "https"}:
            scheme = headers[b"x-forwarded-proto"].lower()
        host = headers.get(b"x-forwarded-host", host)
    return Visitor(
        address=plain_address(address),
        scheme=scheme,
        host=host,
        origin=headers.get(b"origin"),
        path=request.target.decode("latin-1").partition("?")[0],
    )


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether ``address`` is in one of the trusted networks; what is no address is not."""
    try:
        parsed = ip_address(plain_address(address))
    except ValueError:
        return False
    return any(parsed in network for network in trusted)


def plain_address(address: str) -> str:
    """``address`` without the IPv6 form of IPv4 (``::ffff:192.0.2.1``) and without a zone."""
    bare = address.partition("%")[0]
    return bare.removeprefix("::ffff:") if "." in bare else bare


def _split(value: bytes) -> list[str]:
    return value.decode("latin-1").split(",")
