"""Attention by kernels of accelerators, behind the signature of `definition`; each says where it runs, how exactly.

None of them has run on its device in our tests: train/probe.py compares the one that a recipe names with the
definition before a run begins, and refuses it where it differs.

Shape letters: B rows, L queries, T keys, H heads, K size of a head.
"""

import jax
import jax.numpy as jnp

from xgen.core.errors import UserError
from xgen.model.attention import READ, View
from xgen.model.products import Einsum

NAMELESS = ("dot_product_attention_fwd", "dot_product_attention_fwd_wrapper")
"""Primitives whose results are what heads read (`READ`), without a name of their own: cuDNN's."""


PLATFORMS = {"cudnn": "gpu", "splash": "tpu"}
"""Where a kernel runs; what is not named here runs everywhere."""


def require_platform(attention: str, platform: str) -> None:
    """Refuse a kernel of another kind of device: nothing takes its place."""
    if platform != PLATFORMS.get(attention, platform):
        raise UserError(
            f"the attention '{attention}' on {platform}", PLATFORMS[attention], "Set execution.attention to blockwise."
        )


def _require_whole_rows(name: str, first_query: int | jax.Array) -> None:
    if not isinstance(first_query, int):
        raise UserError(
            f"the attention '{name}' with positions split over devices",
            "whole rows on a device",
            "Set execution.context-axis to 1, or execution.attention to blockwise.",
        )


def cudnn(q_BLHK: jax.Array, k_BTHK: jax.Array, v_BTHK: jax.Array, view: View, einsum: Einsum) -> jax.Array:
    """NVIDIA's fused attention: inputs and result in bfloat16, softmax in float32. It does not know segments."""
    _require_whole_rows("cudnn", view.first_query)
    q, k, v = (x.astype(jnp.bfloat16) for x in (q_BLHK, k_BTHK, v_BTHK))
    return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn").astype(jnp.float32)


def splash(q_BLHK: jax.Array, k_BTHK: jax.Array, v_BTHK: jax.Array, view: View, einsum: Einsum) -> jax.Array:
    """JAX's kernel for TPUs: inputs in bfloat16, softmax in float32; lengths in multiples of 128, segments known."""
    _require_whole_rows("splash", view.first_query)
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel, splash_attention_mask

    length, heads, size = q_BLHK.shape[1:]
    mask = splash_attention_mask.MultiHeadMask([splash_attention_mask.CausalMask((length, length))] * heads)
    kernel = splash_attention_kernel.make_splash_mha(mask, head_shards=1, q_seq_shards=1, residual_checkpoint_name=READ)
    q, k, v = (jnp.swapaxes(x, 1, 2).astype(jnp.bfloat16) for x in (q_BLHK * size**-0.5, k_BTHK, v_BTHK))
    segments = splash_attention_kernel.SegmentIds(q=view.own_BL, kv=view.seen_BT)
    return jnp.swapaxes(jnp.asarray(jax.vmap(kernel)(q, k, v, segments)), 1, 2).astype(jnp.float32)
