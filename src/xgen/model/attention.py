"""Causal attention: its definition, and a version whose memory grows linearly with the length.

Shape letters: B rows, L queries, T keys, H heads, K size of a head. Softmax is float32 in every version.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Float32, Int32

from xgen.model.products import Einsum

READ = "read"
"""The name of what heads read and what their backward pass needs beside it, for `REMATS` in model/transformer.py."""


class View(NamedTuple):
    """What queries may read: keys of their own segment that are not later than they are."""

    own_BL: jax.Array
    """The segment of each query."""
    seen_BT: jax.Array
    """The segment of each key."""
    first_query: int | jax.Array
    """The place of the first query among the keys."""
    block: int
    """Queries and keys that are handled at a time."""


Attention = Callable[[jax.Array, jax.Array, jax.Array, View, Einsum], jax.Array]
"""(q_BLHK, k_BTHK, v_BTHK, view, einsum) -> read_BLHK."""


def attend(
    q_BLHK: Float32[Array, "B L H K"],
    k_BTHK: Float32[Array, "B T H K"],
    v_BTHK: Float32[Array, "B T H K"],
    mask_BLT: Bool[Array, "B L T"],
    einsum: Einsum,
) -> Float32[Array, "B L H K"]:
    """softmax(q k^T / sqrt(K)) v, over the keys that the mask allows; the definition."""
    scores_BHLT = einsum("BLHK,BTHK->BHLT", q_BLHK, k_BTHK) * q_BLHK.shape[-1] ** -0.5
    scores_BHLT = jnp.where(mask_BLT[:, None], scores_BHLT, jnp.finfo(jnp.float32).min)
    return einsum("BHLT,BTHK->BLHK", jax.nn.softmax(scores_BHLT, axis=-1), v_BTHK)


def attend_cached(
    q_BLHK: Float32[Array, "B L H K"],
    k_BHTK: Float[Array, "B H T K"],
    v_BHTK: Float[Array, "B H T K"],
    mask_BLT: Bool[Array, "B L T"],
    einsum: Einsum,
) -> Float32[Array, "B L H K"]:
    """Do what `attend` does over keys and values as a cache holds them: each head's side by side."""
    scores_BHLT = einsum("BLHK,BHTK->BHLT", q_BLHK, k_BHTK) * q_BLHK.shape[-1] ** -0.5
    scores_BHLT = jnp.where(mask_BLT[:, None], scores_BHLT, jnp.finfo(jnp.float32).min)
    return einsum("BHLT,BHTK->BLHK", jax.nn.softmax(scores_BHLT, axis=-1), v_BHTK)


def causal_mask(
    segments_BL: Int32[Array, "B L"],
    segments_BT: Int32[Array, "B T"],
    first_query: int | jax.Array,
    first_key: int | jax.Array = 0,
) -> Bool[Array, "B L T"]:
    """Allow keys that are not later than the query and of the same segment; both are counted from a first place."""
    queries_L = first_query + jnp.arange(segments_BL.shape[1])
    keys_T = first_key + jnp.arange(segments_BT.shape[1])
    return (queries_L[:, None] >= keys_T[None, :])[None] & (segments_BL[:, :, None] == segments_BT[:, None, :])


def definition(q_BLHK: jax.Array, k_BTHK: jax.Array, v_BTHK: jax.Array, view: View, einsum: Einsum) -> jax.Array:
    """Attend over a whole row at once: an L x L tensor for each head."""
    mask_BLT = causal_mask(view.own_BL, view.seen_BT, view.first_query)
    return checkpoint_name(attend(q_BLHK, k_BTHK, v_BTHK, mask_BLT, einsum), READ)


def blockwise(q_BLHK: jax.Array, k_BTHK: jax.Array, v_BTHK: jax.Array, view: View, einsum: Einsum) -> jax.Array:
    """Attend from a block of queries to a block of keys at a time, with a running softmax and a backward of its own.

    No tensor is larger than block x block for each head, and blocks that causality makes void are never computed
    (Dao et al. 2022). Kept for the backward pass: the result and one number a query.
    """
    length, block = q_BLHK.shape[1], view.block
    scaled_BLHK = q_BLHK * q_BLHK.shape[-1] ** -0.5
    heads_first = [_padded(jnp.swapaxes(x, 1, 2), block, 2, 0) for x in (scaled_BLHK, k_BTHK, v_BTHK)]
    # Padding is of segments that nothing else has, so it reads nothing and is not read.
    own, seen = _padded(view.own_BL, block, 1, -2), _padded(view.seen_BT, block, 1, -1)
    read_BHLK = _flash(*heads_first, own, seen, jnp.asarray(view.first_query, jnp.int32), block, einsum)
    return jnp.swapaxes(jnp.asarray(read_BHLK), 1, 2)[:, :length]


def _padded(x: jax.Array, block: int, axis: int, value: int) -> jax.Array:
    missing = -x.shape[axis] % block
    return jnp.pad(x, [(0, missing if n == axis else 0) for n in range(x.ndim)], constant_values=value)


def _block(x: jax.Array, index: jax.Array, block: int, axis: int = 2) -> jax.Array:
    return jax.lax.dynamic_slice_in_dim(x, index * block, block, axis)


