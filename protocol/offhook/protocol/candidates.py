"""ICE candidates of a caller: which of them a server may send to.

A candidate is an address that the peer names and that we then send STUN to, so an unchecked one makes the server probe
whatever the peer likes (RFC 8445 19.5.1). What is dropped here is no loss for honest callers: they check *us*, and
the address their check comes from becomes a peer-reflexive candidate (RFC 8445 7.3.1.3).
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

#: Addresses of private and carrier-grade NAT networks (RFC 1918, RFC 6598, RFC 4193).
PRIVATE = tuple(ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
#: IPv6 addresses that lead to an IPv4 address of the peer's choice, where somebody translates: compatible ones, NAT64
#: (RFC 6052, RFC 8215), Teredo and 6to4 (RFC 4380, RFC 3056).
TRANSLATED = tuple(ip_network(n) for n in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"))
#: Where clouds answer with credentials; refused even in a private network. 169.254.169.254 is link-local already.
METADATA = frozenset(map(ip_address, ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
#: Longest candidate line that is looked at, characters.
MAX_LENGTH = 512
TYPES = frozenset({"host", "srflx", "prflx", "relay"})


class Candidate(msgspec.Struct, frozen=True):
    """One usable remote candidate: UDP, component 1 (RTCP is multiplexed)."""

    foundation: str
    priority: int
    #: Canonical text of an IPv4 or IPv6 address.
    address: str
    port: int
    type: str


def check_candidate(text: str, *, allow_loopback: bool = False, allow_private: bool = False) -> Candidate | None:
    """The candidate in ``text`` (with or without ``a=`` and ``candidate:``), or None when it is to be dropped.

    Dropped: what is no candidate (RFC 8839 5.1), host names (``.local`` too), TCP, ports below 1024, loopback,
    link-local, multicast, metadata, translated and reserved addresses, private ones unless allowed. Never raises.
    """
    words = text[:MAX_LENGTH].strip().removeprefix("a=").removeprefix("candidate:").split()
    if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[6] != "typ" or words[7] not in TYPES:
        return None
    foundation, priority, port = words[0], _number(words[3], 2**32 - 1), _number(words[5], 65535)
    if priority is None or port is None or port < 1024 or len(foundation) > 32:
        return None
    try:
        address = ip_address(words[4])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    if not _may_reach(address, allow_loopback=allow_loopback, allow_private=allow_private):
        return None
    return Candidate(foundation=foundation, priority=priority, address=str(address), port=port, type=words[7])


def is_private(address: str) -> bool:
    """Whether ``address`` lies in a private network. Raises ``ValueError`` when it is no address."""
    parsed = ip_address(address)
    return any(parsed in net for net in PRIVATE if net.version == parsed.version)


def _may_reach(address: IPv4Address | IPv6Address, *, allow_loopback: bool, allow_private: bool) -> bool:
    if address in METADATA or address.is_multicast or address.is_link_local or address.is_unspecified:
        return False
    if address.is_loopback:
        return allow_loopback
    if any(address in net for net in TRANSLATED if net.version == address.version):
        return False
    if any(address in net for net in PRIVATE if net.version == address.version):
        return allow_private
    return address.is_global


def _number(text: str, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return value if (value := int(text)) <= highest else None
