"""The toolbox of one call: tools run at most once, because their use is logged before they run.

``ToolCalled`` has to be taken by the session first. A call that is held or over refuses it, and then nothing runs. An
agent that crashes between the log and the end of the tool never runs it again: what became of it is not known, and an
effect that happens twice is worse than one that has to be looked up. The agent that takes the call up then stands where
this one stood before the tool, and knows of its use. A caller who speaks while a tool runs does not
stop it: it runs to its end, and only then the interrupted thought is dropped.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from offhook.actors.ports import ToolFailed
from offhook.actors.reporter import Reporter
from offhook.protocol.call import events as ev

#: Runs a tool: name, JSON text of the arguments, id; returns JSON text. Raises ``ToolFailed``.
RunTool = Callable[[str, str, str], Awaitable[str]]

#: Longest run of a tool, seconds.
LONGEST = 30.0


class CallToolbox:
    """The ``Toolbox`` port for the agent of one call."""

    def __init__(
        self,
        call: str,
        *,
        reporter: Reporter,
        run: RunTool,
        keep_mind: Callable[[], None],
        acting: Callable[[], None],
        uses: int,
    ) -> None:
        """``keep_mind`` is called before a use is reported, ``acting`` when the tool is about to run: what led to it
        must not be heard a second time. There were ``uses`` before, of an agent that is lost.
        """
        self._call = call
        self._reporter = reporter
        self._run = run
        self._keep_mind = keep_mind
        self._acting = acting
        self._uses = uses

    async def use(self, name: str, **arguments: Any) -> Any:
        """See ``Toolbox``."""
        self._uses += 1
        use = f"{self._call}:{self._uses}"
        text = json.dumps(arguments)
        self._keep_mind()
        if not await self._reporter.ask(ev.ToolCalled(id=use, name=name, arguments=text)):
            raise ToolFailed(f"the call is not in a state to use {name!r}")
        self._acting()
        try:
            result = await self._run_whole(name, text, use)
        except ToolFailed as error:
            self._reporter.report(ev.ToolReturned(id=use, error=str(error)))
            raise
        self._reporter.report(ev.ToolReturned(id=use, result=result))
        return json.loads(result)

    async def _run_whole(self, name: str, arguments: str, use: str) -> str:
        with anyio.move_on_after(LONGEST, shield=True):
            return await self._run(name, arguments, use)
        raise ToolFailed(f"{name!r} took longer than {LONGEST:g} seconds")
