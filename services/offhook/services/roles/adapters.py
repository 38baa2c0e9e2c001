"""The smallest ports: the wall clock, random ids, and whom the workspace's tokens let in."""

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from offhook.actors.ports import Grant

if TYPE_CHECKING:
    from offhook.services.tokens import Workspace


class WallClock:
    """The ``Clock`` port on the system's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class RandomIdentity:
    """The ``Identity`` port on random UUIDs."""

    def new_id(self) -> str:
        """A fresh UUID."""
        return str(uuid.uuid4())


class WorkspaceVerifier:
    """The ``Verifier`` port on the workspace's signing keys."""

    def __init__(self, workspace: Callable[[], "Workspace"]) -> None:
        self._workspace = workspace

    def verify(self, token: str, *, origin: str | None) -> Grant:
        """See ``Verifier``."""
        return self._verify(token, origin=origin, session=None)

    def verify_join(self, token: str, *, session: str, origin: str | None) -> Grant:
        """See ``Verifier``."""
        return self._verify(token, origin=origin, session=session)

    def _verify(self, token: str, *, origin: str | None, session: str | None) -> Grant:
        from offhook.services.tokens import verify_token

        grant = verify_token(self._workspace(), token, origin=origin, session=session)
        return Grant(
            agent=grant.agent,
            workspace=grant.workspace,
            token=grant.jti,
            reusable=grant.reusable,
            expires_at=grant.expires_at,
            version=grant.version,
            drafts=grant.drafts,
        )
