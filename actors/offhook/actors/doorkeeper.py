"""The doorkeeper: decides whether an offer becomes a call, and hands the new call to the registry.

Checked in this order: the token, the SDP, the agent and what was asked of it, then whether this very offer was made
before (``callSid``) and whether the token was used before. A token is spent only when a call comes of it.
"""

import contextlib

import anyio
import msgspec

from offhook.actors.capacity import OWNERS
from offhook.actors.claims import UNAVAILABLE, Claim, Claims, claim_key
from offhook.actors.ports import (
    AgentNotFound,
    Agents,
    Bus,
    BusAway,
    Clock,
    Grant,
    Identity,
    Profile,
    Stored,
    VariantNotFound,
    Verifier,
    WrongRevision,
)
from offhook.actors.registry import Registry
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.join import Invitation, invitation_key
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.protocol.sdp import check_offer
from offhook.protocol.signal import Offer, Resume

#: Seconds for which an offer is known by its ``callSid``, and a caller can come back.
REMEMBERED = 86400.0
#: Seconds by which the clocks of two gateways may differ.
LEEWAY = 60.0


class Admitted(msgspec.Struct, frozen=True):
    """The offer is a call: a new one, or one that this offer has opened before."""

    call: str
    repeated: bool


class Doorkeeper:
    """Admits callers to one gateway node."""

    def __init__(
        self, *, bus: Bus, registry: Registry, agents: Agents, verifier: Verifier, identity: Identity, clock: Clock
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._agents = agents
        self._verifier = verifier
        self._identity = identity
        self._clock = clock
        self._claims = Claims(bus, clock)

    def check(self, offer: Offer, *, origin: str | None) -> Grant:
        """Everything that can be said of an offer without asking others. Raises ``Refusal``."""
        grant = self._verifier.verify(offer.auth_token, origin=origin)
        check_offer(offer.sdp)
        return grant

    async def choose(self, offer: Offer, grant: Grant) -> Profile:
        """The agent of a checked offer, in the version that serves it. Raises ``Refusal``."""
        override = None if offer.agent_version is None else offer.agent_version.artifact_version
        place = "/agentVersionOverride/artifactVersion"
        try:
            profile = await self._find(grant.agent, override or grant.version, offer.variant)
        except AgentNotFound as error:
            if override is not None:
                raise Refusal(Reason.INVALID_FIELD, str(error), pointer=place) from None
            raise Refusal(Reason.AGENT_NOT_FOUND, str(error)) from None
        if override is not None and profile.draft and not (grant.drafts or profile.version == grant.version):
            message = f"Version {profile.version!r} of the agent is not published. To try it, use a preview token."
            raise Refusal(Reason.INVALID_FIELD, message, pointer=place)
        if offer.mode == "end-to-end":
            raise Refusal(
                Reason.INVALID_FIELD,
                f"The agent {profile.agent!r} has no speech-to-speech model. Leave out mode, or use 'traditional'.",
                pointer="/mode",
            )
        return profile

    async def admit(self, offer: Offer, call: str, grant: Grant, profile: Profile) -> Admitted:
        """Open ``call`` for a checked offer, or find the call it has opened before. Raises ``Refusal``."""
        known = None if offer.call_sid is None else claim_key("sid", grant.workspace, offer.call_sid)
        try:
            if known is not None:
                before = await self._claims.claim(known, call, ttl=REMEMBERED)
                if before is not None:
                    return await self._admit_again(before)
            spent = claim_key("token", grant.workspace, grant.token)
            if not grant.reusable and await self._claims.claim(spent, call, ttl=self._left(grant)) is not None:
                if known is not None:
                    await self._claims.give_back(known, call)
                raise Refusal(Reason.TOKEN_USED, "Invalid authentication token")
            try:
                await self._registry.place(call, _offered(offer, grant, profile))
            except Refusal:
                for key in filter(None, (known, spent)):
                    await self._claims.give_back(key, call)
                raise
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None
        return Admitted(call, repeated=False)

    # ── sessions that a page joins (S2) ────────────────────────────────────────────────────────────────────────

    async def check_join(self, session: str, token: str, *, origin: str | None) -> tuple[Grant, Invitation, Profile]:
        """Whether a page may join ``session``. Raises ``Refusal``.

        Only the token tells whether a session exists: who does not have it learns nothing.
        """
        grant = self._verifier.verify_join(token, session=session, origin=origin)
        try:
            stored = await self._bus.get(invitation_key(session))
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None
        if stored is None:
            raise Refusal(Reason.TOKEN_USED, "Invalid authentication token")
        invitation = msgspec.msgpack.decode(stored.data, type=Invitation)
        try:
            return grant, invitation, await self._find(grant.agent, invitation.version, invitation.variant)
        except AgentNotFound as error:
            raise Refusal(Reason.AGENT_NOT_FOUND, str(error)) from None

    async def join(self, session: str, grant: Grant, invitation: Invitation, profile: Profile) -> None:
        """Open the call of a session, once. Raises ``Refusal``."""
        spent = claim_key("token", grant.workspace, grant.token)
        try:
            if await self._claims.claim(spent, session, ttl=self._left(grant)) is not None:
                raise Refusal(Reason.TOKEN_USED, "Invalid authentication token")
            try:
                await self._registry.place(session, _invited(invitation, grant, profile))
            except Refusal:
                await self._claims.give_back(spent, session)
                raise
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None

    # ── what both need ─────────────────────────────────────────────────────────────────────────────────────────

    async def _admit_again(self, call: str) -> Admitted:
        if await self._bus.get(f"{OWNERS}{call}") is None:
            raise Refusal(
                Reason.INVALID_STATE,
                "The call with this callSid is over. Use a new callSid for a new call.",
                state="ended",
            )
        return Admitted(call, repeated=True)

    async def issue_return_ticket(self, call: str) -> str:
        """A token with which the caller can come back to ``call`` once (G11). Raises ``Refusal``."""
        token = self._identity.new_id()
        try:
            await self._bus.create(_return_key(token), msgspec.msgpack.encode(Claim(call)), ttl=REMEMBERED)
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None
        return token

    def verify(self, offer: Offer, *, origin: str | None) -> None:
        """Only the token of an offer. Raises ``Refusal``."""
        self._verifier.verify(offer.auth_token, origin=origin)

    async def check_return(self, resume: Resume) -> Stored:
        """Whether a caller may come back to its call; returns what ``readmit`` needs. Raises ``Refusal``.

        Only the token tells whether a session exists: who does not have it learns nothing.
        """
        try:
            ticket = await self._bus.get(_return_key(resume.token))
            call = None if ticket is None else msgspec.msgpack.decode(ticket.data, type=Claim).call
            if ticket is None or call != resume.session:
                raise Refusal(Reason.TOKEN_INVALID, "Invalid authentication token")
            if await self._bus.get(f"{OWNERS}{call}") is None:
                raise Refusal(Reason.SESSION_NOT_FOUND, "The call is over.")
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None
        return ticket

    async def readmit(self, ticket: Stored) -> list[LogEntry]:
        """Let a caller back into its call; returns the call's log so far. Raises ``Refusal``.

        Whoever wants to miss nothing listens to the call first. The ticket is spent (``spend``) when the caller knows
        that it is back: one who is told to try again, or hears nothing, still has it.
        """
        call = msgspec.msgpack.decode(ticket.data, type=Claim).call
        try:
            log = await self._bus.read_log(subjects.log(call))
        except BusAway:
            raise Refusal(Reason.UNAVAILABLE, UNAVAILABLE) from None
        entries = []
        for message in log:
            # The session has passed over foreign bytes in its log, and told the dead letters.
            with contextlib.suppress(BadMessage):
                entries.append(decode_entry(message.subject, message.data))
        return entries

    async def spend(self, ticket: Stored) -> None:
        """Let a ticket open nothing any more; waits for the bus while it is away."""
        while True:
            try:
                await self._bus.delete(ticket.subject, revision=ticket.revision)
            except WrongRevision:
                # By another socket with the same ticket.
                return
            except BusAway:
                await anyio.sleep(1)
            else:
                return

    async def withdraw(self, token: str) -> None:
        """Take back a ticket to a call that there is not. Where the bus is away it goes away by itself in a day."""
        with contextlib.suppress(BusAway, WrongRevision):
            if (ticket := await self._bus.get(_return_key(token))) is not None:
                await self._bus.delete(ticket.subject, revision=ticket.revision)

    def new_id(self) -> str:
        """An id for a new call."""
        return self._identity.new_id()

    async def _find(self, agent: str, version: str | None, variant: str | None) -> Profile:
        """Raises ``AgentNotFound``, and ``Refusal`` for a variant that there is not."""
        await self._agents.reach(agent, version)
        try:
            return self._agents.profile(agent, version, variant=variant)
        except VariantNotFound as error:
            raise Refusal(Reason.INVALID_FIELD, str(error), pointer="/variantId") from None

    def _left(self, grant: Grant) -> float | None:
        """Seconds for which a spent token has to be known; None: for ever."""
        return None if grant.expires_at is None else grant.expires_at - self._clock.now() + LEEWAY


def _return_key(token: str) -> str:
    return claim_key("return", token)


def _invited(invitation: Invitation, grant: Grant, profile: Profile) -> ev.Offered:
    return ev.Offered(
        agent=profile.agent,
        version=profile.version,
        workspace=grant.workspace,
        sdp="",
        mode="traditional",
        variables=invitation.variables,
        metadata=invitation.metadata,
        variant=invitation.variant,
        max_duration=profile.max_duration,
    )


def _offered(offer: Offer, grant: Grant, profile: Profile) -> ev.Offered:
    return ev.Offered(
        agent=profile.agent,
        version=profile.version,
        workspace=grant.workspace,
        sdp=offer.sdp,
        mode=offer.mode or "traditional",
        call_sid=offer.call_sid,
        caller=offer.caller,
        callee=offer.callee,
        variant=offer.variant,
        variables=offer.variables,
        metadata=offer.metadata,
        max_duration=profile.max_duration,
    )
