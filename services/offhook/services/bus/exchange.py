"""Exchange: a request that waits for its answers."""

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from offhook.actors.ports import BusAway

#: Seconds of silence until a request raises ``BusAway``.
PATIENCE = 2.0
#: Looks at whether there was an answer, in that time.
LOOKS = 8

Headers = dict[str, str]


class Reply(msgspec.Struct, frozen=True):
    """A message as JetStream answers it."""

    subject: str
    data: bytes
    #: Where an ack goes.
    reply: str
    headers: Headers

    @property
    def status(self) -> str:
        """``404``, ``204``, ...; empty for an ordinary message."""
        return self.headers.get("Status", "")


def reply_of(msg: Msg) -> Reply:
    """nats-py's message as ours."""
    return Reply(msg.subject, msg.data, msg.reply, msg.headers or {})


class Exchange:
    """A request that waits for its answers: ``done`` is set when ``take`` has returned True for one of them.

    Silence is counted by looks, not by the clock. While this process stood still, or its loop had more to do than time,
    answers wait unread; that is no silence of the bus.
    """

    def __init__(self, inbox: str, subject: str, take: Callable[[Reply], bool], silence: float) -> None:
        #: Where the answers are to be sent, if they have no subscription of their own.
        self.inbox = inbox
        self._subject = subject
        self._take = take
        self._every = silence / LOOKS
        self._looks = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._every, self._look)
        self.done: asyncio.Future[None] = self._loop.create_future()

    def answer(self, reply: Reply) -> None:
        """An answer has come."""
        self._looks = 0
        if not self.done.done() and self._take(reply):
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """No more answers will come: ``done`` raises ``BusAway``."""
        if not self.done.done():
            self.done.set_exception(BusAway(why))

    def _look(self) -> None:
        self._looks += 1
        if self._looks == LOOKS:
            self.fail(f"no answer from {self._subject}")
        else:
            self._timer = self._loop.call_later(self._every, self._look)

    def close(self) -> None:
        """Nobody waits any more."""
        self._timer.cancel()
        # ``cancel`` alone would leave an exception that nobody has seen to be complained about.
        if not self.done.cancel() and not self.done.cancelled():
            self.done.exception()
