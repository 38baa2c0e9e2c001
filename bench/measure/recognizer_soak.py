"""What the recognizer holds while it hears one utterance after another, in this process and without calls.

In a product its heap goes up and down with the number of people who speak at the same time; here their number repeats
itself, so that growth would show.
"""

import random
from typing import Any

from measure.caller import speak
from measure.figures import Progress
from offhook.protocol.speech import EAR_RATE, Hints
from offhook.services.speech.decoding import Ear, Hearing

SENTENCES = ("good bye", "what are your opening hours", "i would like an appointment on tuesday")
HINTS = Hints(grammar=f"#JSGF V1.0; grammar g; public <s> = {' | '.join(SENTENCES)};", sentences=SENTENCES)
#: How many speak at the same time, over and over.
CROWDS = (1, 1, 2, 1, 3)
#: Bytes of audio fed at a time (0.2 s), and of quiet before and behind a sentence.
PIECE = EAR_RATE * 2 // 5
QUIET = bytes(PIECE // 2)
#: Samples of memory in all.
LOOKS = 20


def hear(utterances: int) -> dict[str, Any]:
    """Hear so many utterances; prints and returns the figures."""
    ear, chance = Ear(), random.Random(1)
    spoken = [QUIET + speak(text) + QUIET for text in SENTENCES]
    progress = Progress(utterances)
    heard, held = 0, list[float]()
    while heard < utterances:
        for crowd in CROWDS:
            speakers = [f"speaker {heard + number}" for number in range(crowd)]
            _listen(ear, [(speaker, chance.choice(spoken)) for speaker in speakers])
            heard += crowd
            progress.step(f"utterance {heard}")
        if heard >= utterances * (len(held) + 1) / LOOKS:
            held.append(_private())
    progress.end()
    first, second = held[: len(held) // 2], held[len(held) // 2 :]
    print(f"{heard} utterances; MB private, least and most: first half {min(first):.1f} to {max(first):.1f}, "
          f"second half {min(second):.1f} to {max(second):.1f}")  # fmt: skip
    return {"utterances": heard, "private_mb": [round(each, 2) for each in held]}


def _listen(ear: Ear, said: list[tuple[str, bytes]]) -> None:
    """Some utterances at the same time, each of a speaker who then leaves."""
    hearings = [(Hearing(ear, HINTS, speaker), pcm) for speaker, pcm in said]
    for at in range(0, max(len(pcm) for _, pcm in said), PIECE):
        for hearing, pcm in hearings:
            hearing.feed(pcm[at : at + PIECE])
    for hearing, _ in hearings:
        hearing.finish()
    for speaker, _ in said:
        ear.forget(speaker)


def _private() -> float:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024
