"""Recordings of calls."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from offhook.actors.ports.media import Tap


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that is finished."""

    #: Length of the sound, and bytes of the file.
    seconds: float
    size: int
    #: Why it is not whole; empty if it is.
    failure: str = ""
    #: When its first packet came, seconds since the epoch; None: there was none.
    began_at: float | None = None


class Recording(Tap, Protocol):
    """The recording of one call, which several connections of it may feed, one after the other or both at once."""

    #: Its name among the recordings.
    key: str

    async def finish(self) -> Recorded:
        """Write what is left. Never raises; what went wrong stands in the outcome. May take long."""


class Recorder(Protocol):
    """Where recordings are kept.

    Promised: what was tapped is kept a second later at most, whatever becomes of this process. Not promised: that it
    is kept where the disk is full or stands still; the call goes on then, and the outcome of the recording says so.
    """

    def open_recording(self, call: str, *, part: int, consent: str) -> AbstractAsyncContextManager[Recording]:
        """A recording of ``call``. Left without ``finish``, it is kept as far as it got.

        ``part`` is 1; higher, each time something else, at the voice nodes that take the call up after the first.
        ``consent`` is the version of the text the caller has agreed to, to be kept with it.
        """
