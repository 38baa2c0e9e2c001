"""Callers who do what callers do, drawn from a seed: speak, interrupt, cough, pause, type, hang up, vanish, come back.

Every word a caller says is said once (``c1``, ``c2`` ...), so a transcript tells what was heard twice or not at all.
"""

import random
from collections.abc import Callable
from typing import Any

import anyio

from offhook.simulation.calls import SimulatedCall
from offhook.simulation.handset import FRAME, Handset
from offhook.simulation.rehearsal import AGENT
from offhook.simulation.speech import noise, utter
from offhook.simulation.world import World

#: Seconds a caller waits for an answer to the offer.
PATIENCE = 15.0
#: Seconds after which a page whose socket is gone tries again, and how often.
RETRY = 1.0
TRIES = 8
#: Seconds after which a page whose offer of new audio led to nothing makes another one.
OFFER_AGAIN = 5.0
#: Events that tell whether a call goes on.
STATES = frozenset({"answered", "held", "resumed", "reconnecting"})


class RandomCaller:
    """One caller with one intention: a call of some length."""

    def __init__(self, world: World, number: int, chance: random.Random) -> None:
        self.number = number
        self._world = world
        self._chance = chance
        self._words = 0
        self._ticket = ""
        self.call: SimulatedCall
        #: False: the caller talks to itself, in echo mode.
        self.talks = chance.random() < 0.95
        self.id = ""
        #: Every connection's end at the caller, oldest first.
        self.handsets: list[Handset] = []
        #: Words that were spoken, and those that were typed.
        self.spoken: list[str] = []
        self.typed: list[str] = []
        #: What the caller's page was told last of all.
        self.events: list[str] = []
        #: True from the word that the call has no audio until the word that it goes on.
        self._cut_off = False
        #: Called when ``call`` is a new connection.
        self.on_connect: Callable[[], None] = lambda: None
        #: True once the caller has left for good.
        self.done = False
        #: True when audio may have gone astray on the caller's side.
        self.patchy = False

    async def run(self, until: float) -> None:
        """Call, talk, and leave before ``until`` (virtual seconds)."""
        chance = self._chance
        await anyio.sleep(chance.uniform(0.0, 8.0))
        if await self._dial():
            leave = min(until, anyio.current_time() + chance.uniform(2.0, 25.0))
            while anyio.current_time() < leave and not self._over():
                await self._act()
            await self._leave()
        self.done = True

    # ── dialing ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _dial(self) -> bool:
        chance = self._chance
        await self._connect()
        fields: dict[str, Any] = {"callSid": f"sid-{self.number}"} if chance.random() < 0.3 else {}
        if not self.talks:
            fields["mode"] = "echo"
        frame = self._world.offer(self.call, AGENT if chance.random() < 0.5 else f"{AGENT}#{self.number}", **fields)
        self.call.socket.send_frame(frame)
        if chance.random() < 0.1:
            self.call.socket.send_frame(frame)
        if chance.random() < 0.05:
            await anyio.sleep(chance.uniform(0.0, 0.3))
            self.patchy = True
            self.call.vanish()
        with anyio.move_on_after(PATIENCE):
            while not self.call.id and self.call.socket.closed is None:  # noqa: ASYNC110 - a person looks now and then
                await anyio.sleep(0.1)
        self.id = self.call.id
        if self.id and self.call.handset.present:
            return True
        self.call.vanish()
        return False

    async def _connect(self) -> None:
        while not (gateways := self._gateways()):  # noqa: ASYNC110 - a person tries again
            await anyio.sleep(0.5)
        self.call = await self._world.connect(gateway=self._chance.choice(gateways))
        self.call.watch(self._see)
        self.handsets.append(self.call.handset)
        self.on_connect()

    def _gateways(self) -> list[str]:
        return [node.name for node in self._world.nodes.values() if node.kind == "gateway" and not node.killed]

    def _see(self, frame: dict[str, Any]) -> None:
        if frame["type"] in {"answer", "resumed"}:
            self._ticket = frame["data"].get("resumeToken", "")
        if frame["type"] == "event":
            event = frame["data"]["event"]
            self.events.append(event)
            if event in STATES:
                self._cut_off = event == "reconnecting"

    def _over(self) -> bool:
        closed = self.call.socket.closed
        return "ended" in self.events or (closed is not None and closed[0] != 1006 and closed[0] != 4409)

    # ── in the call ────────────────────────────────────────────────────────────────────────────────────────────

    async def _act(self) -> None:
        chance = self._chance
        if self.call.socket.closed is not None and chance.random() < 0.7:
            await self._come_back(with_media=chance.random() < 0.3)
            return
        if self._cut_off and self._ticket and chance.random() < 0.9:
            await self._offer_again()
            return
        what = chance.random()
        if what < 0.40:
            await self._wait_for_silence()
            await self.speak(chance.randint(1, 4))
        elif what < 0.52:
            await self.speak(chance.randint(1, 3))
        elif what < 0.58:
            await self.speak(1, "book")
        elif what < 0.64:
            await self.speak(1, "story")
        elif what < 0.65:
            await self.speak(1, "think")
        elif what < 0.70:
            await self._send(noise(chance.uniform(0.1, 0.5)))
        elif what < 0.74:
            self._type()
        elif what < 0.77:
            self.call.socket.send_frame({"type": "close", "sessionId": "wrong"})
        elif what < 0.81:
            self.call.socket.drop()
        elif what < 0.84:
            await self._reload()
        elif what < 0.88:
            await self._lose_network()
        else:
            await anyio.sleep(chance.uniform(0.2, 4.0))

    async def speak(self, count: int, order: str = "") -> None:
        """Say ``count`` new words, the last of them ``order``."""
        words = [f"c{self._words + number}" for number in range(1, count + 1)]
        self._words += count
        self.spoken += words
        await self._send(utter(" ".join([*words, *([order] if order else [])])))

    async def _send(self, frames: list[bytes]) -> None:
        handset = self.call.handset
        handset.say(frames)
        await anyio.sleep(len(frames) * FRAME + self._chance.uniform(0.05, 1.0))
        if handset.speaks:
            # Nobody took it: there is no connection, or no server any more.
            handset.hush()

    async def _wait_for_silence(self) -> None:
        with anyio.move_on_after(6):
            while self.call.handset.hears_voice:  # noqa: ASYNC110 - a person listens now and then
                await anyio.sleep(0.2)

    def _type(self) -> None:
        self._words += 1
        self.typed.append(f"c{self._words}")
        self.call.socket.send_frame({"type": "text", "sessionId": self.id, "data": {"text": f"c{self._words}"}})

    async def _lose_network(self) -> None:
        self.patchy = True
        self.call.handset.present = False
        await anyio.sleep(self._chance.choice((1.0, 5.0, 8.0)))
        self.call.handset.present = True

    async def _reload(self) -> None:
        self.patchy = True
        self.call.vanish()
        await anyio.sleep(self._chance.uniform(0.5, 6.0))
        await self._come_back(with_media=True)

    async def _come_back(self, *, with_media: bool) -> None:
        """What the SDK does: a new socket, the ticket of the old one, and a new offer when the media is gone too."""
        handset = self.call.handset
        for _ in range(TRIES):
            if not self._ticket or self._over():
                break
            await self._connect()
            ticket, self._ticket = self._ticket, ""
            self.call.socket.send_frame(
                {"type": "resume", "sessionId": self.id, "authToken": ticket, "data": {"seq": 0}}
            )
            with anyio.move_on_after(RETRY):
                while not self._ticket and self.call.socket.closed is None:  # noqa: ASYNC110 - as above
                    await anyio.sleep(0.1)
            if self._ticket:
                break
            self.call.socket.drop()
            # The ticket may have been spent without an answer; then nothing more can be done.
            self._ticket = ticket
        if with_media and self._ticket:
            self.patchy = True
            handset.present = False
            self.call.socket.send_frame(self._world.offer(self.call, self._ticket, sessionId=self.id))
            await anyio.sleep(1.0)
        else:
            # The same page with a new socket: the connection for audio is still the old one.
            self.handsets.remove(self.call.handset) if self.call.handset is not handset else None
            self.call.handset = handset
            await anyio.sleep(0.5)

    async def _offer_again(self) -> None:
        """What the SDK does when it is told that the call has no audio."""
        self.call.handset = self._world.new_handset()
        self.handsets.append(self.call.handset)
        self.on_connect()
        self.call.socket.send_frame(self._world.offer(self.call, self._ticket, sessionId=self.id))
        with anyio.move_on_after(OFFER_AGAIN):
            while self._cut_off and self.call.socket.closed is None:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.1)

    async def _leave(self) -> None:
        how = self._chance.random()
        if self.call.socket.closed is not None:
            self.patchy = True
            self.call.vanish()
        elif how < 0.5:
            self.call.hang_up()
        elif how < 0.75:
            await self._wait_for_silence()
            await self.speak(1, "bye")
            with anyio.move_on_after(6):
                while not self._over():  # noqa: ASYNC110 - as above
                    await anyio.sleep(0.2)
            self.call.hang_up()
        else:
            self.patchy = True
            self.call.vanish()
        await anyio.sleep(2.0)
        # A page that is closed takes its connections with it.
        self.patchy = self.patchy or not self._over()
        self.call.vanish()
        for handset in self.handsets:
            handset.present = False
