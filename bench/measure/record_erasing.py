"""Calls erased from the store: one by one, and all of a workspace that are too old."""

import random
import time
from collections.abc import Callable
from typing import Any

from measure.call_logs import BEGIN
from measure.record_reading import spread
from offhook.protocol.record import CallFilter
from offhook.services.store import Store

#: When all calls have become too old, seconds since the epoch.
LATER = BEGIN + 1e10


def erase(store: Store, times: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Milliseconds (median, 95th percentile, CPU) of erasing a call, and what follows; then the workspace of few."""
    calls = store.calls(CallFilter(workspace="main"), limit=200).calls
    took, used = list[float](), clock()
    for call in random.Random(4).sample(calls, times):
        begun = time.perf_counter()
        store.erase(call.id, now=LATER)
        took.append(1000 * (time.perf_counter() - begun))
    found: dict[str, Any] = {"a call": spread(took, 1000 * (clock() - used) / times)}
    begun = time.perf_counter()
    store.forget_words()
    found["words of the erased, ms"] = round(1000 * (time.perf_counter() - begun), 1)
    return found | {"too old": expire(store)}


def expire(store: Store) -> dict[str, float]:
    """Erase all calls of the workspace that 1 % of them are of, in transactions as the records role does it."""
    store.keep_days("small", 1)
    took, count = list[float](), 0
    while True:
        begun = time.perf_counter()
        erased = store.expire(now=LATER)
        took.append(time.perf_counter() - begun)
        count += erased
        if not erased:
            break
    return {"calls": count, "seconds": round(sum(took), 2), "longest transaction, ms": round(1000 * max(took))}
