"""The network: token ids in, hidden states out; a scan over stacked layers (section 3 of the report).

Shape letters: B rows, L positions, D dim, H heads, K size of a head, V vocabulary, T places of a cache.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float32, Int32

from xgen.model.attention import READ, View, attend, attend_cached
from xgen.model.cache import Cache, write
from xgen.model.config import Compute, ModelConfig, Remat
from xgen.model.kernels import NAMELESS, require_platform
from xgen.model.layers import rotary_table, rotate
from xgen.model.params import Layered, Params, table
from xgen.model.products import PRODUCTS, Einsum
from xgen.model.variants import ATTENTIONS, CIRCUITS, FFNS, NORMS
from xgen.parallel.rules import Placement

Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

REMATS: dict[Remat, tuple[str, ...] | None] = {
    "none": None,
    "full": (),
    "attention": (READ,),
    "dots": ("q", "k", "v", READ, "attended", "gate", "up"),
}
"""What each layer keeps for its backward pass besides its input, by name; None keeps all. The rest is computed again:
all of the layer, all but attention over the row, or only what is no matrix product."""


def _block(
    x_BLD: jax.Array, layer: dict[str, Any], rotary: jax.Array, attend_over: Attend, config: ModelConfig, einsum: Einsum
) -> jax.Array:
    """One layer; `attend_over` maps rotated queries, rotated keys and values to what the heads read."""
    norm = NORMS[config.norm]

    def attention(x_BLD: jax.Array) -> jax.Array:
        x_BLD = norm(x_BLD, layer["attention_norm"], config.norm_eps)
        heads = (*x_BLD.shape[:2], config.num_heads, config.head_dim)
        q_BLHK, k_BLHK, v_BLHK = (einsum("BLD,ED->BLE", x_BLD, layer[name]).reshape(heads) for name in "qkv")
        turned = rotate(q_BLHK, rotary), rotate(k_BLHK, rotary), v_BLHK
        read_BLHK = attend_over(*(checkpoint_name(x, name) for x, name in zip(turned, "qkv", strict=True)))
        return checkpoint_name(einsum("BLE,DE->BLD", read_BLHK.reshape(*x_BLD.shape[:2], -1), layer["o"]), "attended")

    def ffn(x_BLD: jax.Array) -> jax.Array:
        x_BLD = norm(x_BLD, layer["ffn_norm"], config.norm_eps)
        return FFNS[config.ffn](x_BLD, layer["gate"], layer["up"], layer["down"], einsum)

    return CIRCUITS[config.circuit](x_BLD, attention, ffn)


def _layers(params: dict[str, Any], config: ModelConfig) -> dict[str, Any]:
    return {row.name: params[row.name] for row in table(config) if row.stacked}


def _attention_on(
    placement: Placement | None, compute: Compute, einsum: Einsum
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]:
    """Attend where the queries are: each device reads its rows and heads, and the keys of all positions.

    Where positions are split, keys and values are gathered and queries stay (section 3.3.2 of Llama 3's report does
    the same): with few devices along the axis, this costs less than passing blocks around.
    """

    def local(q: jax.Array, k: jax.Array, v: jax.Array, own_BL: jax.Array) -> jax.Array:
        first, seen_BT = 0, own_BL
        if placement is not None and placement.parts("position") > 1:
            axes = placement.layout["position"]
            first = jax.lax.axis_index(axes) * q.shape[1]
            k, v, seen_BT = (jax.lax.all_gather(x, axes, axis=1, tiled=True) for x in (k, v, own_BL))
        return ATTENTIONS[compute.attention](q, k, v, View(own_BL, seen_BT, first, compute.attention_block), einsum)

    require_platform(compute.attention, placement.platform if placement is not None else jax.default_backend())
    if placement is None or placement.mesh.size == 1:
        return local
    heads, segments = placement.spec("row", "position", "head", "size"), placement.spec("row", "position")
    return jax.shard_map(
        local, mesh=placement.mesh, in_specs=(heads, heads, heads, segments), out_specs=heads, check_vma=False
    )


def _rematerialized(body: Callable, remat: Remat) -> Callable:
    """Let a layer keep what `REMATS` names and compute the rest again."""
    names = REMATS[remat]
    if names is None:
        return body
    named = jax.checkpoint_policies.save_only_these_names(*names)

    def kept(primitive: Any, *inputs: Any, **settings: Any) -> bool:
        return named(primitive, *inputs, **settings) or (READ in names and primitive.name in NAMELESS)

    return jax.checkpoint(body, policy=kept, prevent_cse=False)  # a scan keeps passes apart by itself


def hidden(
    params: dict[str, Any],
    tokens_BL: Int32[Array, "B L"],
    positions_BL: Int32[Array, "B L"],
    segments_BL: Int32[Array, "B L"],
    config: ModelConfig,
    compute: Compute,
    placement: Placement | None = None,
) -> Float32[Array, "B L D"]:
    """Read whole rows: the state after the last norm, from which `head` predicts the next token.

    A matrix of the layers may be a LowRank (lora.py).
    Attention joins positions of equal segment only. The context is whatever L is: no state depends on it.
    `placement` keeps rows and positions on their devices between layers; without it the compiler chooses.
    """
    einsum = PRODUCTS[compute.precision]
    rotary = rotary_table(positions_BL, config.head_dim, config.rope_base)
    read = _attention_on(placement, compute, einsum)

    def keep(x_BLD: jax.Array) -> jax.Array:
        if placement is None:
            return x_BLD
        return jax.lax.with_sharding_constraint(x_BLD, placement.of("row", "position", "state"))

    def body(x_BLD: jax.Array, layer: Params) -> tuple[jax.Array, None]:
        x_BLD = _block(x_BLD, layer, rotary, lambda q, k, v: read(q, k, v, segments_BL), config, einsum)
        return keep(x_BLD), None

    x_BLD, _ = jax.lax.scan(
        _rematerialized(body, compute.remat), keep(params["embed"][tokens_BL]), _layers(params, config)
    )
    return NORMS[config.norm](x_BLD, params["final_norm"], config.norm_eps)


def read_layer(
    x_BLD: Float32[Array, "B L D"], layer: dict[str, Any], config: ModelConfig, compute: Compute
) -> Float32[Array, "B L D"]:
    """Do with whole rows, one segment each, what `hidden` does in one of its layers; for layers that stand alone."""
    einsum = PRODUCTS[compute.precision]
    positions_BL = jnp.broadcast_to(jnp.arange(x_BLD.shape[1], dtype=jnp.int32), x_BLD.shape[:2])
    rotary = rotary_table(positions_BL, config.head_dim, config.rope_base)
    read = _attention_on(None, compute, einsum)
    segments_BL = jnp.zeros_like(positions_BL)
    return _block(x_BLD, layer, rotary, lambda q, k, v: read(q, k, v, segments_BL), config, einsum)


def hidden_with_cache(
    weights: Layered,
    tokens_BL: Int32[Array, "B L"],
    positions_BL: Int32[Array, "B L"],
    cache: Cache,
    config: ModelConfig,
    compute: Compute,
) -> tuple[Float32[Array, "B L D"], Cache]:
    """Read new tokens of each row after what its cache holds: prefill (many tokens) and decode (one).

    A query at position p sees the places 0 to p, so what padding wrote at later places is never read before it is
    overwritten. Positions at or beyond the cache's length are dropped. Layers stand one after another in the
    program, not in a scan, which would copy the weights and the cache of each.
    """
    einsum = PRODUCTS[compute.precision]
    rotary = rotary_table(positions_BL, config.head_dim, config.rope_base)
    mask_BLT = positions_BL[:, :, None] >= jnp.arange(cache.keys[0].shape[2])[None, None, :]
    keys, values = list(cache.keys), list(cache.values)
    x_BLD = weights.whole["embed"][tokens_BL].astype(jnp.float32)
    for number, layer in enumerate(weights.layers):

        def attend_over(q: jax.Array, k: jax.Array, v: jax.Array, number: int = number) -> jax.Array:
            keys[number] = write(keys[number], k, positions_BL)
            values[number] = write(values[number], v, positions_BL)
            return attend_cached(q, keys[number], values[number], mask_BLT, einsum)

        x_BLD = _block(x_BLD, layer, rotary, attend_over, config, einsum)
    h_BLD = NORMS[config.norm](x_BLD, weights.whole["final_norm"], config.norm_eps)
    return h_BLD, Cache(tuple(keys), tuple(values))


def hidden_of_forest(
    weights: Layered,
    tokens_BL: Int32[Array, "B L"],
    positions_BL: Int32[Array, "B L"],
    ends_BL: Int32[Array, "B L"],
    block: int,
    config: ModelConfig,
    compute: Compute,
) -> Float32[Array, "B L D"]:
    """Read rows that hold trees of tokens, each tree laid out depth first, so that a shared beginning is read once.

    The descendants of the token at place l are the places l + 1 to `ends` - 1, and a token sees its ancestors and
    itself; its position is its depth. A chain, with `ends` = L, is a row as `hidden` reads it. Attends from `block`
    places at a time (L is a multiple of it).
    """
    einsum = PRODUCTS[compute.precision]
    rotary = rotary_table(positions_BL, config.head_dim, config.rope_base)
    places_L = jnp.arange(tokens_BL.shape[1], dtype=jnp.int32)

    def attend_over(q_BLHK: jax.Array, k_BLHK: jax.Array, v_BLHK: jax.Array) -> jax.Array:
        def part(first: jax.Array) -> jax.Array:
            queries_l = first + jnp.arange(block, dtype=jnp.int32)
            own_BlHK = jax.lax.dynamic_slice_in_dim(q_BLHK, first, block, 1)
            later_lL = queries_l[:, None] >= places_L[None, :]
            mask_BlL = later_lL[None] & (queries_l[None, :, None] < ends_BL[:, None, :])
            return attend(own_BlHK, k_BLHK, v_BLHK, mask_BlL, einsum)

        read = jax.lax.map(part, jnp.arange(0, tokens_BL.shape[1], block, dtype=jnp.int32))
        return jnp.moveaxis(read, 0, 1).reshape(q_BLHK.shape)

    x_BLD = weights.whole["embed"][tokens_BL].astype(jnp.float32)
    for layer in weights.layers:
        x_BLD = _block(x_BLD, layer, rotary, attend_over, config, einsum)
    return NORMS[config.norm](x_BLD, weights.whole["final_norm"], config.norm_eps)


def logits(params: dict[str, Any], h_BLD: Float32[Array, "B L D"], compute: Compute) -> Float32[Array, "B L V"]:
    """Predict the next token at each position; for few positions only (model/loss.py never makes a row's)."""
    return PRODUCTS[compute.precision]("BLD,VD->BLV", h_BLD, params["head"])


def forward(
    params: Params, tokens_BL: Int32[Array, "B L"], config: ModelConfig, compute: Compute
) -> Float32[Array, "B L V"]:
    """Logits of whole rows that start at position 0 and are one segment each: the definition that tests compare."""
    positions_BL = jnp.broadcast_to(jnp.arange(tokens_BL.shape[1], dtype=jnp.int32), tokens_BL.shape)
    h_BLD = hidden(params, tokens_BL, positions_BL, jnp.zeros_like(positions_BL), config, compute)
    return logits(params, h_BLD, compute)
