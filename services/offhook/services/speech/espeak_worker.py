"""The process behind ``EspeakSynthesizer``: reads orders from standard input, writes replies to standard output.

Run as ``python -m offhook.services.speech.espeak_worker``; it leaves when its standard input closes. Texts are spoken
one after the other, much faster than real time; an order to stop is noticed between two chunks of 60 ms.
"""

import os
import select
import sys
from collections import deque

import msgspec
import numpy
import soxr

from offhook.protocol.speech import MOUTH_RATE, Voice
from offhook.services.speech.espeak import Espeak
from offhook.services.speech.pipe import Failed, Speak, Spoken, SynthesizerOrder, Unpacker, pack

#: Brings the default voice to about -20 dBFS while it speaks.
GAIN = 1.0
#: Samples above this are bent, so that no gain clips.
KNEE = 0.7


class Speech:
    """One text on its way out: resampled, levelled, its words on the time line of ``MOUTH_RATE``."""

    def __init__(self, job: int, rate: int, text: str) -> None:
        self.job = job
        self._rate = rate
        self._length = len(text)
        self._resampler = soxr.ResampleStream(rate, MOUTH_RATE, 1, dtype="float32", quality="HQ")
        self._sent = 0
        self._end = 0
        self._waiting: deque[tuple[int, int]] = deque()

    def take(self, pcm: bytes, words: list[tuple[int, int]], *, last: bool = False) -> Spoken:
        """The reply for more samples of the engine."""
        for sample, end in words:
            # Numbers are several words at one place of the text: the place must not go back.
            self._end = max(self._end, min(end, self._length))
            self._waiting.append((sample * MOUTH_RATE // self._rate, self._end))
        samples = numpy.frombuffer(pcm, "<i2").astype(numpy.float32) * (GAIN / 32768)
        out = self._resampler.resample_chunk(samples, last=last)
        self._sent += len(out)
        begun = []
        while self._waiting and (last or self._waiting[0][0] < self._sent):
            begun.append(self._waiting.popleft())
        return Spoken(self.job, (_bend(out) * 32767).astype("<i2").tobytes(), begun, last)


def _bend(samples: numpy.ndarray) -> numpy.ndarray:
    loud = numpy.abs(samples)
    if loud.size == 0 or loud.max() <= KNEE:
        return samples
    room = 1 - KNEE
    bent = KNEE + room * numpy.tanh((loud - KNEE) / room)
    return numpy.where(loud <= KNEE, samples, numpy.copysign(bent, samples))


class EspeakWorker:
    """The texts waiting in this process."""

    def __init__(self, replies: int) -> None:
        self._espeak = Espeak()
        self._replies = replies
        self._unpacker = Unpacker()
        self._decoder = msgspec.msgpack.Decoder(SynthesizerOrder)
        self._texts: dict[int, Speak] = {}
        self._open = True

    def serve(self) -> None:
        """Speak what is ordered until standard input closes."""
        while self._read(wait=not self._texts):
            if self._texts:
                self._speak(next(iter(self._texts.values())))

    def _read(self, *, wait: bool) -> bool:
        """Take the orders that have come; False when standard input is closed."""
        while self._open and select.select([0], [], [], None if wait else 0)[0]:
            data = os.read(0, 262_144)
            self._open = data != b""
            for body in self._unpacker.feed(data):
                order = self._decoder.decode(body)
                if isinstance(order, Speak):
                    self._texts[order.job] = order
                else:
                    self._texts.pop(order.job, None)
            wait = False
        return self._open

    def _speak(self, order: Speak) -> None:
        speech = Speech(order.job, self._espeak.rate, order.text)

        def listener(pcm: bytes, words: list[tuple[int, int]]) -> bool:
            self._reply(speech.take(pcm, words))
            return not self._read(wait=False) or order.job not in self._texts

        try:
            self._set_voice(order.voice)
            self._espeak.speak(order.text, listener)
        except RuntimeError as error:
            self._reply(Failed(order.job, f"synthesis failed: {error}"))
        else:
            if order.job in self._texts:
                self._reply(speech.take(b"", [], last=True))
        self._texts.pop(order.job, None)

    def _set_voice(self, voice: Voice) -> None:
        # A plain "en-us" gets the variant that is easiest on the ear; "en-us+f2" and the like are taken as they are.
        language = voice.name.partition("+")[0]
        names = (voice.name if "+" in voice.name else f"{voice.name}+{VARIANT}", language, "en-us")
        self._espeak.set_voice(
            names,
            rate=min(max(voice.rate, 80), 450),
            pitch=min(max(voice.pitch, 0), 100),
            pitch_range=PITCH_RANGE,
            word_gap=WORD_GAP,
        )

    def _reply(self, reply: msgspec.Struct) -> None:
        view = memoryview(pack(reply))
        while view:
            view = view[os.write(self._replies, view) :]


#: Variant of a voice that names none.
VARIANT = "Annie"
#: 0 to 100; 50 is the engine's own. A little flatter sounds less like singing.
PITCH_RANGE = 45
#: Pause between words, in 10 ms.
WORD_GAP = 1


def main() -> None:
    """Serve until standard input closes."""
    # Standard output carries the replies; whatever the library prints must not fall between them.
    replies = os.dup(1)
    os.dup2(2, 1)
    try:
        EspeakWorker(replies).serve()
    except BrokenPipeError:
        sys.exit(0)  # the owner is gone


if __name__ == "__main__":
    main()
