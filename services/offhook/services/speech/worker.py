"""A speech worker as its owner sees it: a child process that is started again whenever it dies.

Engines sit in processes of their own because they hold the interpreter lock (pocketsphinx), keep global state and
carry another licence (espeak-ng). The worker leaves by itself when its standard input closes, so that none survives
an owner that was killed.

Orders are queued while a process is (re)starting, so nobody waits for it; the jobs a dead process took with it fail.
"""

import math
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from offhook.actors.ports import SpeechFailed
from offhook.services.speech.pipe import Failed, Reply, Unpacker, pack

#: Orders that may wait for a worker: some seconds of the audio of many calls. Beyond it the worker is overloaded.
QUEUE_LIMIT = 8_192
#: A process that lived shorter than this is broken rather than unlucky: wait before the next one (seconds).
SHORT_LIFE = 2.0

_decoder = msgspec.msgpack.Decoder(Reply)


class Job:
    """One piece of work of a worker: orders down, replies up, until the process dies or the job is closed."""

    def __init__(self, worker: "Worker", number: int, replies: MemoryObjectReceiveStream[Reply]) -> None:
        self.number = number
        self._worker = worker
        self._replies = replies

    def send(self, order: msgspec.Struct) -> None:
        """Queue an order; never waits. Raises ``SpeechFailed`` if the worker died or is overloaded."""
        if not self._worker.holds(self.number):
            raise SpeechFailed("the speech worker stopped")
        self._worker.post(order)

    async def receive(self) -> Reply:
        """The next reply. Raises ``SpeechFailed`` if the job failed or its process died."""
        try:
            reply = await self._replies.receive()
        except anyio.EndOfStream:
            raise SpeechFailed("the speech worker stopped") from None
        if isinstance(reply, Failed):
            raise SpeechFailed(reply.message)
        return reply


class Worker:
    """A child process running ``module``, its queue of orders and its open jobs."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._orders: deque[bytes] = deque()
        self._wake = anyio.Event()
        self._jobs: dict[int, MemoryObjectSendStream[Reply]] = {}
        self._last_job = 0
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id, or None while there is no process."""
        return self._process.pid if self._process else None

    @property
    def load(self) -> int:
        """Jobs open now."""
        return len(self._jobs)

    def holds(self, number: int) -> bool:
        """Whether this job can still be answered."""
        return number in self._jobs

    def post(self, order: msgspec.Struct) -> None:
        """Queue an order that belongs to no job. Raises ``SpeechFailed`` if the queue is full."""
        if len(self._orders) >= QUEUE_LIMIT:
            raise SpeechFailed("the speech worker is overloaded")
        self._orders.append(pack(order))
        self._wake.set()

    @contextmanager
    def open_job(self) -> Iterator[Job]:
        """A new job; what is still on its way for it when the context is left is dropped."""
        self._last_job += 1
        number = self._last_job
        # Unbounded, because a reply must never block the replies of other jobs; what a job can be sent is bounded by
        # what it asked for (one result, or the speech of one sentence).
        send, receive = anyio.create_memory_object_stream[Reply](math.inf)
        self._jobs[number] = send
        try:
            with send, receive:
                yield Job(self, number, receive)
        finally:
            self._jobs.pop(number, None)

    def kill(self) -> None:
        """End a process that does not answer; another one follows."""
        if self._process is not None:
            self._process.kill()

    async def run(self) -> None:
        """Keep a process running until cancelled."""
        while True:
            born = anyio.current_time()
            try:
                await self._live()
            except OSError:
                pass  # no memory or no process left: the jobs fail below, and we try again
            finally:
                self._process = None
                self._orders.clear()
                for send in self._jobs.values():
                    send.close()
                self._jobs.clear()
            if anyio.current_time() - born < SHORT_LIFE:
                await anyio.sleep(SHORT_LIFE / 4)

    async def _live(self) -> None:
        """The life of one process."""
        command = [sys.executable, "-m", self._module]
        # Its own session: a Ctrl-C at the terminal is for the owner, who then closes the pipes in order.
        async with await anyio.open_process(command, stderr=None, start_new_session=True) as process:
            self._process = process
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, process)
                await self._read(process)
                tasks.cancel_scope.cancel()

    async def _write(self, process: Process) -> None:
        assert process.stdin is not None
        while True:
            while not self._orders:
                self._wake = anyio.Event()
                await self._wake.wait()
            data = b"".join(self._orders)
            self._orders.clear()
            try:
                await process.stdin.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # it died; the reader sees the same

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        unpacker = Unpacker()
        try:
            while True:
                for body in unpacker.feed(await process.stdout.receive(262_144)):
                    reply = _decoder.decode(body)
                    if (send := self._jobs.get(reply.job)) is not None:
                        send.send_nowait(reply)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        except ValueError:  # out of step, or a message that is none: this process cannot be trusted any more
            process.kill()
