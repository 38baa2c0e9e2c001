"""From audio to words, by the cheapest model that fits.

A grammar of what makes sense now is decoded while the caller speaks, beside a loop of all phones. A grammar always
matches something; how much worse than the loop it fits tells whether the caller said one of its sentences. If not, the
audio is decoded once more with an n-gram model of the whole conversation, or with free dictation.
"""

from collections import OrderedDict

from offhook.protocol.speech import EAR_RATE, Heard, Hints
from offhook.services.speech.decoders import (
    FIRST_MEANS,
    Dictation,
    Found,
    Grammar,
    Kind,
    Pass,
    Phones,
    Sentences,
    Shelf,
)
from offhook.services.speech.voicing import voiced_seconds

#: Least score per frame of speech, against the phone loop, that is trusted. Of 225 sentences of the demo (four voices,
#: noise, Opus) it kept 97 in 100; of 50 outside of its grammar it let at most one through.
TRUSTED_SCORE = -3.8
#: The same for words without a grammar. Words strung together to fit score nearly as well as words that were said, so
#: that this refuses mere noise only.
LOOSE_SCORE = -6.0
#: Score of what fits no sentence at all.
NO_SCORE = -100.0
#: Speech has at least so many frames (10 ms) of phones; silence and hum have none.
SPEECH_FRAMES = 12
#: Speech has at least so many seconds of voice, a periodic sound; clicks, coughs and breath have next to none.
VOICED_SECONDS = 0.06
#: Audio of one utterance that is listened to, seconds.
UTTERANCE_LIMIT = 60
#: Decoders of a kind that are kept when nobody speaks.
SPARE_DECODERS = 2
#: Speakers whose cepstral means are kept.
SPEAKER_LIMIT = 4_096

_PAUSES = {"SIL", "<sil>", "<s>", "</s>", "[NOISE]", "[SPEECH]", "[COUGH]", "+SPN+", "+NSN+"}


class Ear:
    """What the utterances of a process share: decoders, and the cepstral means of each speaker's voice and line."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self._means: OrderedDict[str, str] = OrderedDict()
        self.shelf.warm(Phones())

    def means(self, speaker: str) -> str:
        """Cepstral means to begin with."""
        return self._means.get(speaker, FIRST_MEANS)

    def learn(self, speaker: str, means: str) -> None:
        """Keep what was learnt of a speaker."""
        self._means[speaker] = means
        self._means.move_to_end(speaker)
        if len(self._means) > SPEAKER_LIMIT:
            self._means.popitem(last=False)

    def forget(self, speaker: str) -> None:
        """The speaker has left, and with it the need for a decoder of its own."""
        self._means.pop(speaker, None)
        self.shelf.shrink(max(SPARE_DECODERS, len(self._means)))


class Hearing:
    """One utterance."""

    def __init__(self, ear: Ear, hints: Hints, speaker: str) -> None:
        self._ear = ear
        self._speaker = speaker
        self._audio = bytearray()
        self._kinds = _choices(hints)
        self._first = ear.shelf.start(self._kinds[0], ear.means(speaker))
        self._loop = ear.shelf.start(Phones(), ear.means(speaker))

    def feed(self, pcm: bytes) -> None:
        """More audio."""
        pcm = pcm[: UTTERANCE_LIMIT * EAR_RATE * 2 - len(self._audio)]
        if pcm:
            self._audio += pcm
            self._first.feed(pcm)
            self._loop.feed(pcm)

    def close(self) -> None:
        """Nobody wants the words."""
        for half in (self._first, self._loop):
            half.finish()
            self._ear.shelf.put_back(half)

    def finish(self) -> Heard:
        """The words. Decoders are put back."""
        seconds = len(self._audio) / 2 / EAR_RATE
        found, loop = self._end(self._first), self._end(self._loop)
        if _speech_frames(loop) < SPEECH_FRAMES or voiced_seconds(self._audio) < VOICED_SECONDS:
            return Heard(text="", trusted=False, seconds=seconds)
        score = _score(found, loop)
        trusted = score >= (TRUSTED_SCORE if isinstance(self._first.kind, Grammar) else LOOSE_SCORE)
        if not trusted:
            second = self._again(found)
            # Two models that know nothing of each other do not guess the same sentence.
            trusted = found.whole and second is not found and second.text == found.text
            found = second
        self._ear.learn(self._speaker, loop.means)
        return Heard(text=found.text, trusted=trusted, score=score, seconds=seconds)

    def _again(self, found: Found) -> Found:
        """What the other models make of it, else what we had."""
        for kind in self._kinds[1:]:
            other = self._ear.shelf.start(kind, self._ear.means(self._speaker))
            other.feed(bytes(self._audio))
            second = self._end(other)
            if second.text:
                return second
        return found

    def _end(self, half: Pass) -> Found:
        found = half.finish()
        self._ear.shelf.put_back(half)
        return found


def _choices(hints: Hints) -> list[Kind]:
    kinds: list[Kind] = []
    if hints.grammar is not None:
        kinds.append(Grammar(hints.grammar))
    if hints.sentences:
        kinds.append(Sentences(hints.sentences))
    return kinds or [Dictation()]


def _speech_frames(loop: Found) -> int:
    return sum(part.frames for part in loop.parts if part.word not in _PAUSES)


def _score(found: Found, loop: Found) -> float:
    """Log-likelihood of a hypothesis per frame of speech, against the phone loop."""
    if not found.text or not found.whole:
        return NO_SCORE
    difference = sum(part.score for part in found.parts) - sum(part.score for part in loop.parts)
    return difference / max(1, _speech_frames(found))
