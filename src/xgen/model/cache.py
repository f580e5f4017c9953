"""The keys and values of what a model has read, so that each new token is read once.

One array a layer, so that a compiled loop writes in place and copies none. Shape letters: B rows, H heads, T places
(the context), K size of a head, L new positions. Place t of a row holds position t.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xgen.model.config import ModelConfig, Precision

CACHE_TYPES: dict[Precision, Any] = {"float32": jnp.float32, "bfloat16_matmuls": jnp.bfloat16}
"""Products that round their inputs to bfloat16 lose nothing by a cache that holds them rounded."""


class Cache(NamedTuple):
    """Keys and values, each a tuple over layers of arrays (B, H, T, K)."""

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]


def empty(
    config: ModelConfig, num_rows: int, context_length: int, precision: Precision, placed: jax.sharding.Sharding | None
) -> Cache:
    """Allocate a cache for `num_rows` rows of at most `context_length` tokens; None places it as JAX does by itself."""
    shape = (num_rows, config.num_heads, context_length, config.head_dim)

    def arrays() -> tuple[jax.Array, ...]:
        return tuple(jnp.zeros(shape, CACHE_TYPES[precision], device=placed) for _ in range(config.num_layers))

    return Cache(arrays(), arrays())


def write(cache_BHTK: jax.Array, new_BLHK: jax.Array, positions_BL: jax.Array) -> jax.Array:
    """Put each row's new entries at their positions; rows may stand at different places, and beyond T is dropped."""
    rows_B1 = jnp.arange(new_BLHK.shape[0])[:, None]
    new_BLHK = new_BLHK.astype(cache_BHTK.dtype)
    return cache_BHTK.at[rows_B1, :, positions_BL].set(new_BLHK, mode="drop", unique_indices=True)
