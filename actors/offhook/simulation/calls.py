"""Simulated callers' ends of a call: the socket, and what a person at it does and notices."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from offhook.actors.caller_socket import CloseCode, SocketClosed
from offhook.actors.mailbox import Mailbox
from offhook.protocol.record import CallRecord
from offhook.simulation.handset import Handset, answer_of
from offhook.simulation.speech import noise, utter

if TYPE_CHECKING:
    from offhook.simulation.world import World

#: Virtual seconds a caller waits for what a test expects.
PATIENCE = 15.0


#: Seconds to the caller's end of a socket and back.
ROUND_TRIP = 0.02


class SimulatedSocket:
    """A caller's WebSocket in memory; the gateway's end is a ``CallerSocket``."""

    def __init__(self) -> None:
        self.origin: str | None = None
        self.address = "203.0.113.7"
        self.path = "/api/v1/webrtc/signal"
        self.session = ""
        #: Frames of the caller; None is the end.
        self._to_gateway: Mailbox[str | None] = Mailbox()
        self._to_caller: Mailbox[str] = Mailbox()
        #: The code and reason of the Close frame, once there is one.
        self.closed: tuple[int, str] | None = None
        #: Called with each frame, and whether it is the caller's.
        self.on_frame: Callable[[str, bool], None] = lambda _text, _from_caller: None
        self._done = anyio.Event()

    async def receive(self) -> str:
        """See ``CallerSocket``."""
        if (frame := await self._to_gateway.get()) is not None:
            return frame
        # For whoever reads once more.
        self._to_gateway.put(None)
        raise SocketClosed(*(self.closed or (CloseCode.ABNORMAL, "")))

    async def send(self, text: str) -> None:
        """See ``CallerSocket``."""
        if self.closed is not None:
            raise SocketClosed(*self.closed)
        self.on_frame(text, False)
        self._to_caller.put(text)

    async def wait_received(self) -> None:
        """See ``CallerSocket``."""
        await anyio.sleep(ROUND_TRIP)
        if self.closed is not None:
            raise SocketClosed(*self.closed)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """See ``CallerSocket``."""
        if self.closed is None:
            self._end(int(code), reason)

    # ── the caller's end ───────────────────────────────────────────────────────────────────────────────────────

    def send_frame(self, frame: dict[str, Any]) -> None:
        """Send a JSON frame to the gateway."""
        text = json.dumps(frame)
        self.on_frame(text, True)
        self._to_gateway.put(text)

    async def next_frame(self) -> dict[str, Any]:
        """The next frame of the gateway."""
        frame: dict[str, Any] = json.loads(await self._to_caller.get())
        return frame

    def drop(self) -> None:
        """The connection goes away without a word."""
        if self.closed is None:
            self._end(CloseCode.ABNORMAL, "")

    def _end(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self._to_gateway.put(None)
        self._done.set()

    async def wait_closed(self) -> None:
        """Wait until either side has closed."""
        await self._done.wait()


class SimulatedCall:
    """A caller in a call."""

    def __init__(self, world: "World", socket: SimulatedSocket, handset: Handset) -> None:
        self._world = world
        self._heard = 0
        self.socket = socket
        self.handset = handset
        self.id = ""
        #: Every frame the gateway has sent; of these the events, and the errors.
        self.frames: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self._on_frame: Callable[[dict[str, Any]], None] = lambda _frame: None
        self._news = anyio.Event()

    async def says(self, text: str) -> None:
        """Say a sentence, to its end."""
        self.handset.say(utter(text))
        await self.handset.wait_said()

    async def coughs(self, seconds: float = 0.3) -> None:
        """Make a sound that is no speech."""
        self.handset.say(noise(seconds))
        await self.handset.wait_said()

    async def hears(self, text: str, *, within: float = PATIENCE) -> None:
        """Wait until the agent says ``text``; what came before it is skipped. ``within`` is in virtual seconds."""
        wanted = _plain(text)
        with anyio.move_on_after(within):
            while wanted not in _plain(" ".join(self.handset.words[self._heard :])):
                await self.handset.wait_heard()
            while wanted in _plain(" ".join(self.handset.words[self._heard + 1 :])):
                self._heard += 1
            self._heard += len(wanted.split())
            return
        raise AssertionError(
            f"the caller did not hear {text!r} within {within} s; heard {' '.join(self.handset.words[self._heard :])!r}"
        )

    async def sees(self, event: str, *, within: float = PATIENCE) -> dict[str, Any]:
        """Wait until the gateway has sent ``event`` (G10); returns its data."""
        with anyio.move_on_after(within):
            while True:
                for data in self.events:
                    if data["event"] == event:
                        return data
                self._news = anyio.Event()
                await self._news.wait()
        raise AssertionError(f"no {event!r} within {within} s; there were {[data['event'] for data in self.events]}")

    def watch(self, on_frame: Callable[[dict[str, Any]], None]) -> None:
        """Have ``on_frame`` called with each frame of the gateway."""
        self._on_frame = on_frame

    def offers_again(self) -> None:
        """Offer a new connection for the call, as a page does that hears nothing any more."""
        ticket = next(token for frame in reversed(self.frames) if (token := frame["data"].get("resumeToken")))
        self._heard = 0
        self.handset = self._world.new_handset()
        self.socket.send_frame(self._world.offer(self, ticket, sessionId=self.id))

    def hang_up(self) -> None:
        """End the call."""
        self.socket.send_frame({"type": "close", "sessionId": self.id})

    def vanish(self) -> None:
        """Network gone: no packets, no socket."""
        self.handset.present = False
        self.socket.drop()

    async def ended(self, *, within: float = 120.0) -> CallRecord:
        """Wait until the call has ended; returns its record."""
        with anyio.move_on_after(within):
            while True:
                record = await self._world.record(self.id)
                if record is not None and record.state == "ended":
                    return record
                await anyio.sleep(0.1)
        raise AssertionError(f"the call has not ended within {within} s")

    async def _listen(self) -> None:
        while True:
            frame = await self.socket.next_frame()
            self.frames.append(frame)
            self._on_frame(frame)
            self.id = frame["sessionId"] or self.id
            if frame["type"] == "answer":
                self.handset.accept(frame["data"]["sdp"])
            if frame["type"] == "event":
                self.events.append(frame["data"])
            elif frame["type"] == "error":
                self.errors.append(frame["data"])
            self._news.set()

    async def wait_answer(self) -> None:
        """Wait until the offer was answered or refused."""
        while not self.id and not self.errors:
            self._news = anyio.Event()
            await self._news.wait()


#: What the events of the session protocol are called in the gateway protocol.
_SAME = {
    "call_started": "answered",
    "agent_speaking": "speaking",
    "agent_listening": "listening",
    "transcript": "transcript",
    "call_ended": "ended",
}


class JoinedCall(SimulatedCall):
    """A caller in a call of the session protocol (S2), where the server offers; for the rest as any other."""

    def hang_up(self) -> None:
        """End the call."""
        self.socket.send_frame({"type": "close"})

    async def _listen(self) -> None:
        while True:
            frame = await self.socket.next_frame()
            self.frames.append(frame)
            self._on_frame(frame)
            kind = frame["type"]
            if kind == "offer":
                sdp = answer_of(self._world.number_of(self.handset))
                self.socket.send_frame({"type": "answer", "sdp": {"type": "answer", "sdp": sdp}})
            elif kind == "error":
                self.errors.append(frame)
            elif kind in _SAME:
                self.events.append({**frame, "event": _SAME[kind]})
            self._news.set()


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())
