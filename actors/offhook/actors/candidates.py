"""The candidates that a caller trickles: counted, and kept until the other side can use them."""

from offhook.actors.call_line import CallLine
from offhook.actors.caller_socket import CallerSocket, CloseCode
from offhook.protocol import subjects
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import AddCandidate

#: Candidates taken from one caller for one description; after twice as many the socket is closed.
MOST_CANDIDATES = 24


class Candidates:
    """The candidates of one socket."""

    def __init__(self, socket: CallerSocket) -> None:
        self._socket = socket
        self._kept: list[AddCandidate] = []
        self._taken = 0

    async def take(self, candidate: AddCandidate) -> None:
        """Keep a candidate. Raises ``Refusal`` for one too many."""
        self._taken += 1
        if self._taken > MOST_CANDIDATES:
            if self._taken > 2 * MOST_CANDIDATES:
                await self._socket.close(CloseCode.RATE_LIMITED, "too many candidates")
            raise Refusal(
                Reason.TOO_MANY_CANDIDATES, f"At most {MOST_CANDIDATES} candidates are taken; this one was ignored."
            )
        self._kept.append(candidate)

    async def pass_on(self, line: CallLine, call: str) -> None:
        """Send those kept to the media of the call."""
        kept, self._kept = self._kept, []
        for candidate in kept:
            await line.pass_on(subjects.media(call), candidate)

    def begin_anew(self) -> None:
        """The caller describes itself anew: the count begins again."""
        self._taken = 0

    def drop(self) -> None:
        """Nothing came of the offer: forget all."""
        self._kept.clear()
        self._taken = 0
