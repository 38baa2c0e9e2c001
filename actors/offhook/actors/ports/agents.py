"""Which agents there are, and who may call them."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from offhook.actors.ports.brain import Brain, Toolbox
from offhook.protocol.errors import OffhookError
from offhook.protocol.speech import Voice


class AgentNotFound(OffhookError):
    """No agent, or no such version of it."""


class VariantNotFound(OffhookError):
    """The agent has variants, and none of this name."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a voice node must know of an agent to run a call of it."""

    agent: str
    version: str
    name: str
    voice: Voice
    #: Seconds of the caller's silence until the brain's ``wait``.
    patience: float = 10.0
    #: Longest answered call, seconds.
    max_duration: float = 1800.0
    #: Whether its calls are recorded, and the version of the text that a caller has to have agreed to for that.
    recorded: bool = False
    consent: str = ""
    #: Whether this version was never published: it serves only those who were given leave to try it.
    draft: bool = False
    #: What the agent says when its brain takes too long.
    apology: str = "I am sorry, that took me too long. Could you say it again?"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid token allows."""

    agent: str
    workspace: str
    #: Unique id of the token: it opens one call, unless ``reusable``.
    token: str
    reusable: bool = False
    #: When the token stops to count, seconds since the epoch; None: never.
    expires_at: float | None = None
    #: The version it was made for; None: that which serves the public.
    version: str | None = None
    #: Whether the caller may name versions that were never published.
    drafts: bool = False


class Verifier(Protocol):
    """Who may call."""

    def verify(self, token: str, *, origin: str | None) -> Grant:
        """Check a token. Raises ``Refusal`` with a ``token_*`` or ``origin_*`` reason."""

    def verify_join(self, token: str, *, session: str, origin: str | None) -> Grant:
        """Check a token for one session (S1), which opens no other call. Raises as ``verify``."""


class Agents(Protocol):
    """The agents this node knows."""

    async def reach(self, agent: str, version: str | None = None) -> None:
        """Have a version at hand that may be kept elsewhere; whether there is one is seen by ``profile``.

        Returns at once for a version that is at hand, and soon in any case.
        """

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        """Profile of an agent in a version at hand (None: that which serves the public), in one of its variants.

        Raises ``AgentNotFound``, ``VariantNotFound``.
        """

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> Brain:
        """A brain for one call, with the tools it may use. Raises ``AgentNotFound``, ``VariantNotFound``."""

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:
        """Run a tool of an agent: JSON text in, JSON text out. ``use`` names this one use: a key for idempotency.

        Raises ``ToolFailed``.
        """

    def ids(self) -> Sequence[str]:
        """All agent ids, sorted."""
