"""Log-probabilities of the tokens of full rows, from the weights as they are stored, a batch at a time.

Layers stand apart and are alike, so one compiled program serves them all and nothing is stacked or widened;
forest.py scores what has a context.

Shape letters: N rows, B rows of a batch, L positions.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from xgen.model.config import Compute, ModelConfig
from xgen.model.loss import token_logprobs
from xgen.model.params import Layered
from xgen.model.transformer import read_layer
from xgen.model.variants import NORMS

BATCH_TOKENS = 8_192
"""Tokens of one forward pass; a batch holds at least one row."""


@jax.jit
def _embedded(embed_VD: jax.Array, rows_BL: jax.Array) -> jax.Array:
    return embed_VD[rows_BL].astype(jnp.float32)


_read = partial(jax.jit, static_argnames=("config", "compute"))(read_layer)


@partial(jax.jit, static_argnames=("config", "compute"))
def _at_targets(
    x_BLD: jax.Array, whole: dict[str, Any], rows_BL: jax.Array, config: ModelConfig, compute: Compute
) -> jax.Array:
    h_BLD = NORMS[config.norm](x_BLD, whole["final_norm"], config.norm_eps)
    return token_logprobs(h_BLD, whole["head"], jnp.roll(rows_BL, -1, axis=1), compute)


def _logprobs(weights: Layered, rows_BL: np.ndarray, config: ModelConfig, compute: Compute) -> jax.Array:
    """Give log p(row[l + 1] | row[:l + 1]); the last column has no target and means nothing."""
    x_BLD = _embedded(weights.whole["embed"], rows_BL)
    for layer in weights.layers:
        x_BLD = _read(x_BLD, layer, config=config, compute=compute)
    last = {name: weights.whole[name] for name in ("final_norm", "head")}
    return _at_targets(x_BLD, last, rows_BL, config, compute)


def window(
    weights: Layered, rows: Int32[np.ndarray, "N L"], config: ModelConfig, compute: Compute
) -> Float32[np.ndarray, "N L-1"]:
    """Score full rows; the last batch is filled up with zeros, so that one program serves them all."""
    num_rows, length = rows.shape
    batch = max(1, min(num_rows, BATCH_TOKENS // length))
    found = np.empty((num_rows, length - 1), np.float32)
    for start in range(0, num_rows, batch):
        part = rows[start : start + batch]
        filled = np.zeros((batch, length), np.int32)
        filled[: len(part)] = part
        found[start : start + batch] = np.asarray(_logprobs(weights, filled, config, compute))[: len(part), :-1]
    return found
