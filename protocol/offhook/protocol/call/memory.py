"""What has to be remembered of a conversation so that another agent can go on with it.

A voice node that dies takes the agent's brain with it. So the brain gives away what it must remember whenever that has
changed (``MindKept``), and the log tells what happened since: which tools it used, and whether its words were heard.
"""

import msgspec

from offhook.protocol.call import events as ev


class ToolUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that was used; with neither result nor error nobody knows what became of it."""

    id: str
    name: str
    #: JSON text.
    result: str | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is known what became of it."""
        return self.result is not None or self.error is not None


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a conversation."""

    #: What the brain has kept, in its own words; empty: nothing.
    mind: str = ""
    #: Whether words came with it that the caller has not heard to their end, as far as is known.
    unheard: bool = False
    #: Tools whose outcome that mind does not know, in the order of their use.
    since: tuple[ToolUse, ...] = ()
    #: Uses of tools in all.
    uses: int = 0
    #: Whether the caller has heard anything of the agent.
    greeted: bool = False


def remember(memory: Memory, event: ev.CallEvent) -> Memory:
    """The memory after ``event``; the same where the event says nothing that has to be remembered."""
    match event:
        case ev.MindKept(mind=mind, unheard=unheard):
            # What was over the brain knew when it kept this.
            since = tuple(use for use in memory.since if not use.is_over)
            return msgspec.structs.replace(memory, mind=mind, unheard=memory.unheard or unheard, since=since)
        case ev.Said(role="agent", interrupted=interrupted):
            return msgspec.structs.replace(memory, greeted=True, unheard=memory.unheard and interrupted)
        case ev.ToolCalled(id=use, name=name):
            # Where no mind is kept nobody will ask.
            since = (*memory.since, ToolUse(id=use, name=name)) if memory.mind else ()
            return msgspec.structs.replace(memory, uses=memory.uses + 1, since=since)
        case ev.ToolReturned(id=use, result=result, error=error):
            since = tuple(
                msgspec.structs.replace(known, result=result, error=error) if known.id == use else known
                for known in memory.since
            )
            return msgspec.structs.replace(memory, since=since)
        case _:
            return memory
