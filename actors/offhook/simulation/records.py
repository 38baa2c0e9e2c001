"""Records in memory, and how they can be away."""

from collections.abc import Sequence

import anyio.lowlevel

from offhook.protocol.call import Call, LogEntry
from offhook.protocol.record import (
    Advance,
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
        return await self._take([entry], over_gap=over_gap) > 0

    async def project_all(self, entries: Sequence[LogEntry]) -> int:
        """See ``Records``."""
        return await self._take(entries, over_gap=False)

    async def _take(self, entries: Sequence[LogEntry], *, over_gap: bool) -> int:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise RecordsAway("the records are away")
        progress, taken = dict(self._progress), list[tuple[str, Advance]]()
        for entry in entries:
            before = progress.get(entry.call, Progress(call=Call(id=entry.call)))
            gained = advance(before, entry, over_gap=over_gap)
            if gained is not None:
                progress[entry.call] = gained.progress
                taken.append((entry.call, gained))
        self._progress = progress
        for call, gained in taken:
            self._states.setdefault(call, []).extend([gained.entered] if gained.entered else [])
            self._lines.setdefault(call, []).extend([gained.line] if gained.line else [])
        if self.forgetful:
            raise RecordsAway("whether it was written is not known")
        return len(taken)

    def calls(self) -> list[str]:
        """Ids of all calls, sorted."""
        return sorted(self._progress)

    def call(self, call: str) -> CallRecord:
        """The record of one call. Raises ``KeyError``."""
        return complete(summarize(self._progress[call]), self._states[call], self._lines[call])
