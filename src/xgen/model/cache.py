"""The keys and values of what a model has read, so that each new token is read once.

Shape letters: N layers, B rows, T places (the context), H heads, K size of a head. Place t of a row holds position t.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from xgen.model.config import ModelConfig


class Cache(NamedTuple):
    k_NBTHK: jax.Array
    v_NBTHK: jax.Array


def empty(config: ModelConfig, num_rows: int, context_length: int) -> Cache:
    """Allocate a cache for `num_rows` rows of at most `context_length` tokens, in float32."""
    shape = (config.num_layers, num_rows, context_length, config.num_heads, config.head_dim)
    return Cache(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def write(cache_BTHK: jax.Array, new_BLHK: jax.Array, positions_BL: jax.Array) -> jax.Array:
    """Put each row's new entries at their positions; rows may stand at different places."""
    rows_B1 = jnp.arange(new_BLHK.shape[0])[:, None]
    return cache_BTHK.at[rows_B1, positions_BL].set(new_BLHK, mode="drop", unique_indices=True)
