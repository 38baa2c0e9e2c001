"""Web origins (RFC 6454): one written form, and who is on a list of them."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_ADDRESS = re.compile(r"\[[0-9a-f:.]+\]")
#: Letters that IDNA 2003 maps to others and IDNA 2008 keeps (UTS #46 6): two domains, so we ask for the ASCII form.
_DEVIATIONS = frozenset("ßςẞ\u200c\u200d")


def normal_origin(text: str) -> str | None:
    """``text`` as ``scheme://host[:port]``: lower case, ASCII host, no default port; None if it is no web origin.

    Only http and https have origins here; ``null`` has none, and neither has anything with a path, a user or a
    trailing dot in it.
    """
    if len(text) > 300 or _DEVIATIONS & set(text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if "[" not in text else f"[{parts.hostname}]"
    except ValueError:
        return None
    # What urlsplit drops or tolerates (tabs, users, paths, "?") must not be there: compare with what it was.
    if parts.scheme not in _DEFAULT_PORTS or text.lower() not in _spellings(parts.scheme, parts.netloc):
        return None
    if "@" in parts.netloc or parts.netloc.endswith(":") or not (_HOST.fullmatch(host) or _ADDRESS.fullmatch(host)):
        return None
    default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if default else f"{parts.scheme}://{host}:{port}"


def origin_allowed(origin: str | None, allowed: Collection[str]) -> bool:
    """Whether ``origin`` (a handshake's Origin) is on the list.

    Scheme, host and port must be the same; an entry such as ``https://*.example.com`` takes exactly one more label.
    """
    normal = normal_origin(origin) if origin is not None else None
    if normal is None:
        return False
    scheme, _, rest = normal.partition("://")
    label, _, parent = rest.partition(".")
    for entry in allowed:
        plain = entry.replace("://*.", "://", 1)
        target = normal_origin(plain)
        if target is None:
            continue
        if plain == entry and target == normal:
            return True
        if plain != entry and label and target == f"{scheme}://{parent}":
            return True
    return False


def _spellings(scheme: str, netloc: str) -> tuple[str, str]:
    """How an origin may be written: owners like to add the slash of the root path."""
    plain = f"{scheme}://{netloc}".lower()
    return plain, plain + "/"
