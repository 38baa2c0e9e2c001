"""The port to one caller's signaling socket, and the frames that come through it."""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

import anyio

from offhook.protocol.errors import OffhookError, Reason, Refusal

T = TypeVar("T")

#: So many frames of invalid JSON within so many seconds close the socket.
STRIKES = 5
STRIKE_SECONDS = 60.0


class CloseCode(IntEnum):
    """Why a signaling socket is closed (RFC 6455 7.4; 4000 and up are ours)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    #: Never on the wire: the connection went away without a Close frame.
    ABNORMAL = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_AGAIN = 1013
    BAD_FRAMES = 4400
    UNAUTHORIZED = 4401
    #: The call goes on with another socket (G11).
    REPLACED = 4409
    RATE_LIMITED = 4429


class SocketClosed(OffhookError):
    """The socket is closed, by whichever side; nothing more can be received or sent.

    ``code`` is the WebSocket close code, ``CloseCode.ABNORMAL`` where none came.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class CallerSocket(Protocol):
    """One caller's WebSocket: text frames both ways, its hygiene already enforced below.

    ``receive`` belongs to one task; ``send`` and ``close`` may be called from any.
    """

    #: The Origin header of the handshake, None where there was none.
    origin: str | None
    #: The visitor's network address, without the port.
    address: str
    #: The path of the handshake, without the query.
    path: str
    #: The session that error frames of the socket itself name; set it when there is one.
    session: str

    async def receive(self) -> str:
        """The next text frame. Raises ``SocketClosed``."""

    async def send(self, text: str) -> None:
        """Send one text frame; a caller who does not read is dropped after a while. Raises ``SocketClosed``.

        When it returns the frame is on its way; that the caller got it is not promised.
        """

    async def wait_received(self) -> None:
        """Wait until the caller has got everything that was sent so far. Raises ``SocketClosed``."""

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a Close frame and wait a moment for the caller's. Does nothing on a closed socket; never raises."""


class FrameReader(Generic[T]):
    """Client frames of one socket; refuses the bad ones itself and goes on with the next.

    ``decode`` reads a frame or raises ``Refusal``, and ``encode`` writes the frame that tells of it.
    """

    def __init__(self, socket: CallerSocket, *, decode: Callable[[str], T], encode: Callable[[Refusal], str]) -> None:
        self._socket = socket
        self._decode = decode
        self._encode = encode
        self._strikes: deque[float] = deque(maxlen=STRIKES)

    async def receive(self) -> T:
        """The next frame that can be read.

        A frame that cannot is answered with an error. An offer without a token, and the fifth invalid JSON within a
        minute, also close the socket. Raises ``SocketClosed``.
        """
        while True:
            text = await self._socket.receive()
            try:
                return self._decode(text)
            except Refusal as refusal:
                await self._socket.send(self._encode(refusal))
                if refusal.reason in {Reason.TOKEN_MISSING, Reason.TOKEN_INVALID}:
                    await self._socket.close(CloseCode.UNAUTHORIZED, refusal.message)
                elif refusal.reason is Reason.INVALID_JSON and self._is_last_strike():
                    await self._socket.close(CloseCode.BAD_FRAMES, "too many frames that are not valid JSON")

    def _is_last_strike(self) -> bool:
        now = anyio.current_time()
        self._strikes.append(now)
        return len(self._strikes) == STRIKES and now - self._strikes[0] < STRIKE_SECONDS
