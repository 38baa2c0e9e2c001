"""``Recognizer`` on pocketsphinx: a small pool of worker processes shared by all calls."""

import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel

from offhook.actors.ports import SpeechFailed, Utterance
from offhook.protocol.speech import Heard, Hints
from offhook.services.speech.pipe import Drop, Feed, Finish, Forget, Open, Recognized
from offhook.services.speech.worker import Job, Worker

#: Calls whose worker is remembered; a call that was never forgotten must not stay for ever.
SPEAKER_LIMIT = 10_000
#: A worker that has not answered for so long hangs (seconds); the slowest honest answer takes about two.
ANSWER_TIMEOUT = 10.0


class PocketsphinxUtterance:
    """One utterance in a worker."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self._worker = worker
        self._job = job

    async def feed(self, pcm: bytes) -> None:
        """More audio; it is decoded while the caller goes on speaking. Raises ``SpeechFailed``."""
        await anyio.lowlevel.checkpoint()
        self._job.send(Feed(self._job.number, pcm))

    async def finish(self) -> Heard:
        """The words. Raises ``SpeechFailed``, also when there is no answer within ``ANSWER_TIMEOUT``."""
        self._job.send(Finish(self._job.number))
        try:
            with anyio.fail_after(ANSWER_TIMEOUT):
                reply = await self._job.receive()
        except TimeoutError:
            self._worker.kill()
            raise SpeechFailed("the recognizer did not answer in time") from None
        assert isinstance(reply, Recognized)
        return reply.heard


class PocketsphinxRecognizer:
    """Speech to text in worker processes. A speaker stays with one worker, where its cepstral means are kept."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self._speakers: OrderedDict[str, Worker] = OrderedDict()

    def open_utterance(self, hints: Hints, *, speaker: str) -> AbstractAsyncContextManager[Utterance]:
        """Begin an utterance; never waits for a model. A grammar that cannot be used is reported by ``finish``."""
        return self._open_utterance(hints, speaker)

    @asynccontextmanager
    async def _open_utterance(self, hints: Hints, speaker: str) -> AsyncIterator[Utterance]:
        worker = self._worker_of(speaker)
        await anyio.lowlevel.checkpoint()
        with worker.open_job() as job:
            job.send(Open(job.number, hints, speaker))
            try:
                yield PocketsphinxUtterance(worker, job)
            finally:
                if worker.holds(job.number):
                    worker.post(Drop(job.number))

    async def forget(self, speaker: str) -> None:
        """The call is over: drop its cepstral means."""
        await anyio.lowlevel.checkpoint()
        worker = self._speakers.pop(speaker, None)
        if worker is not None:
            worker.post(Forget(speaker))

    def _worker_of(self, speaker: str) -> Worker:
        worker = self._speakers.get(speaker)
        if worker is None:
            held = list(self._speakers.values())
            worker = min(self.workers, key=held.count)
            self._speakers[speaker] = worker
            if len(self._speakers) > SPEAKER_LIMIT:
                self._speakers.popitem(last=False)
        else:
            self._speakers.move_to_end(speaker)
        return worker


@asynccontextmanager
async def open_recognizer(*, workers: int | None = None) -> AsyncGenerator[PocketsphinxRecognizer, None]:
    """A recognizer with ``workers`` processes (default: half the cores); they load their models in the background."""
    pool = [Worker("offhook.services.speech.recognizer_worker") for _ in range(workers or default_workers())]
    async with anyio.create_task_group() as tasks:
        for worker in pool:
            tasks.start_soon(worker.run)
        yield PocketsphinxRecognizer(pool)
        tasks.cancel_scope.cancel()


def default_workers() -> int:
    """Half the cores: the other half moves audio."""
    return max(1, (os.cpu_count() or 2) // 2)
