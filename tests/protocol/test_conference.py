"""Who hears whom: the table of parts, and what has to be decoded for it (covers H2)."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.conference import HEARS, MAX_PARTIES, Part, RoomFull, decoded, is_passed_on, plan

PARTIES = st.dictionaries(st.integers(0, 9), st.sampled_from(Part), max_size=MAX_PARTIES)
#: Rows hear, columns are heard.
MATRIX = """
            visitor  agent  listener  whisperer
visitor     no       yes    no        no
agent       yes      yes    no        yes
listener    yes      yes    no        no
whisperer   yes      yes    no        no
"""


def test_the_table_is_the_matrix() -> None:
    head, *rows = (line.split() for line in MATRIX.strip().splitlines())
    for hearer, *cells in rows:
        for heard, cell in zip(head, cells, strict=True):
            assert (Part(heard) in HEARS[Part(hearer)]) == (cell == "yes")


@given(PARTIES)
def test_everybody_hears_whom_the_table_says_and_nobody_itself(parties: Mapping[int, Part]) -> None:
    for hearer, heard in plan(parties).items():
        assert set(heard) == {name for name in parties if name != hearer and parties[name] in HEARS[parties[hearer]]}


@given(PARTIES, st.sets(st.integers(0, 9)))
def test_nothing_is_decoded_that_nobody_hears_mixed(parties: Mapping[int, Part], takers: set[int]) -> None:
    plans = plan(parties)
    mixed = decoded(plans, takers)
    for hearer, heard in plans.items():
        if is_passed_on(heard, takes_packets=hearer in takers):
            continue
        assert set(heard) <= mixed
    for one in mixed:
        hearers = [name for name, sources in plans.items() if one in sources]
        assert any(name not in takers or len(plans[name]) > 1 for name in hearers)


def test_two_who_talk_need_no_decoder_and_a_third_who_listens_does() -> None:
    two = {"anna": Part.VISITOR, "desk": Part.AGENT}
    assert decoded(plan(two), set(two)) == set()
    three = {**two, "boss": Part.LISTENER}
    assert decoded(plan(three), set(three)) == {"anna", "desk"}


def test_a_fifth_party_is_refused() -> None:
    with pytest.raises(RoomFull, match="At most 4"):
        plan(dict.fromkeys(range(5), Part.LISTENER))
