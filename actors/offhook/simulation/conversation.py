"""A call as its caller knows it: what was done and heard so far, and how a test waits for more.

What was expected and did not come raises ``Unmet``, an ``AssertionError`` that tells the whole call so far.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio

from offhook.protocol.call import LogEntry
from offhook.protocol.record import CallRecord
from offhook.simulation.calls import SimulatedCall
from offhook.simulation.story import Moment, Word, show_time, tell
from offhook.simulation.tools import ToolUse
from offhook.simulation.world import World

T = TypeVar("T")

#: Seconds between two looks at what does not tell by itself that it changed.
LOOK = 0.1


class Unmet(AssertionError):
    """What a test expected did not come."""


class Hearing:
    """The words a caller has heard, and how far a test has looked at them."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self._next = 0

    @property
    def unexpected(self) -> str:
        """What was heard since the words that were expected last."""
        return " ".join(word.text for word in self.words[self._next :])

    def find(self, wanted: list[str]) -> str | None:
        """What was heard up to and with the words ``wanted``, which are looked at then; None if they were not said."""
        tokens = [(token, place) for place, word in enumerate(self.words) for token in plain(word.text)]
        heard = [(token, place) for token, place in tokens if place >= self._next]
        for start in range(len(heard) - len(wanted) + 1):
            piece = heard[start : start + len(wanted)]
            if [token for token, _place in piece] == wanted:
                begin, self._next = self._next, piece[-1][1] + 1
                return " ".join(word.text for word in self.words[begin : self._next])
        return None


class Conversation:
    """What a test knows of one call."""

    def __init__(
        self,
        world: World,
        line: SimulatedCall,
        *,
        agent: str,
        began: float,
        variables: dict[str, str],
        uses: Callable[[str], list[ToolUse]],
    ) -> None:
        self.id = line.id
        #: When it was dialed, virtual seconds since the simulation began.
        self.began = began
        #: The lines the caller had: sockets and handsets. One who comes back has a new one.
        self.lines = [line]
        self._world = world
        self._uses = uses
        self._hearing = Hearing()
        self._news = anyio.Event()
        named = "".join(f", {name}={value!r}" for name, value in variables.items())
        self._done = [Moment(began, "caller", f"dials {agent}{named}")]

    @property
    def line(self) -> SimulatedCall:
        """The line the caller has now."""
        return self.lines[-1]

    @property
    def heard(self) -> str:
        """Everything the caller has heard so far."""
        return " ".join(word.text for word in self._hearing.words)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events the page was sent so far (G10)."""
        return [event for line in self.lines for event in line.events]

    @property
    def on_hold(self) -> bool:
        """Whether the caller hears the hold audio."""
        return self.line.handset.on_hold

    async def record(self) -> CallRecord:
        """The record of the call so far."""
        record = await self._world.record(self.id)
        assert record is not None, "a call that was answered has a log"
        return record

    async def log(self) -> Sequence[LogEntry]:
        """The call's log so far."""
        return await self._world.log(self.id)

    async def story(self) -> str:
        """The call so far, line by line with virtual times."""
        return tell(
            self.began, self._done, self._hearing.words, self._uses(self.id), await self.record(), await self.log()
        )

    async def listen(self) -> None:
        """Note the words that are heard; until cancelled."""
        taken, handset = 0, self.line.handset
        while True:
            if handset is not self.line.handset:
                taken, handset = 0, self.line.handset
            if taken == len(handset.words):
                with anyio.move_on_after(LOOK):
                    await handset.wait_heard()
                continue
            self._hearing.words += [Word(anyio.current_time(), word) for word in handset.words[taken:]]
            taken = len(handset.words)
            self.notice()

    def notice(self) -> None:
        """Something has happened that a test may wait for."""
        self._news.set()

    async def _wait(self, what: str, within: float, look: Callable[[], T | None], instead: Callable[[], str]) -> T:
        __tracebackhide__ = True
        with anyio.move_on_after(within):
            while (found := look()) is None:
                self._news = anyio.Event()
                with anyio.move_on_after(LOOK):
                    await self._news.wait()
            return found
        raise Unmet(await self._explain(what, within, instead()))

    async def _explain(self, what: str, within: float, instead: str) -> str:
        at = show_time(anyio.current_time() - self.began)
        return (
            f"expected {what} within {within:g} s, until {at}; {instead}\n\n"
            f"The call so far, in virtual minutes and seconds:\n{await self.story()}"
        )

    def _note(self, what: str) -> None:
        self._done.append(Moment(anyio.current_time(), "caller", what))


def plain(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split()
