"""The plan of stages: rounding, places, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.recipes.xgen_7b import XGEN_7B
from xgen.train.stages import Stage, last_steps, num_steps, place_of, trained_tokens

STAGES = st.lists(
    st.builds(
        lambda length, rows, tokens: Stage("s", length, tokens, length * rows, "m"),
        st.sampled_from([4, 8, 16]),
        st.integers(1, 5),
        st.integers(1, 2000),
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@given(stages=STAGES)
def test_every_step_has_one_place_and_tokens_add_up(stages):
    tokens = 0
    for step in range(num_steps(stages)):
        place = place_of(stages, step)
        assert place.tokens_before == tokens
        assert place.stage is stages[place.stage_index]
        tokens += place.stage.batch_tokens
    assert tokens == trained_tokens(stages)
    with pytest.raises(IndexError):
        place_of(stages, num_steps(stages))


@given(stages=STAGES)
def test_a_stage_ends_where_the_next_begins(stages):
    for index, end in enumerate(last_steps(stages)):
        assert place_of(stages, end - 1).stage_index == index
        if end < num_steps(stages):
            assert (place_of(stages, end).stage_index, place_of(stages, end).step_in_stage) == (index + 1, 0)


def test_a_batch_that_is_not_whole_rows_cannot_be_constructed():
    with pytest.raises(UserError, match="Set batch-tokens to 2,100"):
        Stage("1", context_length=300, tokens=10_000, batch_tokens=2048, mixture="m")


def test_the_plan_of_the_report_trains_its_tokens_to_within_half_a_batch():
    stated = [800e9, 400e9, 174.52e9, 110e9]
    for stage, tokens in zip(XGEN_7B.stages, stated, strict=True):
        assert abs(stage.trained_tokens - tokens) <= stage.batch_tokens / 2
    assert [stage.context_length for stage in XGEN_7B.stages] == [2048, 4096, 8192, 8192]
