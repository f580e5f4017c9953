"""Log-probabilities of the tokens of full rows, a batch at a time (forest.py scores what has a context).

Shape letters: N rows, B rows of a batch, L positions.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from xgen.model.config import Compute, ModelConfig
from xgen.model.loss import token_logprobs
from xgen.model.params import Params
from xgen.model.transformer import hidden

BATCH_TOKENS = 8_192
"""Tokens of one forward pass; a batch holds at least one row."""


@partial(jax.jit, static_argnames=("config", "compute"))
def _logprobs(params: Params, rows_BL: jax.Array, config: ModelConfig, compute: Compute) -> jax.Array:
    """Give log p(row[l + 1] | row[:l + 1]); the last column has no target and means nothing."""
    positions_BL = jnp.broadcast_to(jnp.arange(rows_BL.shape[1], dtype=jnp.int32), rows_BL.shape)
    h_BLD = hidden(params, rows_BL, positions_BL, jnp.zeros_like(positions_BL), config, compute)
    return token_logprobs(h_BLD, params["head"], jnp.roll(rows_BL, -1, axis=1), compute)


def window(
    params: Params, rows: Int32[np.ndarray, "N L"], config: ModelConfig, compute: Compute
) -> Float32[np.ndarray, "N L-1"]:
    """Score full rows; the last batch is filled up with zeros, so that one program serves them all."""
    num_rows, length = rows.shape
    batch = max(1, min(num_rows, BATCH_TOKENS // length))
    found = np.empty((num_rows, length - 1), np.float32)
    for start in range(0, num_rows, batch):
        part = rows[start : start + batch]
        filled = np.zeros((batch, length), np.int32)
        filled[: len(part)] = part
        found[start : start + batch] = np.asarray(_logprobs(params, filled, config, compute))[: len(part), :-1]
    return found
