"""Decoders come back to the shelf, and a crowd that has left takes its decoders along."""

from offhook.protocol.speech import Hints
from offhook.services.speech.decoders import FIRST_MEANS, Phones, Shelf
from offhook.services.speech.decoding import SPARE_DECODERS, Ear, Hearing

GRAMMAR = "#JSGF V1.0; grammar g; public <g> = yes | no;"


def idle(shelf: Shelf) -> dict[str, int]:
    return {type(kind).__name__: len(decoders) for kind, decoders in shelf._idle.items()}


def test_a_decoder_that_was_put_back_is_used_again() -> None:
    shelf = Shelf()
    used = shelf.start(Phones(), FIRST_MEANS)
    used.finish()
    shelf.put_back(used)
    assert shelf.start(Phones(), FIRST_MEANS).decoder is used.decoder


def test_many_at_once_leave_no_more_decoders_than_a_few() -> None:
    ear = Ear()
    speakers = [f"speaker {number}" for number in range(6)]
    hearings = [Hearing(ear, Hints(grammar=GRAMMAR), speaker) for speaker in speakers]
    for hearing, speaker in zip(hearings, speakers, strict=True):
        hearing.feed(bytes(6400))
        hearing.finish()
        ear.learn(speaker, FIRST_MEANS)
    assert idle(ear.shelf) == {"Phones": 6, "Grammar": 6}
    for left, speaker in enumerate(reversed(speakers), 1):
        ear.forget(speaker)
        expected = max(SPARE_DECODERS, 6 - left)
        assert idle(ear.shelf) == {"Phones": expected, "Grammar": expected}
