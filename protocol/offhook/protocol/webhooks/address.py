"""Where webhooks and questions to models may go: public addresses of the web, and nothing inside (server-side request
forgery).

Two checks, and both are needed. The URL is checked when it is saved and before each attempt; each address its name
resolves to is checked at each attempt, and the connection goes to that very address, so that a name that changes
(DNS rebinding) leads nowhere else.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from offhook.protocol.errors import OffhookError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL = 2000

#: Ports of other services than the web, from 1024 on (the Fetch standard's list, and stores and brokers of data
#: centers). Below 1024 there are only 80 and 443.
_OTHER_SERVICES = frozenset({
    1433, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 3659, 4045, 4190, 4222, 5060, 5061,
    5432, 5672, 5900, 6000, 6222, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 8222, 9042, 9092, 9200,
    9300, 10080, 10250, 11211, 15672, 27017,
})  # fmt: skip

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
#: A last label that is a number makes the whole an IPv4 address (WHATWG URL 3.5), in one of many spellings.
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\]")

#: IPv6 networks that hold an IPv4 address: how to find it, counted in bits from the right.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Not private by the registry's word, and still nobody's web server: 6to4 relays (RFC 7526).
_OTHERS = (ipaddress.IPv4Network("192.88.99.0/24"),)


class UrlNotAllowed(OffhookError):
    """The URL, or an address its name resolves to, is not a place to send anything to; the message says why."""


class Target(msgspec.Struct, frozen=True):
    """A URL taken apart, as it is connected to."""

    url: str
    scheme: str
    #: A name in ASCII (IDNA), or an address without brackets.
    host: str
    port: int
    #: Path and query.
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def read_target(url: str, *, allowed: Sequence[Network] = ()) -> Target:
    """Take a URL apart. Raises ``UrlNotAllowed``.

    An address in it is checked; a name is not looked up. ``allowed`` are networks that the operator opens.
    """
    if len(url) > MAX_URL or _FORBIDDEN.search(url):
        raise UrlNotAllowed(f"The URL has at most {MAX_URL} characters and no spaces, controls or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlNotAllowed(f"This is no URL: {error}.") from error
    if parts.scheme not in {"http", "https"}:
        raise UrlNotAllowed("The URL begins with https:// (or http://).")
    if "@" in parts.netloc:
        raise UrlNotAllowed("The URL holds no user and no password.")
    if "#" in url:
        raise UrlNotAllowed("The URL has no fragment (#...); servers never see it.")
    if port == 0 or parts.netloc.endswith(":"):
        raise UrlNotAllowed("The port of the URL is no port.")
    port = port or {"http": 80, "https": 443}[parts.scheme]
    host = _read_host(parts.hostname or "", parts.netloc)
    address = _address(host)
    if address is not None:
        check_address(address, allowed=allowed)
    if not (address is not None and _is_in(address, allowed)):
        _check_port(port)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, host, port, path)


def check_address(address: Address | str, *, allowed: Sequence[Network] = ()) -> Address:
    """An address that may be connected to. Raises ``UrlNotAllowed`` for one that is not public."""
    if isinstance(address, str):
        address = ipaddress.ip_address(address)
    if _is_in(address, allowed):
        return address
    if _is_public(address):
        return address
    raise UrlNotAllowed(
        f"{address} is not a public address. Nothing is sent to private, loopback, link-local or metadata addresses, "
        "unless the operator allows the network (--webhook-allow for webhooks, --model-allow for models)."
    )


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as ``10.1.0.0/16`` or single addresses. Raises ``ValueError`` with a sentence."""
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no network, such as 10.1.0.0/16 or 127.0.0.1: {error}.") from None
    return tuple(networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not _is_in(address, _OTHERS)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    # Teredo and 6to4 carry an IPv4 address to wherever it leads; nobody serves the web there.
    if address.teredo is not None or address.sixtofour is not None:
        return False
    return address in _GLOBAL_UNICAST and address.is_global


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any(one in network for network in networks for one in (address, mapped) if one is not None)


def _check_port(port: int) -> None:
    if port not in {80, 443} and (port < 1024 or port in _OTHER_SERVICES):
        raise UrlNotAllowed(f"Port {port} belongs to another service than the web. Use 443, 80 or one above 1023.")


def _read_host(host: str, netloc: str) -> str:
    """The host in ASCII and lower case. Raises ``UrlNotAllowed``."""
    if netloc.startswith("["):
        if "%" in host:
            raise UrlNotAllowed("An address with a zone leads into this machine's own network.")
        return str(_read_ip(host, ipaddress.IPv6Address))
    try:
        # Nameprep folds full-width digits and the like, so that what is checked is what is connected to.
        host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise UrlNotAllowed("The URL names no host that can be looked up.") from error
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise UrlNotAllowed("The URL names no host that can be looked up.")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # As a plain dotted quad only: 2130706433, 0177.0.0.1, 0x7f.1 and 127.1 are spellings of 127.0.0.1.
        return str(_read_ip(host, ipaddress.IPv4Address))
    return host


def _read_ip(host: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> Address:
    try:
        return kind(host)
    except ValueError:
        raise UrlNotAllowed("Write an address in its plain form, such as 192.0.2.7 or [2001:db8::7].") from None


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
