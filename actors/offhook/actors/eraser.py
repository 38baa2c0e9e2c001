"""The eraser: deletes what is left of erased calls, and lets old calls go.

Whoever erases a call deletes its record, and notes in the same transaction that the log and the files are still to be
deleted. That note is what the eraser works from: it outlives any process, and is struck off when all is gone.
"""

import logging
from collections.abc import AsyncIterator
from typing import Protocol

import anyio

from offhook.actors.ports import Bus, BusAway, Clock
from offhook.protocol import subjects
from offhook.protocol.record import OpenErasure, RecordsAway

log = logging.getLogger("offhook.eraser")

#: Seconds between two looks for erasures; a call is to be gone within 60.
LOOK = 5.0
#: Seconds until a call is tried again of which a file could not be deleted.
RETRY = 60.0
#: Seconds between two looks for calls that are too old.
EXPIRY = 600.0


class Erasures(Protocol):
    """Which calls are to be erased. Every method raises ``RecordsAway``."""

    async def open_erasures(self, *, after: str) -> list[OpenErasure]:
        """Erased calls whose logs and files are still there: the next ones ``after`` this id, some of them."""

    async def forget_words(self) -> None:
        """Have the words of calls that were erased gone from wherever calls are found by words; takes its time."""

    async def end_erasure(self, call: str, deleted: dict[str, int], *, now: float) -> None:
        """Log and files of a call are gone; ``deleted`` says how many of each."""

    async def expire(self, *, now: float) -> int:
        """Erase some of the calls that are older than their workspace keeps them; how many."""


class Files(Protocol):
    """Where recordings lie."""

    async def delete(self, name: str) -> bool:
        """Delete a file; False when there is none. Raises ``OSError``."""


class Eraser:
    """Deletes what is left of erased calls until it is cancelled."""

    def __init__(self, *, bus: Bus, erasures: Erasures, files: Files, clock: Clock) -> None:
        self._bus = bus
        self._erasures = erasures
        self._files = files
        self._clock = clock
        #: Open erasures whose words are gone.
        self._forgotten: set[str] = set()
        #: Open erasures of which a file could not be deleted, and when each is tried again.
        self._stuck: dict[str, float] = {}

    async def run(self) -> None:
        """Look for erasures every few seconds; never returns."""
        next_expiry = anyio.current_time()
        while True:
            try:
                if anyio.current_time() >= next_expiry:
                    while await self._erasures.expire(now=self._clock.now()):
                        await self._erase_open()
                    next_expiry = anyio.current_time() + EXPIRY
                await self._erase_open()
            except (BusAway, RecordsAway):
                # What could not be done now stands there still.
                pass
            await anyio.sleep(LOOK)

    async def _erase_open(self) -> None:
        """Try every open erasure once, but those that failed a short while ago."""
        still_open = set()
        async for page in self._pages():
            calls = {erasure.call for erasure in page}
            still_open |= calls
            if not calls <= self._forgotten:
                # Once for all of them, and not again for those that stay open because a file cannot be deleted now.
                await self._erasures.forget_words()
                self._forgotten |= calls
            for erasure in page:
                if self._stuck.get(erasure.call, 0.0) <= anyio.current_time() and await self._erase(erasure):
                    still_open.discard(erasure.call)
        # Others may have ended some meanwhile.
        self._forgotten &= still_open
        self._stuck = {call: at for call, at in self._stuck.items() if call in still_open}

    async def _pages(self) -> AsyncIterator[list[OpenErasure]]:
        after = ""
        while page := await self._erasures.open_erasures(after=after):
            yield page
            after = page[-1].call

    async def _erase(self, erasure: OpenErasure) -> bool:
        """Whether nothing is left of the call. One that cannot be ended holds up none of the others."""
        messages = await self._bus.erase_log(subjects.log(erasure.call))
        count, failed = 0, None
        for name in erasure.files:
            try:
                count += await self._files.delete(name)
            except OSError as error:
                failed = error
        if failed is not None:
            if erasure.call not in self._stuck:
                log.error("erased call has a file left", extra={"call": erasure.call, "why": str(failed)})
            self._stuck[erasure.call] = anyio.current_time() + RETRY
            return False
        deleted = {"log_messages": messages, "recordings": count}
        await self._erasures.end_erasure(erasure.call, deleted, now=self._clock.now())
        return True
