"""Generation and scoring against the plain forward pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, params_of
from xgen.core.errors import UserError
from xgen.core.protocols import LanguageModel
from xgen.model.cache import empty
from xgen.model.params import unstack
from xgen.model.transformer import forward, hidden_with_cache, logits
from xgen.serve.config import Sampling
from xgen.serve.engine import Engine
from xgen.tokenizer.specials import END_OF_TEXT, NUM_ROWS

CONTEXT = 48
BIG = dataclasses.replace(SMALL, vocab_size=NUM_ROWS)
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=12, seed=0)
PROMPTS = [[5, 9, 2], list(range(20, 40)), [77]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("small", params_of(SMALL), SMALL, FLOAT32, CONTEXT)


def plain_logits(params, tokens, config=SMALL):
    return np.asarray(
        jax.jit(forward, static_argnums=(2, 3))(params, jnp.asarray([tokens], jnp.int32), config, FLOAT32)
    )[0]


def test_the_engine_is_a_language_model(engine):
    assert isinstance(engine, LanguageModel)


def test_cached_logits_equal_uncached_ones_for_rows_of_different_lengths():
    params = params_of(SMALL)
    rows = [[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8]]
    longest = max(map(len, rows))
    tokens = jnp.asarray([row + [0] * (longest - len(row)) for row in rows], jnp.int32)
    positions = jnp.broadcast_to(jnp.arange(longest, dtype=jnp.int32), tokens.shape)
    step = jax.jit(hidden_with_cache, static_argnums=(4, 5))
    weights = unstack(params, SMALL)
    h, cache = step(weights, tokens, positions, empty(SMALL, 2, CONTEXT, "float32", None), SMALL, FLOAT32)
    for number, row in enumerate(rows):
        np.testing.assert_allclose(logits(params, h, FLOAT32)[number, : len(row)], plain_logits(params, row), atol=1e-5)
    for new in ([11, 12], [13, 14], [15, 16]):
        for row, token in zip(rows, new, strict=True):
            row.append(token)
        at = jnp.asarray([[len(row) - 1] for row in rows], jnp.int32)
        h, cache = step(weights, jnp.asarray(new, jnp.int32)[:, None], at, cache, SMALL, FLOAT32)
        for number, row in enumerate(rows):
            np.testing.assert_allclose(logits(params, h, FLOAT32)[number, 0], plain_logits(params, row)[-1], atol=1e-5)


def test_greedy_generation_is_the_argmax_of_the_plain_forward_pass(engine):
    for prompt, found in zip(PROMPTS, engine.sample(PROMPTS, GREEDY), strict=True):
        tokens = list(prompt)
        for token, logprob in zip(found.tokens, found.logprobs, strict=True):
            expected = plain_logits(params_of(SMALL), tokens)[-1]
            assert token == int(expected.argmax())
            assert logprob == pytest.approx(float(jax.nn.log_softmax(expected)[token]), abs=1e-4)
            tokens.append(token)
        assert (len(found.tokens), found.finish) == (12, "length")


def test_what_is_sampled_does_not_depend_on_the_rows_beside_it(engine):
    warm = dataclasses.replace(GREEDY, temperature=1.0, top_p=0.9)
    together = engine.sample(PROMPTS, warm)
    assert engine.sample(PROMPTS[:1], warm)[0].tokens == together[0].tokens
    assert engine.sample([PROMPTS[0], [1, 2, 3, 4]], warm)[0].tokens == together[0].tokens
    assert engine.sample(PROMPTS, dataclasses.replace(warm, seed=1)) != together


def test_a_row_stops_at_the_end_of_text_and_the_others_go_on():
    params = params_of(BIG)
    # The head of a network whose next token is decided by the last one: 7 is followed by the end, others by 9.
    ends = jnp.zeros((NUM_ROWS, BIG.dim)).at[END_OF_TEXT].set(50 * params["embed"][7]).at[9].set(params["embed"].sum(0))
    params = params | {"head": ends, "o": params["o"] * 0, "down": params["down"] * 0}
    engine = Engine("stops", params, BIG, FLOAT32, CONTEXT)
    stopped, other = engine.sample([[3, 7], [3, 8]], GREEDY)
    assert (stopped.tokens, stopped.finish) == ((), "stop")
    assert (len(other.tokens), other.finish) == (12, "length")


def test_generation_ends_where_the_context_is_full_and_a_longer_prompt_is_refused(engine):
    found = engine.sample([[1] * (CONTEXT - 3)], GREEDY)[0]
    assert (len(found.tokens), found.finish) == (3, "length")
    with pytest.raises(UserError, match="a prompt of 48 tokens; expected 1 to 47"):
        engine.sample([[1] * CONTEXT], GREEDY)
    with pytest.raises(UserError, match="a prompt of 0 tokens"):
        engine.sample([[]], GREEDY)


def test_unused_rows_are_never_chosen():
    params = params_of(BIG)
    likely = params["head"].at[NUM_ROWS - 1].set(100 * jnp.sign(params["head"].sum(0)))
    engine = Engine("unused", params | {"head": likely}, BIG, FLOAT32, CONTEXT)
    for temperature in (0.0, 5.0):
        found = engine.sample([[1, 2]] * 4, dataclasses.replace(GREEDY, temperature=temperature))
        assert max(token for one in found for token in one.tokens) < 50_313


def test_window_and_score_are_sums_of_the_plain_log_probabilities(engine):
    rows = np.random.default_rng(0).integers(0, SMALL.vocab_size, (5, 30)).astype(np.int32)
    found = engine.window(rows)
    expected = np.stack(
        [
            np.take_along_axis(
                np.asarray(jax.nn.log_softmax(plain_logits(params_of(SMALL), row)))[:-1], row[1:, None], axis=1
            )[:, 0]
            for row in rows
        ]
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    requests = [
        (rows[0, :10].tolist(), rows[0, 10:14].tolist()),
        (rows[1, :3].tolist(), rows[1, 3:].tolist()),
        (rows[2, :20].tolist(), rows[2, 20:21].tolist()),
    ]
    assert [found.logprob for found in engine.score(requests)] == pytest.approx(
        [expected[0, 9:13].sum(), expected[1, 2:].sum(), expected[2, 19:20].sum()], abs=1e-3
    )


def test_scores_of_bfloat16_and_int8_weights_are_near_those_of_float32():
    rows = np.random.default_rng(1).integers(0, SMALL.vocab_size, (3, 30)).astype(np.int32)
    expected = Engine("float32", params_of(SMALL), SMALL, FLOAT32, CONTEXT).window(rows)
    for storage, tolerance in (("bfloat16", 0.02), ("int8", 0.04)):
        found = Engine(storage, params_of(SMALL), SMALL, FLOAT32, CONTEXT, storage).window(rows)
        assert 0 < np.abs(found - expected).max() < tolerance, storage
