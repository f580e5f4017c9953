"""The parameter table: every weight described once, everything else derived from it.

A row says what each dimension means, how the weight starts and what it is called in a Hugging Face checkpoint.
Initialization, abstract shapes, sharding, weight decay, counting, import and export read the table. Matrices are
stored as Hugging Face stores them, (out, in), so no transposition exists anywhere; the weights of all layers are
stacked on a leading "layer" dimension for `lax.scan`.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from xgen.model.config import ModelConfig

Params = dict[str, jax.Array]
Abstract = dict[str, jax.ShapeDtypeStruct]


@dataclass(frozen=True)
class Row:
    """One weight. `meanings` name its dimensions; parallel/rules.py maps meanings to mesh axes."""

    name: str
    meanings: tuple[str, ...]
    start: Literal["normal", "ones", "zeros", "fan_in"]
    hf_name: str
    rank: int = 0
    """The size of the meaning "rank"."""

    @property
    def stacked(self) -> bool:
        """Whether the first dimension counts layers; then `hf_name` has a place for the layer's number."""
        return self.meanings[0] == "layer"

    @property
    def decayed(self) -> bool:
        """Weight decay is for matrices: a stacked norm has two dimensions, but is a vector in each layer."""
        return len(self.meanings) - self.stacked > 1


_LAYER = "model.layers.{layer}."
LLAMA = (
    Row("embed", ("vocab", "dim"), "normal", "model.embed_tokens.weight"),
    Row("attention_norm", ("layer", "dim"), "ones", _LAYER + "input_layernorm.weight"),
    Row("q", ("layer", "head", "dim"), "normal", _LAYER + "self_attn.q_proj.weight"),
    Row("k", ("layer", "head", "dim"), "normal", _LAYER + "self_attn.k_proj.weight"),
    Row("v", ("layer", "head", "dim"), "normal", _LAYER + "self_attn.v_proj.weight"),
    Row("o", ("layer", "dim", "head"), "normal", _LAYER + "self_attn.o_proj.weight"),
    Row("ffn_norm", ("layer", "dim"), "ones", _LAYER + "post_attention_layernorm.weight"),
    Row("gate", ("layer", "ffn", "dim"), "normal", _LAYER + "mlp.gate_proj.weight"),
    Row("up", ("layer", "ffn", "dim"), "normal", _LAYER + "mlp.up_proj.weight"),
    Row("down", ("layer", "dim", "ffn"), "normal", _LAYER + "mlp.down_proj.weight"),
    Row("final_norm", ("dim",), "ones", "model.norm.weight"),
    Row("head", ("vocab", "dim"), "normal", "lm_head.weight"),
)


def table(config: ModelConfig) -> tuple[Row, ...]:
    """List the weights of a network, in the order of its forward pass."""
    return LLAMA


def shape_of(row: Row, config: ModelConfig) -> tuple[int, ...]:
    """Give the shape of a weight; "head" is all heads side by side."""
    sizes = {
        "layer": config.num_layers,
        "dim": config.dim,
        "head": config.num_heads * config.head_dim,
        "ffn": config.ffn_dim,
        "vocab": config.vocab_size,
        "rank": row.rank,
    }
    return tuple(sizes[meaning] for meaning in row.meanings)


def count(config: ModelConfig) -> int:
    """Count the parameters; 6,895,702,016 for XGen-7B."""
    return sum(prod(shape_of(row, config)) for row in table(config))


def abstract(config: ModelConfig, rows: tuple[Row, ...] = ()) -> Abstract:
    """Describe the parameters, or those of other rows, without making them."""
    rows = rows or table(config)
    return {row.name: jax.ShapeDtypeStruct(shape_of(row, config), jnp.float32) for row in rows}


def init(config: ModelConfig, key: jax.Array, rows: tuple[Row, ...] = ()) -> Params:
    """Draw the parameters, or those of other rows, in float32: matrices from N(0, init_std), norms at one."""

    def start(row: Row, row_key: jax.Array) -> jax.Array:
        shape = shape_of(row, config)
        if row.start == "ones":
            return jnp.ones(shape, jnp.float32)
        if row.start == "zeros":
            return jnp.zeros(shape, jnp.float32)
        deviation = config.init_std if row.start == "normal" else (3 * shape[-1]) ** -0.5
        return deviation * jax.random.normal(row_key, shape, jnp.float32)

    rows = rows or table(config)
    return {row.name: start(row, row_key) for row, row_key in zip(rows, jax.random.split(key, len(rows)), strict=True)}


def decay_mask(config: ModelConfig, rows: tuple[Row, ...] = ()) -> dict[str, bool]:
    """Say which weights decay."""
    return {row.name: row.decayed for row in rows or table(config)}


class Layered(NamedTuple):
    """The weights with each layer's on its own, as generation reads them; a matrix may be an Int8 (products.py)."""

    whole: dict[str, Any]
    layers: tuple[dict[str, Any], ...]


def unstack(params: Params, config: ModelConfig) -> Layered:
    """Take the stacked weights apart, layer by layer."""
    stacked = [row.name for row in table(config) if row.stacked]
    whole = {row.name: params[row.name] for row in table(config) if not row.stacked}
    return Layered(whole, tuple({name: params[name][i] for name in stacked} for i in range(config.num_layers)))
