"""What links to recordings carry: a signature over one call and one moment."""

import time
from collections.abc import Callable

from offhook.services.tokens.grants import mint_recording_token, verify_recording_token
from offhook.services.tokens.workspace import Workspace


class RecordingTokens:
    """Tokens for recordings of the workspace; a rotated signing key ends those that it signed."""

    def __init__(self, workspace: Callable[[], Workspace]) -> None:
        self._workspace = workspace

    def mint(self, call: str, *, ttl: float) -> tuple[str, float]:
        """A token for the recording of a call, and when it runs out (seconds since the epoch)."""
        now = float(int(time.time()))
        return mint_recording_token(self._workspace(), call, ttl=ttl, now=now), now + ttl

    def verify(self, token: str) -> str:
        """The call of a token that counts now. Raises ``Refusal`` (``token_*``)."""
        return verify_recording_token(self._workspace(), token, now=time.time())
