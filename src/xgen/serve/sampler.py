"""Choose the next token of each row: greedy, or by temperature and top-p.

Shape letters: B rows, V vocabulary.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, UInt32


def row_keys(seed: int, num_rows: int) -> UInt32[Array, "B 2"]:
    """Give each row a random key that depends on the seed and the row's number, not on the rows beside it."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), jnp.arange(num_rows))
    return jax.random.key_data(keys)


def sample(
    logits_BV: Float32[Array, "B V"],
    keys_B: UInt32[Array, "B 2"],
    positions_B: Int32[Array, "B"],
    temperature: Float32[Array, ""],
    top_p: Float32[Array, ""],
    num_tokens: int,
) -> tuple[Int32[Array, "B"], Float32[Array, "B"]]:
    """Choose a token of each row and tell its log-probability under the model, before temperature and top-p.

    Rows of the vocabulary from `num_tokens` on name no token and are never chosen. Temperature 0 takes the likeliest.
    The draw at a position depends on the row's key and the position alone.
    """
    logprobs_BV = jax.nn.log_softmax(logits_BV, axis=-1)
    named_BV = jnp.where(jnp.arange(logits_BV.shape[-1])[None, :] < num_tokens, logits_BV, -jnp.inf)
    keys = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(keys_B), positions_B)

    def draw(named_BV: jax.Array) -> jax.Array:
        scaled_BV = named_BV / temperature
        nucleus_BV = jnp.where(_in_nucleus(scaled_BV, top_p), scaled_BV, -jnp.inf)
        return jax.vmap(jax.random.categorical)(keys, nucleus_BV)

    chosen_B = jax.lax.cond(temperature > 0, draw, lambda named_BV: jnp.argmax(named_BV, axis=-1), named_BV)
    chosen_B = chosen_B.astype(jnp.int32)
    return chosen_B, jnp.take_along_axis(logprobs_BV, chosen_B[:, None], axis=-1)[:, 0]


def _in_nucleus(logits_BV: jax.Array, top_p: jax.Array) -> jax.Array:
    """Mark the smallest set of likeliest tokens that holds `top_p` of the probability, with equals of its last."""
    sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    probability_BV = jax.nn.softmax(sorted_BV, axis=-1)
    before_BV = jnp.cumsum(probability_BV, axis=-1) - probability_BV
    lowest_B1 = jnp.min(jnp.where(before_BV < top_p, sorted_BV, jnp.inf), axis=-1, keepdims=True)
    return logits_BV >= lowest_B1
