"""Low-rank tuning: rows of its own for the parameter table, how the network reads them, and the merged weights.

A frozen matrix W (out, in) is used as W + alpha/rank B A, with A (rank, in) drawn and B (out, rank) zero at first, so
tuning begins at the base model (Hu et al. 2021). Only A and B have gradients, moments and checkpoints.

Shape letters: I inputs, O outputs, R rank; matrices of all layers are stacked on a leading dimension.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xgen.core.errors import UserError
from xgen.model.config import Lora, ModelConfig, Precision
from xgen.model.params import Abstract, Params, Row, abstract, table


class LowRank(NamedTuple):
    """A frozen matrix and what is trained beside it; `b_OR` times alpha/rank. model/products.py multiplies by it."""

    frozen_OI: jax.Array
    a_RI: jax.Array
    b_OR: jax.Array


def trained_rows(config: ModelConfig, lora: Lora) -> tuple[Row, ...]:
    """List what is trained: the table, or with a rank two rows for each matrix that is named."""
    if not lora.rank:
        return table(config)
    matrices = {row.name: row for row in table(config) if row.stacked and row.decayed}
    if unknown := [name for name in lora.matrices if name not in matrices]:
        raise UserError(
            f"low-rank tuning of '{unknown[0]}'",
            f"matrices of the layers: {', '.join(matrices)}",
            "Check instruct.lora.",
        )
    rows = []
    for name in dict.fromkeys(lora.matrices):
        layer, out, inputs = matrices[name].meanings
        stem = matrices[name].hf_name.removesuffix("weight")
        rows.append(Row(f"{name}.a", (layer, "rank", inputs), "fan_in", f"{stem}lora_A.weight", lora.rank))
        rows.append(Row(f"{name}.b", (layer, out, "rank"), "zeros", f"{stem}lora_B.weight", lora.rank))
    return tuple(rows)


def frozen_weights(config: ModelConfig, precision: Precision) -> Abstract:
    """Describe the base model as it is held beside low-rank rows.

    Products that round their inputs to bfloat16 lose nothing by matrices that are held rounded: half of the memory.
    """
    held = jnp.bfloat16 if precision == "bfloat16_matmuls" else jnp.float32
    shapes = abstract(config)
    types = {row.name: held if row.stacked and row.decayed else jnp.float32 for row in table(config)}
    return {name: jax.ShapeDtypeStruct(shape.shape, types[name]) for name, shape in shapes.items()}


def adapted(params: Params, frozen: Params, lora: Lora) -> dict[str, Any]:
    """Give the weights that the network reads: those that are trained, or the frozen ones with theirs beside them."""
    if not frozen:
        return params
    scale = lora.alpha / lora.rank
    beside = {
        name: LowRank(frozen[name], params[f"{name}.a"], scale * params[f"{name}.b"])
        for name in dict.fromkeys(lora.matrices)
    }
    return frozen | beside


def merged(base: Params, params: Params, lora: Lora) -> Params:
    """Add what was trained to the base model: weights of its shapes, for export and serving."""
    scale = lora.alpha / lora.rank

    def sum_of(name: str) -> jax.Array:
        return base[name] + scale * jnp.einsum(
            "lor,lri->loi", params[f"{name}.b"], params[f"{name}.a"], precision=jax.lax.Precision.HIGHEST
        )

    return base | {name: sum_of(name) for name in dict.fromkeys(lora.matrices)}
