"""Causal attention: its definition, and a version whose memory grows linearly with the length.

Shape letters: B rows, L queries, T keys, H heads, K size of a head. Softmax is float32 in every version.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int32

from xgen.model.products import Einsum

Attention = Callable[[jax.Array, jax.Array, jax.Array, jax.Array, int, Einsum], jax.Array]


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
    segments_BL: Int32[Array, "B L"], segments_BT: Int32[Array, "B T"], first_query: int
) -> Bool[Array, "B L T"]:
    """Allow keys that are not later than the query and of the same segment; queries start at `first_query`."""
    queries_L = first_query + jnp.arange(segments_BL.shape[1])
    keys_T = jnp.arange(segments_BT.shape[1])
    return (queries_L[:, None] >= keys_T[None, :])[None] & (segments_BL[:, :, None] == segments_BT[:, None, :])


def definition(
    q_BLHK: jax.Array, k_BLHK: jax.Array, v_BLHK: jax.Array, segments_BL: jax.Array, block: int, einsum: Einsum
) -> jax.Array:
    """Attend over a whole row at once: an L x L tensor for each head."""
    return attend(q_BLHK, k_BLHK, v_BLHK, causal_mask(segments_BL, segments_BL, 0), einsum)


def blockwise(
    q_BLHK: jax.Array, k_BLHK: jax.Array, v_BLHK: jax.Array, segments_BL: jax.Array, block: int, einsum: Einsum
) -> jax.Array:
    """Attend from `block` queries at a time to the keys up to them, and recompute the scores in the backward pass.

    No tensor is larger than block x L for each head, and the half of the products that causality makes void is
    never computed. Equal to `definition`, also in the order of its sums.
    """
    outputs = []
    for start in range(0, q_BLHK.shape[1], block):
        stop = min(start + block, q_BLHK.shape[1])

        @jax.checkpoint
        def rows(
            q: jax.Array, k: jax.Array, v: jax.Array, own: jax.Array, seen: jax.Array, start: int = start
        ) -> jax.Array:
            return attend(q, k, v, causal_mask(own, seen, start), einsum)

        outputs.append(
            rows(
                q_BLHK[:, start:stop],
                k_BLHK[:, :stop],
                v_BLHK[:, :stop],
                segments_BL[:, start:stop],
                segments_BL[:, :stop],
            )
        )
    return jnp.concatenate(outputs, axis=1)


ATTENTIONS: dict[str, Attention] = {"definition": definition, "blockwise": blockwise}
