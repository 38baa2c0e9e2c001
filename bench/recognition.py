"""How well the offline recognizer understands callers of the demo agent.

Callers are synthetic voices (flite slt and rms, espeak-ng en-us; flite and espeak-ng must be installed). They talk
along the front desk's flow with room noise under them; what they say goes through the detector and the recognizer as
in a call, one frame of 20 ms at a time, with ``--opus`` through an Opus encoder first. Then every voice says sentences
that make no sense to the front desk. The latency of ``finish()`` is that of a call only with ``--speed 1``.

    python bench/recognition.py [--opus 24000] [--noise 30] [--voices slt,rms,espeak] [--speed 1] [--show]

Prints one line per voice and, last, one JSON line with the whole.
"""

import argparse
import statistics
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy
import soxr
from measure.figures import Progress, machine, print_result

from offhook.actors.flow_brain import FlowBrain
from offhook.actors.ports import Recognizer
from offhook.protocol.flow.understanding import understand
from offhook.protocol.speech import EAR_FRAME, EAR_RATE, Heard, Hints
from offhook.services.agents import open_agents
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.opus import OpusDecoder
from offhook.services.speech import EndpointDetector, open_recognizer

#: Conversations along the demo's flow, a caller's sentence each: 44 sentences.
CONVERSATIONS = (
    ("hello", "what are your opening hours", "are you open on sunday", "no thank you"),
    ("i would like to book an appointment", "on tuesday", "at three pm", "yes", "no"),
    ("can i book an appointment on friday at ten am", "yes please", "what did i book", "that is all"),
    ("book an appointment on monday", "half past two", "no", "wednesday at nine am", "yes that is right", "goodbye"),
    ("where are you located", "is there parking", "which bus goes there", "thank you very much"),
    ("i want to leave a message", "it is about a payment", "five five five one two three four", "yes", "nothing else"),
    ("how much does it cost", "do you take credit cards", "what services do you offer", "i am a beginner"),
    ("can i talk to a person", "no", "when do you open", "what should i bring", "see you later"),
    (
        "can someone call me back",
        "nine eight seven six oh two",
        "no",
        "my number is zero four one seven three eight six",
    ),
    ("how are you", "are you a robot", "what can you do"),
)
#: Sentences outside of the grammar.
OUTSIDE = (
    "my dog ate all of the purple sausages",
    "the president flew to brazil last week",
    "could you order me a large pizza with mushrooms",
    "seven elephants walk through the forest",
    "i really do not understand this strange machine",
    "tell me a joke about computers",
    "the weather in norway was terrible",
    "he plays the violin every evening",
    "please turn off the kitchen lights",
    "my grandmother bakes wonderful bread",
)


