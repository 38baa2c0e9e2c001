"""The process behind ``PocketsphinxRecognizer``: reads orders from standard input, writes replies to standard output.

Run as ``python -m offhook.services.speech.recognizer_worker``; it leaves when its standard input closes.
"""

import os
import sys

import msgspec

from offhook.services.speech.decoding import Ear, Hearing
from offhook.services.speech.pipe import (
    Drop,
    Failed,
    Feed,
    Finish,
    Forget,
    Open,
    Recognized,
    RecognizerOrder,
    pack,
    read_body,
)


class RecognizerWorker:
    """The utterances of this process, each by its job."""

    def __init__(self) -> None:
        self._ear = Ear()
        self._hearings: dict[int, Hearing] = {}

    def obey(self, order: RecognizerOrder) -> Recognized | Failed | None:
        """Carry out one order; the reply, if it has one."""
        if isinstance(order, Forget):
            self._ear.forget(order.speaker)
            return None
        try:
            return self._obey_job(order)
        except (ValueError, RuntimeError) as error:  # what pocketsphinx raises: a grammar that is none, a model gone
            self._drop(order.job)
            return Failed(order.job, f"recognition failed: {error}")

    def _obey_job(self, order: Open | Feed | Finish | Drop) -> Recognized | None:
        if isinstance(order, Open):
            self._hearings[order.job] = Hearing(self._ear, order.hints, order.speaker)
        elif isinstance(order, Drop):
            self._drop(order.job)
        elif (hearing := self._hearings.get(order.job)) is None:
            return None  # it failed before, and its owner has been told
        elif isinstance(order, Feed):
            hearing.feed(order.pcm)
        else:
            del self._hearings[order.job]
            return Recognized(order.job, hearing.finish())
        return None

    def _drop(self, job: int) -> None:
        hearing = self._hearings.pop(job, None)
        if hearing is not None:
            hearing.close()


def main() -> None:
    """Serve until standard input closes."""
    # Standard output carries the replies; whatever a library prints must not fall between them.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = RecognizerWorker()
    decoder = msgspec.msgpack.Decoder(RecognizerOrder)
    while (body := read_body(sys.stdin.buffer)) is not None:
        reply = worker.obey(decoder.decode(body))
        if reply is not None:
            try:
                replies.write(pack(reply))
                replies.flush()
            except BrokenPipeError:
                return


if __name__ == "__main__":
    main()
