"""Perplexity by position, against models whose probabilities are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.evals.long.perplexity_by_position import perplexity_by_position


class KnownModel:
    """Gives token t of the row that starts with token r the log-probability -(cost[r, t])."""

    name = "known"

    def __init__(self, cost_NL: np.ndarray) -> None:
        self.cost_NL = cost_NL
        self.context_length = cost_NL.shape[1]
        self.seen: list[tuple[int, ...]] = []

    def window(self, rows: np.ndarray) -> np.ndarray:
        assert rows.dtype == np.int32
        self.seen.append(rows.shape)
        return -self.cost_NL[rows[:, 0], 1 : rows.shape[1]].astype(np.float32)

    def score(self, requests: object) -> list[float]:
        raise NotImplementedError

    def generate(self, prompts: object, max_new_tokens: int, seed: int) -> list:
        raise NotImplementedError


def rows_of(cost_NL: np.ndarray) -> np.ndarray:
    rows = np.zeros(cost_NL.shape, np.uint16)
    rows[:, 0] = np.arange(len(rows))
    return rows


def by_hand(cost_NL: np.ndarray, tokens: list[int]) -> tuple[float, float]:
    """The mean over documents of each document's mean, and its standard error, in plain loops."""
    per_document = [sum(float(row[t]) for t in tokens) / len(tokens) for row in cost_NL]
    mean = sum(per_document) / len(per_document)
    variance = sum((value - mean) ** 2 for value in per_document) / (len(per_document) - 1)
    return mean, math.sqrt(variance / len(per_document))


@settings(deadline=None, max_examples=25)
@given(
    documents=st.integers(4, 20),
    length=st.integers(32, 90),
    bins=st.integers(1, 16),
    seed=st.integers(0, 99),
    at_once=st.integers(1, 9),
)
def test_each_bin_averages_exactly_the_tokens_it_names(documents, length, bins, seed, at_once):
    cost_NL = np.random.default_rng(seed).uniform(0.5, 9.0, (documents, length))
    found = perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), length, bins, at_once)
    covered = []
    for part in found["bins"]:
        tokens = list(range(part["first"], part["last"] + 1))
        covered += tokens
        mean, error = by_hand(cost_NL, tokens)
        assert part["nll"] == pytest.approx(mean, rel=1e-6)
        assert part["standard_error"] == pytest.approx(error, rel=1e-4)
        assert part["perplexity"] == pytest.approx(math.exp(mean), rel=1e-5)
        assert part["low"] < part["perplexity"] < part["high"]
    assert covered == list(range(1, length)), "every predicted token is in one bin"


def test_a_token_is_counted_at_its_own_position():
    cost_NL = np.tile(np.arange(64.0) / 10, (4, 1)) + np.array([[0.0], [0.1], [0.2], [0.3]])
    found = perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), 64, 32)
    assert [(part["first"], part["last"]) for part in found["bins"][:3]] == [(1, 1), (2, 3), (4, 5)]
    assert found["bins"][0]["nll"] == pytest.approx(0.1 + 0.15, rel=1e-6)
    assert found["bins"][-1]["nll"] == pytest.approx((6.2 + 6.3) / 2 + 0.15, rel=1e-6)


def test_the_eighths_are_the_first_and_the_last_tokens():
    cost_NL = np.full((5, 64), 3.0) + np.arange(5.0)[:, None] / 100
    cost_NL[:, 1:8] += 2.0
    cost_NL[:, 56:] -= 1.0
    found = perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), 64)
    assert found["first_eighth"]["nll"] == pytest.approx(5.02, rel=1e-6)
    assert found["last_eighth"]["nll"] == pytest.approx(2.02, rel=1e-6)
    assert found["last_eighth"]["high"] < found["first_eighth"]["low"]
    assert found["overall"]["nll"] == pytest.approx((7 * 5.02 + 48 * 3.02 + 8 * 2.02) / 63, rel=1e-6)


def test_a_long_document_weighs_no_more_than_others_and_the_interval_is_over_documents():
    cost_NL = np.array([[1.0], [1.2], [0.8], [1.4]]) * np.ones((1, 32))
    overall = perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), 32)["overall"]
    error = np.std([1.0, 1.2, 0.8, 1.4], ddof=1) / 2
    assert overall["standard_error"] == pytest.approx(error, rel=1e-5)
    assert math.log(overall["high"] / overall["perplexity"]) == pytest.approx(3.182 * error, rel=0.01)  # t, 3 degrees


def test_tokens_beyond_the_context_of_a_stage_are_never_shown_to_its_model():
    cost_NL = np.random.default_rng(0).uniform(1, 2, (9, 128))
    model = KnownModel(cost_NL)
    found = perplexity_by_position(model, rows_of(cost_NL), 64, documents_at_once=4)
    assert model.seen == [(4, 64), (4, 64), (1, 64)]
    assert found["bins"][-1]["last"] == 63 and found["tokens"] == 9 * 63 and found["documents"] == 9


def test_too_few_documents_too_short_ones_and_a_diverged_model_are_told():
    cost_NL = np.ones((4, 64))
    with pytest.raises(UserError, match="3 held-out documents of 64 tokens"):
        perplexity_by_position(KnownModel(cost_NL[:3]), rows_of(cost_NL[:3]), 64)
    with pytest.raises(UserError, match="at least 4 of 128"):
        perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), 128)
    cost_NL[2, 7] = np.nan
    with pytest.raises(UserError, match="not finite"):
        perplexity_by_position(KnownModel(cost_NL), rows_of(cost_NL), 64)
