"""Records in memory, and how they can be away."""

import anyio.lowlevel

from offhook.protocol.call import Call, LogEntry
from offhook.protocol.record import (
    CallRecord,
    Progress,
    RecordsAway,
    StateEntered,
    TranscriptLine,
    advance,
    complete,
    summarize,
)


class SimulatedRecords:
    """The ``Records`` port. While ``away`` every write fails; with ``forgetful`` it fails after it was done."""

    def __init__(self) -> None:
        self.away = False
        self.forgetful = False
        self._progress: dict[str, Progress] = {}
        self._states: dict[str, list[StateEntered]] = {}
        self._lines: dict[str, list[TranscriptLine]] = {}

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """See ``Records``."""
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise RecordsAway("the records are away")
        gained = advance(self._progress.get(entry.call, Progress(call=Call(id=entry.call))), entry, over_gap=over_gap)
        if gained is not None:
            self._progress[entry.call] = gained.progress
            self._states.setdefault(entry.call, []).extend([gained.entered] if gained.entered else [])
            self._lines.setdefault(entry.call, []).extend([gained.line] if gained.line else [])
        if self.forgetful:
            raise RecordsAway("whether it was written is not known")
        return gained is not None

    def calls(self) -> list[str]:
        """Ids of all calls, sorted."""
        return sorted(self._progress)

    def call(self, call: str) -> CallRecord:
        """The record of one call. Raises ``KeyError``."""
        return complete(summarize(self._progress[call]), self._states[call], self._lines[call])
