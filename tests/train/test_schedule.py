"""The learning rate over tokens, against optax's schedule and its corners."""

import dataclasses

import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.recipes.xgen_7b import XGEN_7B
from xgen.train.schedule import learning_rate
from xgen.train.stages import trained_tokens

LLAMA = XGEN_7B.optimizer
TOTAL = trained_tokens(XGEN_7B.stages)


def test_the_rate_rises_to_the_peak_and_ends_at_a_tenth_of_it():
    assert learning_rate(LLAMA, LLAMA.warmup_tokens // 2, TOTAL) == pytest.approx(1.5e-4)
    assert learning_rate(LLAMA, LLAMA.warmup_tokens, TOTAL) == pytest.approx(3e-4)
    assert learning_rate(LLAMA, TOTAL, TOTAL) == pytest.approx(3e-5)


@settings(deadline=None)
@given(tokens=st.integers(1, 1000), warmup=st.integers(1, 400))
def test_it_equals_optax_counted_in_tokens(tokens, warmup):
    config = dataclasses.replace(LLAMA, warmup_tokens=warmup)
    expected = optax.warmup_cosine_decay_schedule(0.0, 3e-4, warmup, 1000, end_value=3e-5)(tokens)
    assert learning_rate(config, tokens, 1000) == pytest.approx(float(expected), rel=1e-3)


def test_no_stage_boundary_moves_the_rate():
    ends = [0.5 * TOTAL, 0.9 * TOTAL]
    for end in ends:
        before, after = (learning_rate(LLAMA, int(end) + d, TOTAL) for d in (-LLAMA.warmup_tokens // 2000, 1))
        assert before == pytest.approx(after, rel=1e-3)
