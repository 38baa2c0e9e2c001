"""Exchange: a request that waits for its answers."""

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from offhook.actors.ports import BusAway

#: Seconds of silence until a request raises ``BusAway``.
PATIENCE = 2.0

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
    """A request that waits for its answers: ``done`` is set when ``take`` has returned True for one of them."""

    def __init__(self, inbox: str, subject: str, take: Callable[[Reply], bool], silence: float) -> None:
        #: Where the answers are to be sent, if they have no subscription of their own.
        self.inbox = inbox
        self._subject = subject
        self._take = take
        self._silence = silence
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(silence, self._check)
        self.done: asyncio.Future[None] = self._loop.create_future()

    def answer(self, reply: Reply) -> None:
        """An answer has come."""
        self._heard = self._loop.time()
        if not self.done.done() and self._take(reply):
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """No more answers will come: ``done`` raises ``BusAway``."""
        if not self.done.done():
            self.done.set_exception(BusAway(why))

    def _check(self) -> None:
        due = self._heard + self._silence
        if due <= self._loop.time():
            self.fail(f"no answer from {self._subject}")
        else:
            self._timer = self._loop.call_at(due, self._check)

    def close(self) -> None:
        """Nobody waits any more."""
        self._timer.cancel()
        # ``cancel`` alone would leave an exception that nobody has seen to be complained about.
        if not self.done.cancel() and not self.done.cancelled():
            self.done.exception()
