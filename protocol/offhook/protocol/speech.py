"""What ear, mouth and brain of an agent say to each other.

Audio is signed 16-bit little-endian mono everywhere inside offhook: 16,000 Hz from the caller (what recognizers
want), 24,000 Hz to the caller (what speech is encoded at), in frames of 20 ms where it is framed.
"""

import msgspec

from offhook.protocol.call.states import EndReason

#: Rate of audio from the caller, Hz, and the bytes of one 20 ms frame of it.
EAR_RATE = 16_000
EAR_FRAME = EAR_RATE // 50 * 2
#: Rate of audio to the caller, Hz, and the bytes of one 20 ms frame of it.
MOUTH_RATE = 24_000
MOUTH_FRAME = MOUTH_RATE // 50 * 2


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What the brain expects to hear now. A recognizer uses what it can and ignores the rest."""

    #: A JSGF grammar of the sentences that make sense now (a whole file with header), or None.
    grammar: str | None = None
    #: Sentences typical of the whole conversation, for a language model of the domain.
    sentences: tuple[str, ...] = ()
    language: str = "en-us"


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the recognizer made of one utterance."""

    #: The words, lower case, without punctuation; empty when no speech was found at all.
    text: str
    #: False when words were guessed but should not be trusted (out of grammar, too unlikely).
    trusted: bool = True
    #: Log-likelihood per frame against the background model; higher is better. For logs and tuning.
    score: float = 0.0
    #: Length of the utterance, seconds.
    seconds: float = 0.0


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent sounds. A synthesizer uses what it can and ignores the rest."""

    name: str = "en-us"
    #: Words per minute.
    rate: int = 165
    #: 0 to 100; 50 is the voice's own pitch.
    pitch: int = 50


class Word(msgspec.Struct, frozen=True):
    """Where a word lies: its first sample (from the start of the speech, at ``MOUTH_RATE``) and its end in the text."""

    sample: int
    #: Index in the spoken text just behind the word.
    end: int


class SpeechChunk(msgspec.Struct, frozen=True):
    """A piece of synthesized speech."""

    #: s16le mono at ``MOUTH_RATE``.
    pcm: bytes
    #: Words that begin in this chunk, in order.
    words: tuple[Word, ...] = ()


# ── what a brain answers: a stream of these ────────────────────────────────────────────────────────────────────────


class Say(msgspec.Struct, frozen=True, tag=True):
    """Speak these words. A brain that streams yields a sentence at a time."""

    text: str


class Finish(msgspec.Struct, frozen=True, tag=True):
    """End the call once everything before this was played."""

    reason: EndReason = EndReason.AGENT_COMPLETED


class Tell(msgspec.Struct, frozen=True, tag=True):
    """Send information to the page (A5)."""

    name: str
    #: JSON text.
    data: str


BrainAction = Say | Finish | Tell
