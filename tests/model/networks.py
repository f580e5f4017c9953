"""Small networks and batches that tests of several rooms share."""

import jax
import jax.numpy as jnp
import numpy as np

from xgen.core.types import Batch
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Params, init

SMALL = ModelConfig(
    num_layers=2, dim=32, num_heads=4, ffn_dim=64, vocab_size=96, norm_eps=1e-6, rope_base=10_000.0, init_std=0.1
)
FLOAT32 = Compute(precision="float32", attention="blockwise", attention_block=16, loss_chunk=64, remat="none")


def params_of(config: ModelConfig = SMALL, seed: int = 0) -> Params:
    return init(config, jax.random.key(seed))


def batch_of(rows: int, length: int, config: ModelConfig = SMALL, seed: int = 0) -> Batch:
    """Random tokens with random weights, and two segments in each row."""
    random = np.random.default_rng(seed)
    tokens = random.integers(0, config.vocab_size, (rows, length)).astype(np.int32)
    targets = np.roll(tokens, -1, axis=1)
    weights = random.integers(0, 2, (rows, length)).astype(np.float32)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length)).copy()
    segments = (positions >= length // 3).astype(np.int32)
    return Batch(tokens, targets, weights, positions, segments)


def on_device(batch: Batch) -> Batch:
    return Batch(*(jnp.asarray(part) for part in batch))
