"""What is fuzzed takes its own good inputs, and pieces of them. `just fuzz` makes up the others."""

import pytest
from fuzz_targets import TARGETS
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_good_inputs_and_changed_ones(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(target.seeds))
    target.feed(seed)
    at, length = data.draw(st.integers(0, len(seed))), data.draw(st.integers(0, 8))
    target.feed(seed[:at] + data.draw(st.binary(max_size=8)) + seed[at + length :])
