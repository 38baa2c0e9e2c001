"""What a world knows the time, makes ids and takes tokens with."""

import uuid

import anyio

from offhook.actors.ports import Grant
from offhook.protocol.errors import Reason, Refusal

#: The wall clock at the beginning of every world: a Monday, 09:00 UTC.
EPOCH = 1_893_747_600.0


class SimulatedClock:
    """Wall time that follows the loop's virtual time."""

    def __init__(self) -> None:
        self._start = anyio.current_time()

    def now(self) -> float:
        """See ``Clock``."""
        return EPOCH + anyio.current_time() - self._start


class SimulatedIdentity:
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def new_id(self) -> str:
        """See ``Identity``."""
        self._count += 1
        return str(uuid.UUID(int=self._count, version=4))


class SimulatedVerifier:
    """Takes ``agent`` or ``agent#anything`` for a token."""

    def verify(self, token: str, *, origin: str | None) -> Grant:
        """See ``Verifier``."""
        if not token or token == "wrong":
            raise Refusal(Reason.TOKEN_INVALID, "Invalid authentication token")
        return Grant(
            agent=token.partition("#")[0],
            workspace="simulated",
            token=token.replace("#", "/"),
            reusable="#" not in token,
        )

    def verify_join(self, token: str, *, session: str, origin: str | None) -> Grant:
        """See ``Verifier``: the token is ``agent@session``."""
        agent, _, meant = token.partition("@")
        if meant != session:
            raise Refusal(Reason.TOKEN_WRONG_SESSION, "Invalid authentication token")
        return Grant(agent=agent, workspace="simulated", token=f"{agent}/{session}")
