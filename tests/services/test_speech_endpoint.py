"""The voice detector on speech, pauses and noise, and the lexicon's bookkeeping."""

import numpy
import pytest
from test_speech_recognizer import burst, say

from offhook.protocol.speech import EAR_FRAME, EAR_RATE
from offhook.services.speech import EndpointDetector
from offhook.services.speech.lexicon import pronunciations, unknown_words, words_in, words_in_grammar
from offhook.services.speech.voicing import voiced_seconds


def stretches(pcm: bytes) -> list[tuple[float, float]]:
    """Where the detector was True, seconds."""
    detector = EndpointDetector()
    found: list[tuple[float, float]] = []
    begun = None
    for at in range(0, len(pcm) - EAR_FRAME + 1, EAR_FRAME):
        now = (at + EAR_FRAME) / 2 / EAR_RATE
        if detector.feed(pcm[at : at + EAR_FRAME]):
            begun = now if begun is None else begun
        elif begun is not None:
            found.append((begun, now))
            begun = None
    assert begun is None
    return found


def room(seconds: float, loud: float = 30.0) -> bytes:
    """Steady noise."""
    noise = numpy.random.default_rng(3).normal(0, loud, int(seconds * EAR_RATE))
    return noise.clip(-32768, 32767).astype("<i2").tobytes()


def spoken(text: str) -> bytes:
    """A sentence without the silence around it."""
    samples = numpy.frombuffer(say(text), "<i2")
    loud = numpy.flatnonzero(numpy.abs(samples.astype(int)) > 500)
    return samples[loud[0] : loud[-1]].tobytes()


def test_a_sentence_is_one_stretch() -> None:
    words = spoken("book an appointment on tuesday")
    ((begun, ended),) = stretches(room(1) + words + room(1))
    silent = 1 + len(words) / 2 / EAR_RATE
    assert 1 < begun < 1.3
    assert silent + 0.2 < ended < silent + 0.5


def test_a_pause_within_a_sentence_does_not_cut() -> None:
    words = spoken("book an appointment on tuesday")
    assert len(stretches(room(1) + words + room(0.3) + words + room(1))) == 1
    assert len(stretches(room(1) + words + room(0.8) + words + room(1))) == 2


@pytest.mark.parametrize("loud", [0.0, 30.0, 400.0])
def test_steady_noise_a_step_of_it_and_clicks_are_no_speech(loud: float) -> None:
    step = (numpy.zeros(EAR_RATE, "<i2") + 8_000).tobytes()
    assert stretches(room(4, loud) + burst(milliseconds=15) + room(1, loud) + step + room(2, loud)) == []


def test_lead_is_the_audio_up_to_the_decision() -> None:
    detector, fed = EndpointDetector(), b""
    pcm = room(1) + say("goodbye") + room(1)
    for at in range(0, len(pcm) - EAR_FRAME + 1, EAR_FRAME):
        fed += pcm[at : at + EAR_FRAME]
        if detector.feed(pcm[at : at + EAR_FRAME]):
            break
    lead = detector.lead()
    assert fed.endswith(lead)
    assert 0.3 <= len(lead) / 2 / EAR_RATE <= 0.5
    detector.feed(bytes(EAR_FRAME))
    assert detector.lead() == lead


@pytest.mark.parametrize("size", [0, EAR_FRAME - 2, EAR_FRAME + 2])
def test_only_whole_frames(size: int) -> None:
    with pytest.raises(ValueError, match="frame"):
        EndpointDetector().feed(bytes(size))


def test_voice_is_told_from_noise() -> None:
    assert voiced_seconds(say("goodbye")) > 0.15
    assert voiced_seconds(burst(milliseconds=250)) < 0.05
    assert voiced_seconds(b"\0") == 0.0


def test_words() -> None:
    assert words_in("What\u2019s up \u2014 at 3 P.M.?") == ["what's", "up", "at", "3", "p", "m"]
    grammar = (
        "#JSGF V1.0 UTF-8 en;\ngrammar a.b; // not this\n/* nor this */\n"
        'public <top> = /2.5/ yes {tag} | [<no>] ("on" day)*;'
    )
    assert words_in_grammar(grammar) == ["day", "on", "yes"]
    assert unknown_words(["Hello", "zzyzxqwv", "hello", "zzyzxqwv"]) == ["zzyzxqwv"]


def test_every_word_has_a_sound() -> None:
    assert pronunciations("hours") == ["AW ER Z", "AW R Z"]
    assert pronunciations("offhook") == ["AO F HH UH K"]
    assert pronunciations("zyx7") == ["Z IY K S S EH V AH N"]
    assert pronunciations("\u00fc") == ["SIL"]
