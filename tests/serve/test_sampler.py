"""The sampler against the probabilities it is meant to follow."""

import jax
import jax.numpy as jnp
import numpy as np

from xgen.serve.sampler import row_keys, sample

PROBABILITIES = np.array([0.5, 0.3, 0.15, 0.05])
LOGITS = jnp.log(jnp.asarray(PROBABILITIES, jnp.float32))


def drawn(temperature: float, top_p: float, num: int = 4000) -> np.ndarray:
    rows = jnp.broadcast_to(LOGITS, (num, 4))
    tokens, _ = jax.jit(sample, static_argnums=5)(
        rows, row_keys(0, num), jnp.zeros(num, jnp.int32), jnp.float32(temperature), jnp.float32(top_p), 4
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


def test_a_draw_depends_on_the_position():
    rows = jnp.zeros((200, 4))
    one, two = (
        np.asarray(
            sample(rows, row_keys(0, 200), jnp.full(200, position, jnp.int32), jnp.float32(1.0), jnp.float32(1.0), 4)[0]
        )
        for position in (0, 1)
    )
    assert 0.5 < (one != two).mean() < 0.95
