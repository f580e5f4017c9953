"""Weights as generation holds them: each layer on its own, as they were trained, as bfloat16, or as int8."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from xgen.model.config import ModelConfig
from xgen.model.params import Layered, Params, table, unstack
from xgen.model.products import quantized

Storage = Literal["float32", "bfloat16", "int8"]


@partial(jax.jit, static_argnames=("config", "storage"))
def stored(params: Params, config: ModelConfig, storage: Storage) -> Layered:
    """Take the stacked weights apart and store the matrices as told; norms stay float32.

    int8 is for matrices that are multiplied by; the embedding, which is only looked up, becomes bfloat16.
    """
    weights = unstack(params, config)
    return Layered(
        {name: _stored(value, _kind(name, config, storage)) for name, value in weights.whole.items()},
        tuple(
            {name: _stored(value, _kind(name, config, storage)) for name, value in layer.items()}
            for layer in weights.layers
        ),
    )


def stored_one_by_one(
    weights: Iterable[tuple[str, int | None, np.ndarray]], config: ModelConfig, storage: Storage
) -> Layered:
    """Store weights as they arrive, by name and layer, so that no more than one of them exists in float32."""
    whole: dict[str, Any] = {}
    layers: tuple[dict[str, Any], ...] = tuple({} for _ in range(config.num_layers))
    for name, layer, value in weights:
        place = whole if layer is None else layers[layer]
        place[name] = jax.block_until_ready(_stored_alone(value, _kind(name, config, storage)))
    return Layered(whole, layers)


def _kind(name: str, config: ModelConfig, storage: Storage) -> Storage:
    if not any(row.decayed for row in table(config) if row.name == name):
        return "float32"
    return "bfloat16" if storage == "int8" and name == "embed" else storage


def _stored(value: jax.Array, kind: Storage) -> Any:
    if kind == "int8":
        return quantized(value)
    return value.astype(jnp.bfloat16 if kind == "bfloat16" else jnp.float32)


_stored_alone = partial(jax.jit, static_argnames="kind")(_stored)
