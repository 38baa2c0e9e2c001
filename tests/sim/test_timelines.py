"""What a seed gives is the same on every machine."""

import timelines


def test_the_same_seed_gives_the_same_timeline_on_another_machine() -> None:
    there = timelines.FILE.read_text()
    assert timelines.timelines() == there, "another machine had others; `just timelines` writes those of this one"
