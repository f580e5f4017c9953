"""A Hugging Face folder of a small model with random weights, whose window holds every question of the suite."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xgen.export.huggingface import Release, write_folder
from xgen.export.verify import Proof
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import init
from xgen.model.transformer import forward

CONFIG = ModelConfig(
    num_layers=2, dim=32, num_heads=2, ffn_dim=64, vocab_size=51_200, norm_eps=1e-6, rope_base=10_000.0, init_std=0.3
)
FLOAT32 = Compute(precision="float32", attention="definition", attention_block=8, loss_chunk=16, remat="none")


def write_small(folder: Path, context_length: int = 2_048, config: ModelConfig = CONFIG) -> Path:
    """Write the folder as an export would, proof included."""
    params: dict[str, Any] = init(config, jax.random.key(3))
    tokens = np.arange(10, 20, dtype=np.int32)
    logits = np.asarray(forward(params, jnp.asarray(tokens[None]), config, FLOAT32)[0])
    arrays = {name: np.asarray(value) for name, value in params.items()}
    write_folder(folder, config, arrays, Release(context_length, "# small\n", ""), Proof(tokens, logits, 1e-3))
    return folder
