"""What an agent thinks with, and what its brain may do meanwhile."""

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from offhook.protocol.call import Memory
from offhook.protocol.errors import OffhookError
from offhook.protocol.speech import BrainAction, Heard, Hints


class Brain(Protocol):
    """What the agent thinks with: one object per call.

    Each method streams what to do; the agent may stop iterating at any time (the caller went on talking), and then
    the brain must stand as if the unfinished turn had not happened, up to the actions already yielded.
    """

    def hints(self) -> Hints:
        """What the brain expects to hear now."""

    def open(self) -> AsyncIterator[BrainAction]:
        """The call was answered: the first words."""

    def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        """The caller said (or typed, or dialed) this."""

    def wait(self) -> AsyncIterator[BrainAction]:
        """The caller has been silent for a while."""


@runtime_checkable
class Informed(Protocol):
    """A brain that also takes what the page has to tell (A5)."""

    def inform(self, name: str, data: str) -> None:
        """The page says ``data``, a text or JSON text. Nothing is answered; may come in the middle of a thought."""


@runtime_checkable
class Lasting(Protocol):
    """A brain whose conversation another one can take up, when the voice node it ran on is lost."""

    def keep(self) -> str:
        """All that the other one must know; empty: there is nothing yet. Asked for before a tool runs, too.

        More than 64 KiB of UTF-8 are not kept.
        """

    def take_up(self, memory: Memory) -> AsyncIterator[BrainAction]:
        """Stand, from now on, where the brain that kept ``memory.mind`` stood, and stream what to say first.

        What it said last is ``memory.unheard``, or the caller knows it. Of the tools used since it kept that
        (``memory.since``) none is used again because of what the caller said then.
        """


class ToolFailed(OffhookError):
    """A tool could not do its work; the message says why, for the brain and the log."""


class Toolbox(Protocol):
    """What a brain can do besides talking."""

    async def use(self, name: str, **arguments: Any) -> Any:
        """Use a tool; arguments and result are what JSON can hold.

        The use stands in the call's log before the tool runs, so its effect happens at most once, whatever crashes.
        Raises ``ToolFailed``, also when the call has left the state in which an agent may act.
        """
