"""Codes that open the console once: made beside the data folder, taken by whoever serves the page."""

import hashlib
import time
from collections.abc import Callable

from offhook.actors.ports import Bus, KeyTaken
from offhook.protocol.errors import Reason, Refusal
from offhook.services.tokens.grants import INVALID, LEEWAY, verify_console_code
from offhook.services.tokens.workspace import Workspace


class ConsoleCodes:
    """Takes each code once; which ones were used stands on the bus, for every node and over a restart."""

    def __init__(self, workspace: Callable[[], Workspace], bus: Bus) -> None:
        self._workspace = workspace
        self._bus = bus

    async def redeem(self, code: str) -> str:
        """The workspace whose console the code opens. Raises ``Refusal`` (``token_*``), ``BusAway``."""
        now, workspace = time.time(), self._workspace()
        id_, expires_at = verify_console_code(workspace, code, now=now)
        key = f"claim.console.{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()}"
        try:
            await self._bus.create(key, b"", ttl=expires_at - now + LEEWAY)
        except KeyTaken:
            raise Refusal(Reason.TOKEN_USED, INVALID) from None
        return workspace.id
