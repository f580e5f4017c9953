"""The sampler against the probabilities it is meant to follow."""

import jax
import jax.numpy as jnp
import numpy as np

from xgen.serve.sampler import Knobs, row_keys, sample

PROBABILITIES = np.array([0.5, 0.3, 0.15, 0.05])
LOGITS = jnp.log(jnp.asarray(PROBABILITIES, jnp.float32))


def keys(num: int) -> jax.Array:
    return row_keys(0, jnp.zeros(num, jnp.uint32), jnp.arange(num, dtype=jnp.uint32))


def knobs(temperature: float, top_p: float = 1.0, top_k: int = 0, penalty: float = 1.0) -> Knobs:
    return Knobs(jnp.float32(temperature), jnp.float32(top_p), jnp.int32(top_k), jnp.float32(penalty))


def drawn(temperature: float, top_p: float, top_k: int = 0, penalty: float = 1.0, num: int = 4000) -> np.ndarray:
    """How often each of the four tokens is drawn after a row that holds the token 0."""
    rows = jnp.broadcast_to(LOGITS, (num, 4))
    tokens, _ = jax.jit(sample, static_argnums=5)(
        rows,
        keys(num),
        jnp.zeros((num, 2), jnp.int32),
        jnp.ones(num, jnp.int32),
        knobs(temperature, top_p, top_k, penalty),
        4,
    )
    return np.bincount(np.asarray(tokens), minlength=4) / num


def test_temperature_one_follows_the_probabilities():
    np.testing.assert_allclose(drawn(1.0, 1.0), PROBABILITIES, atol=0.03)


def test_a_low_temperature_sharpens_and_zero_takes_the_likeliest():
    sharp = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    np.testing.assert_allclose(drawn(0.5, 1.0), sharp, atol=0.03)
    np.testing.assert_array_equal(drawn(0.0, 1.0), [1, 0, 0, 0])


def test_top_p_keeps_the_smallest_set_that_holds_it():
    np.testing.assert_allclose(drawn(1.0, 0.7), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(drawn(1.0, 0.81), PROBABILITIES * [1, 1, 1, 0] / 0.95, atol=0.03)
    np.testing.assert_array_equal(drawn(1.0, 0.01), [1, 0, 0, 0])


def test_top_k_keeps_the_likeliest_and_top_p_chooses_among_them():
    np.testing.assert_allclose(drawn(1.0, 1.0, top_k=2), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_array_equal(drawn(1.0, 0.6, top_k=2), [1, 0, 0, 0])


def test_a_penalty_moves_probability_away_from_what_the_row_holds():
    # All logits are negative: the penalty of 2 squares the probability of token 0, 0.5 to 0.25 beside 0.5 of others.
    np.testing.assert_allclose(drawn(1.0, 1.0, penalty=2.0), np.array([0.25, 0.3, 0.15, 0.05]) / 0.75, atol=0.03)
    np.testing.assert_array_equal(drawn(0.0, 1.0, penalty=2.0), [0, 1, 0, 0])


def test_a_draw_depends_on_the_position():
    rows, tokens = jnp.zeros((200, 4)), jnp.zeros((200, 2), jnp.int32)
    one, two = (
        np.asarray(sample(rows, keys(200), tokens, jnp.full(200, position, jnp.int32), knobs(1.0), 4)[0])
        for position in (0, 1)
    )
    assert 0.5 < (one != two).mean() < 0.95
