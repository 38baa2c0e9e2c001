"""The recording of one call, as its session hears of it: begun once, saved once (R5)."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from offhook.actors.ports import Profile, Recorded, Recorder, Recording, Tap
from offhook.actors.reporter import Reporter
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev

log = logging.getLogger("offhook.media")

#: The variable of an offer that names the version of the text about recording that the caller has agreed to (W4).
CONSENT = "consent"
#: Seconds to wait for the end of a recording to be written: a call ends, whatever the disk does.
LAST_WRITE = 2.0


def may_record(profile: Profile, order: do.OpenMedia) -> bool:
    """Whether a call is to be recorded: its agent's are, and its caller has agreed if anybody has to."""
    return (
        profile.recorded
        and order.mode != "echo"
        and (not profile.consent or order.variables.get(CONSENT) == profile.consent)
    )


class Tape:
    """What is recorded of one call; nothing, where there is no ``recording``."""

    def __init__(self, recording: Recording | None, consent: str, reporter: Reporter) -> None:
        self._recording = recording
        self._consent = consent
        self._reporter = reporter
        self._begun = False

    @property
    def tap(self) -> Tap | None:
        """What the connections of the call copy their packets to."""
        return self._recording

    def begin(self) -> None:
        """Audio flows: from now on there is something to find. The second time it does nothing."""
        if self._recording is not None and not self._begun:
            self._begun = True
            self._reporter.report(ev.RecordingBegan(key=self._recording.key, consent=self._consent))

    async def finish(self) -> None:
        """The media is closed: write what is left, and report it."""
        if self._recording is None or not self._begun:
            return
        saved = Recorded(seconds=0.0, size=0, failure="The disk did not take the rest in time.")
        with anyio.move_on_after(LAST_WRITE):
            saved = await self._recording.finish()
        if saved.failure:
            log.error("recording is not whole", extra={"key": self._recording.key, "why": saved.failure})
        self._reporter.report(
            ev.RecordingSaved(
                key=self._recording.key,
                seconds=saved.seconds,
                size=saved.size,
                failure=saved.failure,
                began_at=saved.began_at,
            )
        )


@asynccontextmanager
async def open_tape(
    recorder: Recorder | None, call: str, order: do.OpenMedia, reporter: Reporter
) -> AsyncIterator[Tape]:
    """A tape for ``call``; an empty one without a ``recorder``."""
    consent = order.variables.get(CONSENT, "")
    if recorder is None:
        yield Tape(None, consent, reporter)
        return
    async with recorder.open_recording(call, part=order.opening, consent=consent) as recording:
        yield Tape(recording, consent, reporter)
