"""Tools in a simulation: what they return, how long they take, how they fail, and how they were used."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from offhook.actors.document_agents import Tool
from offhook.actors.ports import ToolFailed


class ToolUse(msgspec.Struct):
    """One use of a tool. Times are virtual seconds since the simulation began."""

    #: Unique: the call's id and the number of the use in it.
    id: str
    name: str
    arguments: dict[str, Any]
    began: float
    #: None while the tool runs.
    ended: float | None = None
    result: Any = None
    #: Why it failed; None when it did not.
    error: str | None = None

    @property
    def call(self) -> str:
        """Id of the call it was used in."""
        return self.id.partition(":")[0]


class SimulatedTool:
    """A tool of an agent. What it does may be changed between two uses."""

    def __init__(
        self, name: str, run: Tool | None, *, returns: Any, takes: float, fails: str | None, news: Callable[[], None]
    ) -> None:
        self.name = name
        #: The real code; None: ``returns`` is what comes back.
        self.run = run
        self.returns = returns
        #: Virtual seconds it takes, before it returns, fails or runs the real code.
        self.takes = takes
        #: Why it fails; None: it works.
        self.fails = fails
        #: Its uses, oldest first.
        self.uses: list[ToolUse] = []
        self._news = news

    async def use(self, arguments: dict[str, Any], use: str) -> Any:
        """Run it as use ``use``. Raises ``ToolFailed``, and whatever the real code raises."""
        done = ToolUse(id=use, name=self.name, arguments=arguments, began=anyio.current_time())
        self.uses.append(done)
        self._news()
        try:
            await anyio.sleep(self.takes)
            if self.fails is not None:
                raise ToolFailed(self.fails)
            done.result = self.returns if self.run is None else await self.run(**arguments)
        except Exception as error:
            # It is passed on: this only notes what the test will want to see.
            done.error = str(error) if isinstance(error, ToolFailed) else repr(error)
            raise
        finally:
            done.ended = anyio.current_time()
            self._news()
        return done.result
