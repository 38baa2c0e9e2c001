"""``/voice/start``: a session that a page joins (S1)."""

from typing import Annotated, Any, Protocol

import msgspec

from offhook.protocol.errors import Reason
from offhook.protocol.join import JOIN_PATH
from offhook.protocol.signal.fields import MAX_ENTRIES, MAX_TEXT
from offhook.services.api.call_tokens import AgentId, Origin, Version, checked_origin, default_version, socket_base
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Metadata, Name, Nothing, Route

#: Seconds in which the page must have joined.
TTL = 300.0


class Sessions(Protocol):
    """Where sessions are opened."""

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
        """The id of a new session and the token that joins it.

        Raises ``AgentNotFound``, ``VariantNotFound``, ``BusAway``, and ``Refusal`` (``at_capacity``).
        """


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the visitor is to talk to, and what the agent should know before."""

    agent_id: AgentId
    #: What the agent knows of the visitor; it reaches its prompt and its flow.
    context: Annotated[dict[Name, Any], msgspec.Meta(max_length=MAX_ENTRIES)] = {}
    #: What goes on the record of the call.
    metadata: Annotated[Metadata, msgspec.Meta(max_length=MAX_ENTRIES)] = {}
    #: The page that will join, for example ``https://example.com``; left out: any.
    origin: Origin | None = None
    #: The version that serves, published or not: its number, ``draft`` for the newest one, or ``sandbox``. Left out:
    #: what is published; with a test key, what is published in the sandbox.
    version: Version | None = None
    #: The variant of the agent.
    variant_id: Name | None = None


class Started(msgspec.Struct, frozen=True):
    """What the page needs to join."""

    session_id: str
    #: Counts once, for this session and this agent, for five minutes.
    token: str
    websocket_url: str


class Voice:
    """Sessions that pages join."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="POST", path="/voice/start", handle=self.start, summary="Start a session",
                scope="calls:start", body=StartRequest, gives=Started,
            )
        ]  # fmt: skip

    async def start(self, ask: Ask[Nothing, StartRequest]) -> Started:
        """A session with an agent. Hand the answer to the visitor's page; the call begins when it joins."""
        body = ask.body
        base = socket_base(ask.request)
        session, token = await self._sessions.invite(
            ask.workspace,
            body.agent_id,
            variables={name: _text(name, value) for name, value in body.context.items()},
            metadata=body.metadata,
            origin=None if body.origin is None else checked_origin(body.origin),
            ttl=TTL,
            version=body.version or default_version(ask.key),
            variant=body.variant_id,
        )
        return Started(session, token, f"{base}{JOIN_PATH}{session}")


def _text(name: str, value: Any) -> str:
    """A value of the context as the agent gets it: text as it is, all else as JSON. Raises ``Problem``."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if len(text.encode()) > MAX_TEXT:
        pointer = "/context/" + name.replace("~", "~0").replace("/", "~1")
        detail = f"{pointer}: At most {MAX_TEXT} bytes."
        raise Problem(422, Reason.INVALID_FIELD.value, detail, pointer=pointer)
    return text
