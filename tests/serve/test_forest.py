"""Scoring over shared beginnings: what each request would get alone, whatever lies beside it."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.networks import FLOAT32, SMALL, params_of
from xgen.core.errors import UserError
from xgen.model.transformer import forward
from xgen.serve import forest
from xgen.serve.engine import Engine

CONTEXT = 96


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("small", params_of(SMALL), SMALL, FLOAT32, CONTEXT)


@functools.cache
def program():
    """Compile the plain forward pass of one row once."""
    return jax.jit(lambda tokens: jax.nn.log_softmax(forward(params_of(SMALL), tokens, SMALL, FLOAT32)[0]))


def plain(whole: list[int]) -> np.ndarray:
    """Give the log-probabilities after each token of one row, from the definition."""
    padded = np.zeros((1, CONTEXT + 1), np.int32)
    padded[0, : len(whole)] = whole
    return np.asarray(program()(padded))[: len(whole)]


def alone(request) -> tuple[float, bool]:
    """Score one request by the plain forward pass of its whole row."""
    context, continuation = request
    logprobs = plain([*context, *continuation])[len(context) - 1 : -1]
    greedy = all(row.argmax() == token for row, token in zip(logprobs, continuation, strict=True))
    return float(sum(row[token] for row, token in zip(logprobs, continuation, strict=True))), bool(greedy)


def questions(seed: int, number: int) -> list[forest.Request]:
    """Make requests as evaluations do: a beginning for all, a few contexts, answers of one token and of more."""
    draw = np.random.default_rng(seed)

    def tokens(count: int) -> list[int]:
        return draw.integers(0, SMALL.vocab_size, count).tolist()

    shots, made = tokens(draw.integers(1, 20)), []
    for _ in range(number):
        context = shots + tokens(draw.integers(0, 15))
        made += [(context, tokens(draw.integers(1, 6))) for _ in range(draw.integers(1, 4))]
    return [made[i] for i in draw.permutation(len(made))] + made[:1]


@pytest.mark.parametrize("row", [64, 1024])
def test_a_request_scores_as_it_does_alone(engine, monkeypatch, row):
    monkeypatch.setattr(forest, "ROW", row)
    requests = [*questions(0, 12), (list(range(70)), [5, 6, 7])]
    for found, request in zip(engine.score(requests), requests, strict=True):
        logprob, greedy = alone(request)
        assert found.logprob == pytest.approx(logprob, abs=1e-4)
        assert found.greedy == greedy


def test_a_likeliest_continuation_is_known_as_such(engine):
    prompt = [3, 1, 4]
    likeliest: list[int] = []
    for _ in range(3):
        likeliest.append(int(plain([*prompt, *likeliest])[-1].argmax()))
    found = engine.score([(prompt, likeliest), (prompt, [*likeliest[:2], (likeliest[2] + 1) % SMALL.vocab_size])])
    assert [each.greedy for each in found] == [True, False]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), number=st.integers(1, 12), length=st.integers(40, 200))
def test_rows_hold_every_request_once_as_a_path_through_its_ancestors(seed, number, length):
    requests = questions(seed, number)
    rows = forest.lay_out(requests, range(len(requests)), length)
    assert sorted(index for row in rows for index in row.places) == list(range(len(requests)))
    for row in rows:
        assert len(row.tokens) <= length
        for index, places in row.places.items():
            context, continuation = requests[index]
            last = places[-1]
            path = [place for place in range(last + 1) if last < row.ends[place]]
            assert [row.tokens[place] for place in path] == [*context, *continuation][:-1]
            assert [row.positions[place] for place in path] == list(range(len(path)))
            assert path[len(context) - 1 :] == places


def test_a_beginning_that_many_share_is_laid_out_once_a_row():
    shots = list(range(100))
    requests = [([*shots, 200 + question], [answer]) for question in range(20) for answer in range(4)]
    (row,) = forest.lay_out(requests, range(80), 256)
    assert len(row.tokens) == 100 + 20
    rows = forest.lay_out(requests, range(80), 110)
    assert [len(row.tokens) for row in rows] == [110, 110]


def test_the_order_and_the_company_of_requests_change_nothing(engine):
    requests = questions(3, 10)
    together = np.array([found.logprob for found in engine.score(requests)])
    backwards = np.array([found.logprob for found in engine.score(requests[::-1])])[::-1]
    single = np.array([engine.score([request])[0].logprob for request in requests])
    np.testing.assert_allclose(together, backwards, atol=1e-4)
    np.testing.assert_allclose(together, single, atol=1e-4)


@pytest.mark.slow
def test_stored_weights_are_the_ones_that_score(engine):
    requests = questions(4, 4)
    exact = np.array([found.logprob for found in engine.score(requests)])
    rounded = Engine("int8", params_of(SMALL), SMALL, FLOAT32, CONTEXT, "int8").score(requests)
    difference = np.abs(exact - np.array([found.logprob for found in rounded]))
    assert 0 < difference.max() < 0.2


def test_what_is_too_long_or_empty_is_refused(engine):
    assert np.isfinite(engine.score([([1] * 90, [2] * 7)])[0].logprob)
    for request in (([1] * 90, [2] * 8), ([], [1]), ([1], [])):
        with pytest.raises(UserError, match="at most 97 together"):
            engine.score([request])
