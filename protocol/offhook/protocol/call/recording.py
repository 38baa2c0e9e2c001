"""What is known of the recording of a call: the fold of what its log says of it."""

from typing import TypeVar

import msgspec

from offhook.protocol.call import events as ev

Part = TypeVar("Part", bound="RecordingPart")


class RecordingPart(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a recording."""

    #: Name of the file in the folder of recordings.
    key: str
    #: Version of the text the caller has agreed to; empty: nobody was asked.
    consent: str = ""
    #: Which moment of the call its first sample is, seconds since the epoch.
    began_at: float | None = None
    #: Length of the sound in seconds; None until it was saved (or for good, when its voice node was killed).
    seconds: float | None = None
    #: Bytes of the file.
    size: int = 0
    #: Why it is not whole; empty if it is.
    failure: str = ""


class Recording(RecordingPart, frozen=True, kw_only=True):
    """What is known of the recording of a call (R5): its first file, and those of later voice nodes."""

    #: Of a call that lost its voice node what was recorded at the next ones, in order.
    more: tuple[RecordingPart, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of all its files."""
        return (self.key, *(part.key for part in self.more))


def recording_key(call: str, part: int) -> str:
    """The name of part ``part`` (from 1) of the recording of ``call``."""
    return f"{call}.ogg" if part == 1 else f"{call}.{part}.ogg"


def call_of_recording(key: str) -> str:
    """The call that the recording ``key`` is of."""
    return key.partition(".")[0]


def begin(known: Recording | None, event: ev.RecordingBegan, at: float) -> Recording:
    """The recording once a file of it was begun at ``at``, seconds since the epoch."""
    if known is None or known.key == event.key:
        more = () if known is None else known.more
        return Recording(key=event.key, consent=event.consent, began_at=at, more=more)
    part = RecordingPart(key=event.key, consent=event.consent, began_at=at)
    return msgspec.structs.replace(known, more=(*known.more, part))


def save(known: Recording | None, event: ev.RecordingSaved) -> Recording:
    """The recording once a file of it is complete."""
    known = known or Recording(key=event.key)
    if known.key == event.key:
        return _saved(known, event)
    more = tuple(_saved(part, event) if part.key == event.key else part for part in known.more)
    return msgspec.structs.replace(known, more=more)


def _saved(part: Part, event: ev.RecordingSaved) -> Part:
    # The voice node knows to the millisecond when the first packet came; we, when we heard of it.
    began_at = part.began_at if event.began_at is None else event.began_at
    return msgspec.structs.replace(
        part, began_at=began_at, seconds=event.seconds, size=event.size, failure=event.failure
    )
