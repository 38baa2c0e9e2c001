"""What tokens are made for: calls from a page, and sessions that a page joins; and the lines they take."""

import uuid
from collections.abc import Callable

import msgspec

from offhook.actors.capacity import living_calls, read_limit, write_limit
from offhook.actors.ports import Agents, Bus, Profile
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.join import Invitation, invitation_key
from offhook.services.tokens.grants import mint_token
from offhook.services.tokens.workspace import Workspace

#: Seconds for which an invitation outlives its token: clocks differ.
LEEWAY = 60.0


class CallTokens:
    """Call tokens of the workspace."""

    def __init__(self, workspace: Callable[[], Workspace], agents: Agents) -> None:
        self._workspace = workspace
        self._agents = agents

    async def mint(
        self, agent: str, *, origin: str | None, ttl: float, version: str | None = None, drafts: bool = False
    ) -> tuple[str, Profile]:
        """A token for one call of ``agent``, and whom it is with. Raises ``AgentNotFound``.

        With a ``version`` that one serves, published or not; with ``drafts`` the caller may name others too.
        """
        await self._agents.reach(agent, version)
        profile = self._agents.profile(agent, version)
        token = mint_token(
            self._workspace(), agent=profile.agent, origin=origin, ttl=ttl, version=version, drafts=drafts
        )
        return token, profile


class Lines:
    """How many calls a workspace has and may have, as the bus knows it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def active(self, workspace: str) -> int:
        """Calls that live now. Raises ``BusAway``."""
        return len(await living_calls(self._bus, workspace))

    async def limit(self, workspace: str) -> int | None:
        """Calls that may live at a time; None: any number. Raises ``BusAway``."""
        return await read_limit(self._bus, workspace)

    async def set_limit(self, workspace: str, limit: int | None) -> None:
        """Set the limit, for calls that come from now on. Raises ``BusAway``."""
        await write_limit(self._bus, workspace, limit)


class Sessions:
    """Sessions that wait on the bus for the page that joins them."""

    def __init__(self, workspace: Callable[[], Workspace], agents: Agents, bus: Bus) -> None:
        self._workspace = workspace
        self._agents = agents
        self._bus = bus
        self._lines = Lines(bus)

    async def invite(
        self,
        workspace: str,
        agent: str,
        *,
        variables: dict[str, str],
        metadata: dict[str, str],
        origin: str | None,
        ttl: float,
        version: str | None = None,
        variant: str | None = None,
    ) -> tuple[str, str]:
        """The id of a new session and the token that joins it; ``version`` serves it, published or not.

        Raises ``AgentNotFound``, ``VariantNotFound``, ``BusAway``, and ``Refusal`` (``at_capacity``) where no line is
        free now; whether one is free when the page joins is seen then.
        """
        await self._agents.reach(agent, version)
        profile = self._agents.profile(agent, version, variant=variant)
        limit = await self._lines.limit(workspace)
        if limit is not None and await self._lines.active(workspace) >= limit:
            raise Refusal(Reason.AT_CAPACITY, "All lines are busy. Please try again in a few minutes.")
        session = str(uuid.uuid4())
        invitation = Invitation(
            workspace=workspace, agent=profile.agent, variables=variables, metadata=metadata, version=version,
            variant=variant,
        )  # fmt: skip
        await self._bus.create(invitation_key(session), msgspec.msgpack.encode(invitation), ttl=ttl + LEEWAY)
        token = mint_token(self._workspace(), agent=profile.agent, origin=origin, ttl=ttl, session=session)
        return session, token
