"""The plan of stages: rounding, places, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.recipes.xgen_7b import XGEN_7B
from xgen.train.stages import Stage, ends_by_name, last_steps, num_steps, place_of, plan_lines, trained_tokens

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


def test_the_released_models_are_ends_of_lengths_in_one_run():
    """XGen-7B-4K is the run where its rows grow to 8,192, XGen-7B-8K is its end."""
    ends = ends_by_name(XGEN_7B.stages)
    assert ends["2K"] == ends["1a"] == 190_735
    assert ends["4K"] == ends["1b"] == 190_735 + 95_367
    assert ends["8K"] == ends["2"] == num_steps(XGEN_7B.stages)
    assert ends["1c"] < ends["8K"]


def test_the_name_of_a_stage_wins_over_a_length_and_short_lengths_are_numbers():
    stages = (Stage("512", 256, 256, 256, "m"), Stage("b", 512, 512, 512, "m"))
    assert ends_by_name(stages) == {"256": 1, "512": 1, "b": 2}


def test_the_plan_says_what_each_budget_becomes():
    rule, *lines = plan_lines(XGEN_7B.stages)
    assert "the whole number of batches that is nearest to its budget" in rule
    assert lines[1].endswith(
        "400,000,000,000 tokens in batches of 4,194,304: 95,367 steps, 399,998,189,568 tokens (-1,810,432)"
    )
