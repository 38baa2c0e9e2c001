"""Keys of a workspace (R1): who may ask for what.

A secret key (``sk_``) stays on a server and does what its scopes allow. A publishable key (``pk_``) stands in a page:
it starts calls from the domains it is bound to, and nothing else. A key has 256 random bits and is kept as its SHA-256
only; a slow hash would add nothing to so many bits.
"""

import base64
import hashlib
import re
from typing import Literal, get_args

import msgspec

from offhook.protocol.errors import OffhookError
from offhook.protocol.origins import normal_origin
from offhook.protocol.signal.fields import clean

KeyKind = Literal["secret", "publishable"]
KeyMode = Literal["live", "test"]
#: What a secret key can be allowed; ``*`` stands for all of it, and for what comes later.
Scope = Literal[
    "*",
    "agents:read",
    "agents:write",
    "calls:read",
    "calls:start",
    "calls:write",
    "keys:read",
    "keys:write",
    "webhooks:read",
    "webhooks:write",
    "widgets:read",
    "widgets:write",
    "workspace:read",
    "workspace:write",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)

#: Random bytes of a key.
SIZE = 32
#: Characters of a key that are shown again, from its end.
HINT = 4
#: Longest name, and most domains of a key.
MAX_NAME = 100
MAX_DOMAINS = 50

_BEGINNING = {"secret": "sk", "publishable": "pk"}
_HOST = re.compile(r"(\*\.)?[^:/?#@\s]+(:\d{1,5})?|\[[0-9a-f:.]+\](:\d{1,5})?", re.IGNORECASE)
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept and shown: everything but the key itself. Times are seconds since the epoch."""

    id: str
    workspace: str
    kind: KeyKind
    mode: KeyMode
    #: What people call it.
    name: str
    #: The last characters of the key, to tell it from others.
    hint: str
    #: What a secret key may do; empty for a publishable one.
    scopes: tuple[Scope, ...] = ()
    #: Origins a publishable key may be used from, such as ``https://example.com`` or ``https://*.example.com``.
    domains: tuple[str, ...] = ()
    #: Call tokens a publishable key gives in a minute and in a day (UTC); None: as many as the server gives anyone.
    per_minute: int | None = None
    per_day: int | None = None
    created_at: float
    #: From then on it does not count; None: it counts until it is revoked.
    expires_at: float | None = None
    revoked_at: float | None = None
    #: When it was last used, to the minute; None: never.
    last_used_at: float | None = None
    #: The key that took its place.
    replaced_by: str | None = None

    def counts(self, now: float) -> bool:
        """Whether it opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: Scope) -> bool:
        """Whether a secret key may do what needs ``scope``."""
        return self.kind == "secret" and ("*" in self.scopes or scope in self.scopes)


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is to be."""

    kind: KeyKind
    name: str
    mode: KeyMode = "live"
    scopes: tuple[Scope, ...] = ()
    domains: tuple[str, ...] = ()
    per_minute: int | None = None
    per_day: int | None = None
    #: When it runs out, seconds since the epoch; None: never.
    expires_at: float | None = None


class MadeKey(Key, frozen=True, kw_only=True):
    """A key right after it was made: the only time that it is shown."""

    key: str


class KeyNotFound(OffhookError):
    """No key of the workspace has this id."""


class KeyUnfit(OffhookError):
    """A key cannot be made or replaced so; ``field`` names the culprit."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def key_text(kind: KeyKind, mode: KeyMode, chance: bytes) -> str:
    """The key itself, from ``SIZE`` random bytes."""
    return f"{_BEGINNING[kind]}_{mode}_{base64.urlsafe_b64encode(chance).rstrip(b'=').decode()}"


def hash_key(text: str) -> str:
    """What is kept of a key: its SHA-256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_new_key(wanted: NewKey) -> NewKey:
    """What is wanted with its domains in one written form and the scopes it has. Raises ``KeyUnfit``."""
    name = clean(wanted.name).strip()
    if not 0 < len(name) <= MAX_NAME:
        raise KeyUnfit("name", f"Give the key a name of at most {MAX_NAME} characters.")
    wanted = msgspec.structs.replace(wanted, name=name)
    if wanted.kind == "publishable":
        if wanted.scopes:
            raise KeyUnfit("scopes", "A publishable key has no scopes: it starts calls and nothing else.")
        if len(wanted.domains) > MAX_DOMAINS:
            raise KeyUnfit("domains", f"A key is bound to at most {MAX_DOMAINS} domains.")
        if not wanted.domains:
            raise KeyUnfit("domains", "Name the domains whose pages may use a publishable key, such as example.com.")
        return msgspec.structs.replace(wanted, domains=tuple(dict.fromkeys(map(normal_domain, wanted.domains))))
    for field in ("domains", "per_minute", "per_day"):
        if getattr(wanted, field):
            raise KeyUnfit(field, "A secret key stays on a server; domains and quotas are for publishable keys.")
    return msgspec.structs.replace(wanted, scopes=tuple(sorted(set(wanted.scopes))) or ("*",))


def normal_domain(text: str) -> str:
    """An origin as ``origin_allowed`` wants it; a bare host stands for https, on this machine for http."""
    full = text if "://" in text else f"{'http' if _LOCAL.fullmatch(text) else 'https'}://{text}"
    scheme, _, host = full.partition("://")
    wild = host.startswith("*.")
    normal = normal_origin(f"{scheme}://{host[2:] if wild else host}")
    if normal is None or (wild and "." not in host[2:]) or not _HOST.fullmatch(host.rstrip("/")):
        raise KeyUnfit(
            "domains", f"{text[:100]!r} is no domain: write example.com, *.example.com or https://example.com:8443."
        )
    return normal.replace("://", "://*.", 1) if wild else normal
