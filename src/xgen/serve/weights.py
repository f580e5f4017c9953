"""Weights as generation holds them: each layer on its own, as they were trained, as bfloat16, or as int8."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from xgen.model.config import ModelConfig
from xgen.model.params import Layered, Params, table, unstack
from xgen.model.products import quantized

Storage = Literal["float32", "bfloat16", "int8"]


@partial(jax.jit, static_argnames=("config", "storage"))
def stored(params: Params, config: ModelConfig, storage: Storage) -> Layered:
    """Take the stacked weights apart and store the matrices as told; norms stay float32.

    int8 is for matrices that are multiplied by; the embedding, which is only looked up, becomes bfloat16.
    """
    matrices = {row.name for row in table(config) if row.decayed}

    def one(name: str, value: jax.Array) -> object:
        if name not in matrices or storage == "float32":
            return value
        return value.astype(jnp.bfloat16) if storage == "bfloat16" or name == "embed" else quantized(value)

    weights = unstack(params, config)
    return Layered(
        {name: one(name, value) for name, value in weights.whole.items()},
        tuple({name: one(name, value) for name, value in layer.items()} for layer in weights.layers),
    )
