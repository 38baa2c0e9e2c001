"""Who asks: the key of a request, what it may do, and how often."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec

from offhook.protocol.errors import Reason
from offhook.protocol.keys import Key
from offhook.protocol.origins import origin_allowed
from offhook.services.api.edge import client_of
from offhook.services.api.problems import Problem
from offhook.services.api.route import AnyRequest, Route
from offhook.services.api.throttle import Allowance, Throttle

T = TypeVar("T")


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in a minute."""

    secret_key: int = 600
    #: Of a publishable key in all pages, where the key says nothing else.
    publishable_key: int = 300
    #: Of one address, with whatever keys.
    address: int = 1200
    #: Wrong keys of one address.
    guesses: int = 60


class FindKey(Protocol):
    """Where keys are looked up. Synchronous; used from several worker threads."""

    def __call__(self, text: str) -> Key | None:
        """The key that is ``text`` and counts now. Raises ``RecordsAway``."""


class Access:
    """Lets requests in."""

    def __init__(self, find: FindKey, in_thread: "Threads", rates: Rates) -> None:
        self._find = find
        self._in_thread = in_thread
        self._rates = rates
        self._by_key = Throttle(rates.secret_key)
        self._by_address = Throttle(rates.address)
        self._guesses = Throttle(rates.guesses)

    async def check(self, request: AnyRequest, route: Route) -> tuple[Key, str, Allowance]:
        """The key that asks, as it was sent, and what is left of its rate. Raises ``Problem``."""
        now, address = anyio.current_time(), client_of(request.scope)
        refuse_excess(self._by_address.take(address, now))
        text = _bearer(request)
        if text.startswith("pk_") and not route.from_pages:
            raise Problem(
                403, "secret_key_required", "A publishable key can only start calls; use a secret key (sk_...)."
            )
        key = await self._in_thread(partial(self._find, text))
        if key is None:
            refuse_excess(self._guesses.take(address, now))
            raise _unauthorized("key_invalid", "This key is not known here; it may have been revoked.")
        if key.kind == "secret" and not key.allows(route.scope):
            raise Problem(
                403, "scope_missing", f"This key may not do that; it needs the scope {route.scope}.", scope=route.scope
            )
        if key.kind == "publishable" and not origin_allowed(request.headers.get("origin"), key.domains):
            raise Problem(
                403,
                Reason.ORIGIN_NOT_ALLOWED.value,
                "This page may not use this key; add its domain to the key, or use the key from a page.",
            )
        allowance = self._by_key.take(key.id, now, per_minute=self._rate(key))
        refuse_excess(allowance)
        return key, text, allowance

    def _rate(self, key: Key) -> int:
        if key.kind == "secret":
            return self._rates.secret_key
        return self._rates.publishable_key if key.per_minute is None else key.per_minute


class Threads:
    """Worker threads for what waits for the database."""

    def __init__(self, most: int) -> None:
        self._limiter = anyio.CapacityLimiter(most)

    async def __call__(self, work: Callable[[], T], *, abandon: bool = True) -> T:
        """Do ``work`` in a thread. What only reads can be abandoned: nothing waits for it when the server ends."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=abandon)


def refuse_excess(allowance: Allowance) -> None:
    """Raises ``Problem`` (429) where a request was one too many."""
    if allowance.wait > 0:
        headers = allowance.headers
        detail = f"Too many requests; wait {headers['Retry-After']} s."
        raise Problem(429, Reason.RATE_LIMITED.value, detail, headers=headers)


def _bearer(request: AnyRequest) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise _unauthorized("key_missing", "Send a secret key: Authorization: Bearer sk_...")
    return key


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})
