"""The eraser: deletes what is left of erased calls, and lets old calls go.

Whoever erases a call deletes its record, and notes in the same transaction that the log and the files are still to be
deleted. That note is what the eraser works from: it outlives any process, and is struck off when all is gone.
"""

from typing import Protocol

import anyio

from offhook.actors.ports import Bus, BusAway, Clock
from offhook.protocol import subjects
from offhook.protocol.record import OpenErasure, RecordsAway

#: Seconds between two looks for erasures; a call is to be gone within 60.
LOOK = 5.0
#: Seconds between two looks for calls that are too old.
EXPIRY = 600.0


class Erasures(Protocol):
    """Which calls are to be erased. Every method raises ``RecordsAway``."""

    async def open_erasures(self) -> list[OpenErasure]:
        """Erased calls whose logs and files are still there, some of them, oldest first."""

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
        #: Erased calls whose words are gone.
        self._forgotten: set[str] = set()

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
            except (BusAway, RecordsAway, OSError):
                # What could not be done now stands there still.
                pass
            await anyio.sleep(LOOK)

    async def _erase_open(self) -> None:
        while erasures := await self._erasures.open_erasures():
            # Once for all of them, and not again for those that stay open because a file cannot be deleted now.
            calls = {erasure.call for erasure in erasures}
            if not calls <= self._forgotten:
                await self._erasures.forget_words()
                self._forgotten = calls
            for erasure in erasures:
                await self._erase(erasure)

    async def _erase(self, erasure: OpenErasure) -> None:
        messages = await self._bus.erase_log(subjects.log(erasure.call))
        files = [name for name in erasure.files if await self._files.delete(name)]
        deleted = {"log_messages": messages, "recordings": len(files)}
        await self._erasures.end_erasure(erasure.call, deleted, now=self._clock.now())