def _num_key_blocks(query_block: jax.Array, first_query: jax.Array, block: int, keys: int) -> jax.Array:
    """Count the blocks of keys that the last query of a block may see."""
    return jnp.minimum((first_query + (query_block + 1) * block - 1) // block + 1, keys // block)


@partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _flash(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    own: jax.Array,
    seen: jax.Array,
    first: jax.Array,
    block: int,
    einsum: Einsum,
) -> jax.Array:
    return _flash_forward(q, k, v, own, seen, first, block, einsum)[0]


def _flash_forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    own: jax.Array,
    seen: jax.Array,
    first: jax.Array,
    block: int,
    einsum: Einsum,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    lowest = jnp.finfo(jnp.float32).min

    def queries(_: None, i: jax.Array) -> tuple[None, tuple[jax.Array, jax.Array]]:
        q_BHLK, own_BL = _block(q, i, block), _block(own, i, block, 1)

        def keys(j: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            top, total, read = carry
            mask = causal_mask(own_BL, _block(seen, j, block, 1), first + i * block, j * block)[:, None]
            scores = jnp.where(mask, einsum("BHLK,BHTK->BHLT", q_BHLK, _block(k, j, block)), lowest)
            new_top = jnp.maximum(top, jnp.max(scores, axis=-1, keepdims=True))
            weights = jnp.exp(scores - new_top)  # a row that saw nothing yet has ones, which `shrink` wipes out
            shrink = jnp.exp(top - new_top)
            total = total * shrink + jnp.sum(weights, axis=-1, keepdims=True)
            return new_top, total, read * shrink + einsum("BHLT,BHTK->BHLK", weights, _block(v, j, block))

        one = (*q_BHLK.shape[:3], 1)
        start = (jnp.full(one, lowest), jnp.zeros(one), jnp.zeros_like(q_BHLK))
        top, total, read = jax.lax.fori_loop(0, _num_key_blocks(i, first, block, k.shape[2]), keys, start)
        total = jnp.maximum(total, jnp.finfo(jnp.float32).tiny)
        return None, (read / total, top + jnp.log(total))

    _, (read, logsum) = jax.lax.scan(queries, None, jnp.arange(q.shape[2] // block))
    read, logsum = (
        checkpoint_name(jnp.moveaxis(x, 0, 2).reshape(*q.shape[:3], x.shape[-1]), READ) for x in (read, logsum)
    )
    return read, (q, k, v, own, seen, first, read, logsum)


def _flash_backward(block: int, einsum: Einsum, kept: tuple, g: jax.Array) -> tuple[jax.Array | None, ...]:
    """Give the gradients of q, k and v, with weights as keys x queries.

    Then no product transposes them; as queries x keys two would, and XLA's CPU halves its speed for that.
    """
    q, k, v, own, seen, first, read, logsum = map(jnp.asarray, kept)  # a constant arrives as NumPy's
    lowest = jnp.finfo(jnp.float32).min
    delta_BH1L = jnp.swapaxes(jnp.sum(g * read, axis=-1, keepdims=True), 2, 3)
    logsum_BH1L, k_BHKT = jnp.swapaxes(logsum, 2, 3), jnp.swapaxes(k, 2, 3)

    def queries(carry: tuple[jax.Array, ...], i: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
        q_BHLK, g_BHLK = _block(q, i, block), _block(g, i, block)
        top, drop = _block(logsum_BH1L, i, block, 3), _block(delta_BH1L, i, block, 3)
        own_BL = _block(own, i, block, 1)

        def keys(j: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            dq, dk, dv = carry
            mask_BLT = causal_mask(own_BL, _block(seen, j, block, 1), first + i * block, j * block)
            mask = jnp.swapaxes(mask_BLT, 1, 2)[:, None]
            scores = einsum("BHTK,BHLK->BHTL", _block(k, j, block), q_BHLK)
            weights = jnp.exp(jnp.where(mask, scores, lowest) - top)
            dv = _add(dv, einsum("BHTL,BHLK->BHTK", weights, g_BHLK), j * block)
            pull = weights * (einsum("BHTK,BHLK->BHTL", _block(v, j, block), g_BHLK) - drop)
            dk = _add(dk, einsum("BHTL,BHLK->BHTK", pull, q_BHLK), j * block)
            return dq + einsum("BHKT,BHTL->BHKL", _block(k_BHKT, j, block, 3), pull), dk, dv

        start = (jnp.zeros_like(jnp.swapaxes(q_BHLK, 2, 3)), *carry)
        dq, dk, dv = jax.lax.fori_loop(0, _num_key_blocks(i, first, block, k.shape[2]), keys, start)
        return (dk, dv), jnp.swapaxes(dq, 2, 3)

    (dk, dv), dq = jax.lax.scan(queries, (jnp.zeros_like(k), jnp.zeros_like(v)), jnp.arange(q.shape[2] // block))
    return jnp.moveaxis(dq, 0, 2).reshape(q.shape), dk, dv, None, None, None


def _add(whole: jax.Array, part: jax.Array, start: jax.Array) -> jax.Array:
    old = jax.lax.dynamic_slice_in_dim(whole, start, part.shape[2], 2)
    return jax.lax.dynamic_update_slice_in_dim(whole, old + part, start, 2)


_flash.defvjp(_flash_forward, _flash_backward)
