"""Decoders of pocketsphinx, ready to use.

A decoder follows one utterance at a time, so there are as many of a kind as utterances of that kind at once. One with
only the words it needs takes about 7 MB and 10 ms to build; used ones go back to a shelf for the next utterance.
"""

import ctypes
import math
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pocketsphinx
from pocketsphinx.lm import ArpaBoLM

from offhook.services.speech.lexicon import MODEL, pronunciations, words_in, words_in_grammar

#: Idle small decoders kept per process (about 7 MB each).
SHELF_LIMIT = 32
#: Cepstral means a decoder begins with when nothing is known of a speaker (as in the model's feat.params).
FIRST_MEANS = "41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"

pocketsphinx.set_loglevel("FATAL")


class Grammar(msgspec.Struct, frozen=True):
    """What a decoder for one JSGF grammar is built from."""

    text: str


class Sentences(msgspec.Struct, frozen=True):
    """What a decoder with an n-gram model of these sentences is built from."""

    lines: tuple[str, ...]


class Phones(msgspec.Struct, frozen=True):
    """A loop of all phones, the background that a hypothesis is compared with."""


class Dictation(msgspec.Struct, frozen=True):
    """Free English with the large model: 130,000 words, slow and unsure."""


Kind = Grammar | Sentences | Phones | Dictation


class Part(msgspec.Struct, frozen=True):
    """A word (or phone, or pause) found in the audio."""

    word: str
    #: Natural logarithm of its acoustic likelihood.
    score: float
    frames: int


class Found(msgspec.Struct, frozen=True):
    """What one decoder made of an utterance."""

    text: str
    #: False when the words stop within a sentence of the grammar.
    whole: bool
    parts: list[Part]
    means: str


class Pass:
    """One decoder on its way through one utterance."""

    def __init__(self, decoder: Any, kind: Kind, means: str) -> None:
        self.decoder = decoder
        self.kind = kind
        decoder.set_cmn(means)
        decoder.start_utt()

    def feed(self, pcm: bytes) -> None:
        """More audio, 16 kHz, whole samples."""
        self.decoder.process_raw(pcm)

    def finish(self) -> Found:
        """The best hypothesis; the decoder may then be put back."""
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        # Only scores from a lattice have the shift of the acoustic scores undone (SENSCR_SHIFT, 10 bits).
        scale = 1024.0 if isinstance(self.kind, Phones | Grammar) else 1.0
        parts = [
            Part(
                segment.word,
                scale * math.log(max(segment.ascore, 1e-300)),
                segment.end_frame - segment.start_frame + 1,
            )
            for segment in self.decoder.seg() or ()
        ]
        text = hypothesis.hypstr if hypothesis else ""
        # pocketsphinx falls back to the best unfinished path when no finished one has survived.
        whole = not isinstance(self.kind, Grammar) or bool(self.decoder.get_fsg().accept(text))
        return Found(text.lower(), whole, parts, self.decoder.get_cmn(update=True))


class Shelf:
    """Builds decoders and keeps idle ones, the least recently used kind going first."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Kind, list[Any]] = OrderedDict()
        self._count = 0

    def start(self, kind: Kind, means: str) -> Pass:
        """A decoder of this kind at the beginning of an utterance. Raises ``ValueError``, ``RuntimeError``."""
        idle = self._idle.get(kind)
        if idle:
            self._count -= 1
            decoder = idle.pop()
        else:
            decoder = _build(kind)
        return Pass(decoder, kind, means)

    def warm(self, kind: Kind) -> None:
        """Build a decoder before it is needed."""
        self._keep(kind, _build(kind))

    def put_back(self, used: Pass) -> None:
        """Keep the decoder of a finished pass for the next utterance."""
        self._keep(used.kind, used.decoder)

    def shrink(self, copies: int) -> None:
        """Let go of idle decoders beyond so many of each kind: a crowd that has left needs no more."""
        before = self._count
        for idle in self._idle.values():
            self._count -= len(idle[copies:])
            del idle[copies:]
        if self._count < before:
            _give_back()

    def _keep(self, kind: Kind, decoder: Any) -> None:
        self._idle.setdefault(kind, []).append(decoder)
        self._idle.move_to_end(kind)
        self._count += 1
        while self._count > SHELF_LIMIT:
            kind = next(iter(self._idle))
            self._count -= len(self._idle.pop(kind))


def _give_back() -> None:
    """Return freed memory to the system; glibc keeps it otherwise (malloc_trim(3)), other C libraries have no need."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _build(kind: Kind) -> Any:
    if isinstance(kind, Dictation):
        return _decoder(dict=str(MODEL / "cmudict-en-us.dict"), lm=str(MODEL / "en-us.lm.bin"))
    # Searching the lattice for a better path takes up to a second at the end of an utterance and gains nothing in a
    # grammar.
    decoder = _decoder(dict=None, lm=None, bestpath=not isinstance(kind, Grammar))
    if isinstance(kind, Phones):
        decoder.add_allphone_file("phones", str(MODEL / "en-us-phone.lm.bin"))
        decoder.activate_search("phones")
    elif isinstance(kind, Grammar):
        # An import would make the parser open files.
        if re.search(r"\bimport\b", kind.text):
            raise ValueError("a grammar cannot import another")
        _add_words(decoder, words_in_grammar(kind.text))
        decoder.add_jsgf_string("grammar", kind.text)
        decoder.activate_search("grammar")
    else:
        lines = [words_in(line) for line in kind.lines]
        _add_words(decoder, {word for line in lines for word in line})
        _add_ngrams(decoder, "sentences", (" ".join(line) for line in lines))
        decoder.activate_search("sentences")
    return decoder


def _decoder(**settings: Any) -> Any:
    return pocketsphinx.Decoder(pocketsphinx.Config(hmm=str(MODEL / "en-us"), loglevel="FATAL", **settings))


def _add_words(decoder: Any, words: Iterable[str]) -> None:
    for word in words:
        for number, phones in enumerate(pronunciations(word), 1):
            decoder.add_word(word if number == 1 else f"{word}({number})", phones, False)


def _add_ngrams(decoder: Any, name: str, lines: Iterable[str]) -> None:
    model = ArpaBoLM(text="\n".join(line for line in lines if line), add_start=True)
    model.compute()
    # Models come from files only; ``NGramModel.readfile`` would do without the decoder's language weight.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentences.lm"
        with path.open("w", encoding="utf-8") as out:
            model.write(out)
        decoder.add_lm_file(name, str(path))
