"""Claims on the bus: of a token or a ``callSid`` one call comes, whichever gateway it is offered to."""

import contextlib
import hashlib

import anyio
import msgspec

from offhook.actors.capacity import OWNERS
from offhook.actors.ports import Bus, Clock, KeyTaken, WrongRevision
from offhook.protocol import subjects
from offhook.protocol.errors import Reason, Refusal

#: Seconds after which a claim of which no call came is free: whoever made it has given up by then.
LIMBO = 10.0
#: How often a claim is tried of which a call may come just now, or which others let go of; and seconds between.
CLAIM_TRIES = 5
CLAIM_WAIT = 0.1

UNAVAILABLE = "The service cannot take calls at this moment. Please try again in a few seconds."


class Claim(msgspec.Struct, frozen=True):
    """What stands under a claimed key."""

    call: str
    #: When it was made, seconds since the epoch.
    at: float = 0.0


class Claims:
    """The claims of all gateways."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def claim(self, key: str, call: str, *, ttl: float | None) -> str | None:
        """Claim ``key`` for ``call``; returns the call that has claimed it before, if any.

        When the bus goes away in the middle of an admission a claim is left of which no call comes. It is taken over
        after ``LIMBO`` seconds. Raises ``Refusal`` before: the caller is to try again.
        """
        now = self._clock.now()
        for _ in range(CLAIM_TRIES):
            try:
                await self._bus.create(key, msgspec.msgpack.encode(Claim(call, now)), ttl=ttl)
            except KeyTaken:
                stored = await self._bus.get(key)
            else:
                return None
            if stored is None:
                continue
            before = msgspec.msgpack.decode(stored.data, type=Claim)
            if await self._is_known(before.call):
                return before.call
            if now - before.at >= LIMBO:
                with contextlib.suppress(WrongRevision):
                    await self._bus.delete(key, revision=stored.revision)
            else:
                await anyio.sleep(CLAIM_WAIT)
        raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE)

    async def _is_known(self, call: str) -> bool:
        """Whether there is or was a call; its log outlives it for longer than it is claimed for."""
        return await self._bus.get(f"{OWNERS}{call}") is not None or bool(await self._bus.read_log(subjects.log(call)))

    async def give_back(self, key: str, call: str) -> None:
        """No call came of it: the claim is free for the caller's next try."""
        stored = await self._bus.get(key)
        if stored is not None and msgspec.msgpack.decode(stored.data, type=Claim).call == call:
            with contextlib.suppress(WrongRevision):
                await self._bus.delete(key, revision=stored.revision)


def claim_key(kind: str, *parts: str) -> str:
    """A key of the bus, whatever characters the parts have."""
    return f"claim.{kind}.{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"
