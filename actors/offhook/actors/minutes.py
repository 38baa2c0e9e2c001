"""The minutes of a call: who said what, and who has the floor, reported to the session."""

import anyio

from offhook.actors.mouth import Line
from offhook.actors.ports import Clock
from offhook.actors.reporter import Reporter
from offhook.protocol.call import events as ev


class Minutes:
    """Reports lines and the floor of one call. Times given are seconds of ``anyio.current_time``."""

    def __init__(self, reporter: Reporter, clock: Clock, *, lines: int) -> None:
        """``lines`` are written already."""
        self._reporter = reporter
        self._clock = clock
        self._lines = lines
        self._agent_speaks = False

    def caller_said(self, text: str, began: float, ended: float) -> None:
        """The caller's line is final."""
        wall = self._wall()
        self._lines += 1
        self._reporter.report(
            ev.Said(role="caller", text=text, line=self._lines, began=wall + began, ended=wall + ended)
        )

    def agent_said(self, line: Line) -> None:
        """The agent's line is over, as far as it was heard; one that nothing was heard of is not reported."""
        if not line.text or line.began is None:
            return
        wall = self._wall()
        self._lines += 1
        self._reporter.report(
            ev.Said(
                role="agent",
                text=line.text,
                line=self._lines,
                began=wall + line.began,
                ended=wall + anyio.current_time(),
                interrupted=not line.whole,
            )
        )

    def pass_floor(self, *, agent_speaks: bool) -> None:
        """Report who has the floor, when that has changed."""
        if agent_speaks != self._agent_speaks:
            self._agent_speaks = agent_speaks
            self._reporter.report(ev.FloorPassed(floor="speaking" if agent_speaks else "listening"))

    def _wall(self) -> float:
        """What has to be added to the loop's time to get seconds since the epoch."""
        return self._clock.now() - anyio.current_time()
