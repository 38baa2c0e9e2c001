"""Reports to the session actor of a call: in order, at least once, and taken once.

The bus delivers at most once, and a session may move to another owner at any time. So whoever has facts for the
session numbers them, sends one, and waits until the session confirms it (``Taken``), sending it again each second.
The session ignores a number it has taken before, also after it was rebuilt: the numbers stand in its log.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from offhook.actors.inbox import Inbox
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import Bus, BusAway
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.messages import TO_REPORTER, Envelope, Taken, encode

log = logging.getLogger("offhook.reporter")

#: Seconds until an unconfirmed report is sent again.
RESEND = 1.0


class _Question:
    """Somebody waits for what became of a fact."""

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.accepted = False


class Reporter:
    """Sends the facts of one source to the session of one call."""

    def __init__(self, bus: Bus, call: str, source: str) -> None:
        self._bus = bus
        self._call = call
        self._source = source
        self._facts: Mailbox[tuple[CallEvent, _Question | None]] = Mailbox(1024)
        self._confirmed = Taken(source, 0)
        self._news = anyio.Event()
        self._open = 0

    def report(self, fact: CallEvent) -> None:
        """Send a fact after those before it. Raises ``MailboxFull`` when the session has not answered for long."""
        self._open += 1
        self._facts.put((fact, None))

    async def ask(self, fact: CallEvent) -> bool:
        """Send a fact and wait until it was taken; False when the call's state has no use for it."""
        question = _Question()
        self._open += 1
        self._facts.put((fact, question))
        await question.answered.wait()
        return question.accepted

    async def wait_confirmed(self) -> None:
        """Wait until everything reported so far was taken."""
        while self._open:
            await self._wait_news()

    async def _send(self) -> None:
        number = 0
        while True:
            fact, question = await self._facts.get()
            number += 1
            envelope = Envelope(call=self._call, source=self._source, number=number, body=fact)
            while self._confirmed.number < number:
                try:
                    await self._bus.publish(subjects.session(self._call), encode(envelope))
                except BusAway:
                    log.debug("report waits for the bus", extra={"call": self._call})
                with anyio.move_on_after(RESEND):
                    while self._confirmed.number < number:
                        await self._wait_news()
            self._open -= 1
            if question is not None:
                question.accepted = self._confirmed.accepted
                question.answered.set()
            self._news.set()

    async def _hear(self, inbox: Inbox) -> None:
        async for envelope in inbox:
            body = envelope.body
            if isinstance(body, Taken) and body.source == self._source and body.number > self._confirmed.number:
                self._confirmed = body
                self._news.set()

    async def _wait_news(self) -> None:
        if self._news.is_set():
            self._news = anyio.Event()
        await self._news.wait()


@asynccontextmanager
async def open_reporter(bus: Bus, call: str, source: str) -> AsyncIterator[Reporter]:
    """A reporter that sends while the context is open; leaving it drops what was not confirmed."""
    reporter = Reporter(bus, call, source)
    subject = subjects.taken(call, source)
    async with bus.subscribe(subject) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(reporter._hear, Inbox(bus, stream, subject=subject, kinds=TO_REPORTER, call=call))
        tasks.start_soon(reporter._send)
        try:
            yield reporter
        finally:
            tasks.cancel_scope.cancel()
