"""The heap of the C library, where glibc is it."""

import ctypes

#: ``M_ARENA_MAX`` of mallopt(3).
_ARENA_MAX = -8


def share_heap() -> None:
    """Have all threads use one heap. Call it before there are any; with another C library nothing happens.

    glibc gives each thread a heap of its own, and what is free in one serves no other: worker threads that come and go
    fill a heap each with caches and leftovers. Python lets one thread run at a time, so that they need not be apart.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