@dataclass
class Tally:
    """What was counted for one voice."""

    words: int = 0
    word_errors: int = 0
    sentences: int = 0
    sentence_errors: int = 0
    intent_errors: int = 0
    rejected: int = 0
    outside: int = 0
    outside_trusted: int = 0
    missed: int = 0
    cut: int = 0
    finish: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | int]:
        """Rates in percent and latencies in milliseconds."""
        cuts = statistics.quantiles(self.finish, n=20) if len(self.finish) > 1 else [0.0] * 19
        return {
            "sentences": self.sentences,
            "word_error_percent": round(100 * self.word_errors / max(1, self.words), 1),
            "sentence_error_percent": round(100 * self.sentence_errors / max(1, self.sentences), 1),
            "intent_error_percent": round(100 * self.intent_errors / max(1, self.sentences), 1),
            "rejected_percent": round(100 * self.rejected / max(1, self.sentences), 1),
            "outside": self.outside,
            "outside_trusted_percent": round(100 * self.outside_trusted / max(1, self.outside), 1),
            "not_detected": self.missed,
            "cut_in_two": self.cut,
            "finish_p50_ms": round(cuts[9] * 1000, 1),
            "finish_p95_ms": round(cuts[18] * 1000, 1),
        }

    def add(self, other: "Tally") -> None:
        """Count the other's too."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Caller:
    """A synthetic voice in a room with some noise, at the near end of an Opus line if ``opus`` gives its rate."""

    def __init__(self, voice: str, *, noise: float, opus: int | None, speed: float) -> None:
        self.voice = voice
        #: Seconds a frame of 20 ms takes.
        self.pace = 0.02 / speed
        self._noise = noise
        self._opus = opus
        self._chance = numpy.random.default_rng(7)

    def say(self, text: str) -> bytes:
        """Half a second of room, the sentence, a second of room; ``EAR_RATE``."""
        rate, speech = _synthesize(self.voice, text)
        speech = numpy.concatenate([numpy.zeros(rate // 2), speech, numpy.zeros(rate)])
        target = self._opus or EAR_RATE
        speech = soxr.resample(speech, rate, target)
        speech += self._chance.normal(0, self._noise, len(speech))
        pcm = numpy.clip(speech, -32768, 32767).astype("<i2").tobytes()
        return self._line(pcm) if self._opus else pcm

    def _line(self, pcm: bytes) -> bytes:
        assert self._opus is not None
        encoder, decoder = OpusEncoder(self._opus), OpusDecoder(EAR_RATE)
        size = self._opus // 50 * 2
        return b"".join(
            decoder.decode(encoder.encode(pcm[at : at + size])) for at in range(0, len(pcm) - size + 1, size)
        )


def _synthesize(voice: str, text: str) -> tuple[int, numpy.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        if voice == "espeak":
            command = ["espeak-ng", "-v", "en-us", "-s", "160", "-w", str(path), text]
        else:
            command = ["flite", "-voice", voice, "-t", text, "-o", str(path)]
        subprocess.run(command, check=True)
        with wave.open(str(path)) as sound:
            samples = numpy.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(numpy.float64)
            return sound.getframerate(), samples


async def listen(
    recognizer: Recognizer, hints: Hints, caller: Caller, said: str, speaker: str, tally: Tally
) -> list[Heard]:
    """What is heard of a sentence: one result for each stretch that the detector finds."""
    detector, heard, audio = EndpointDetector(), [], caller.say(said)
    frames = iter([audio[at : at + EAR_FRAME] for at in range(0, len(audio) - EAR_FRAME + 1, EAR_FRAME)])
    for frame in frames:
        if not detector.feed(frame):
            continue
        async with recognizer.open_utterance(hints, speaker=speaker) as utterance:
            await utterance.feed(detector.lead())
            for following in frames:
                await utterance.feed(following)
                await anyio.sleep(caller.pace)
                if not detector.feed(following):
                    break
            begun = anyio.current_time()
            heard.append(await utterance.finish())
            tally.finish.append(anyio.current_time() - begun)
    return heard


async def converse(recognizer: Recognizer, caller: Caller, tally: Tally, *, show: bool) -> None:
    """All conversations of one caller. The flow goes on with what was said, so that a mistake counts once."""
    agents = open_agents(None)
    document = agents.document("front-desk")
    for number, sentences in enumerate(CONVERSATIONS):
        brain = FlowBrain(document, today="monday")
        [action async for action in brain.open()]
        speaker = f"{caller.voice}-{number}"
        for said in sentences:
            assert brain.state is not None
            heard = await listen(recognizer, brain.hints(), caller, said, speaker, tally)
            result = _joined(heard)
            count(tally, said, heard)
            meant = understand(document, brain.state, Heard(text=said))
            wrong = understand(document, brain.state, result) != meant
            tally.intent_errors += wrong
            if show and (wrong or result.text != said):
                print(f"  {brain.state.node}: {said!r} -> {result.text!r} {result.score:.2f} trusted={result.trusted}")
            [action async for action in brain.hear(Heard(text=said))]
        await recognizer.forget(speaker)
    brain = FlowBrain(document, today="monday")
    [action async for action in brain.open()]
    for said in OUTSIDE:
        heard = await listen(recognizer, brain.hints(), caller, said, caller.voice, tally)
        tally.outside += 1
        tally.outside_trusted += any(part.trusted for part in heard)
        if show:
            print(f"  outside: {said!r} -> {[(part.text, part.trusted, round(part.score, 2)) for part in heard]}")


def _joined(heard: list[Heard]) -> Heard:
    if len(heard) == 1:
        return heard[0]
    text = " ".join(part.text for part in heard)
    return Heard(text=text, trusted=bool(heard) and all(part.trusted for part in heard))


def count(tally: Tally, said: str, heard: list[Heard]) -> None:
    """Add one sentence."""
    result = _joined(heard)
    words = said.split()
    errors = distance(words, result.text.split())
    tally.words += len(words)
    tally.word_errors += errors
    tally.sentences += 1
    tally.sentence_errors += errors > 0
    tally.rejected += bool(heard) and not result.trusted
    tally.missed += not heard
    tally.cut += len(heard) > 1


def distance(said: list[str], heard: list[str]) -> int:
    """Words to insert, delete or replace."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(said, 1):
        before, row[0] = row[0], index
        for place, other in enumerate(heard, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--voices", default="slt,rms,espeak")
    parser.add_argument("--noise", type=float, default=30.0, help="root mean square of the room's noise (16 bits)")
    parser.add_argument("--opus", type=int, choices=(16_000, 24_000, 48_000), help="through Opus at this rate")
    parser.add_argument("--speed", type=float, default=5.0, help="how much faster than real time callers speak")
    parser.add_argument("--show", action="store_true", help="print every sentence that was not understood")
    return parser.parse_args()


def callers(options: argparse.Namespace) -> Iterator[Caller]:
    """The voices asked for."""
    for voice in options.voices.split(","):
        yield Caller(voice, noise=options.noise, opus=options.opus, speed=options.speed)


async def main() -> None:
    """Run the benchmark."""
    options = arguments()
    before = machine()
    progress = Progress(len(options.voices.split(",")))
    whole = Tally()
    voices = {}
    async with open_recognizer(workers=1) as recognizer:
        for caller in callers(options):
            progress.step(f"voice {caller.voice}")
            tally = Tally()
            await converse(recognizer, caller, tally, show=options.show)
            voices[caller.voice] = tally.figures()
            progress.end()
            print(caller.voice, voices[caller.voice])
            whole.add(tally)
    print("all", whole.figures())
    line = {"noise": options.noise, "opus": options.opus, "speed": options.speed}
    print_result("recognition", before, {**line, "all": whole.figures(), "voices": voices})


if __name__ == "__main__":
    anyio.run(main, backend="trio")
