"""How long the machine stood still while something was measured: a shared host takes its cores away for a while."""

import os
import threading
import time
from types import TracebackType
from typing import Self

#: Seconds that each watcher sleeps.
NAP = 0.002


class Stillness:
    """Watches every core: a thread on each sleeps for 2 ms at a time and notes by how much it woke too late.

    Use it in a process that does nothing else meanwhile. Linux.
    """

    def __init__(self) -> None:
        self._longest = dict.fromkeys(os.sched_getaffinity(0), 0.0)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(core,)) for core in self._longest]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def longest(self) -> float:
        """The longest time, in seconds, that a core gave to nobody (or to somebody who would not let go)."""
        return max(self._longest.values())

    def _watch(self, core: int) -> None:
        os.sched_setaffinity(0, {core})
        last = time.monotonic()
        while not self._over.is_set():
            time.sleep(NAP)
            now = time.monotonic()
            self._longest[core] = max(self._longest[core], now - last - NAP)
            last = now
