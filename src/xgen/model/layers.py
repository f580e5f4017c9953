"""The parts of a block: normalization, rotary positions, the gated feed-forward.

Shape letters: B rows, L positions, D dim, H heads, K size of a head, F ffn.
"""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Float32, Int32

from xgen.model.lora import LowRank
from xgen.model.products import Einsum, Int8


def rms_norm(x_BLD: Float32[Array, "B L D"], weight_D: Float32[Array, "D"], eps: float) -> Float32[Array, "B L D"]:
    """X / sqrt(mean(x^2) + eps) * weight, all in float32."""
    mean_BL1 = jnp.mean(jnp.square(x_BLD), axis=-1, keepdims=True)
    return x_BLD * jax.lax.rsqrt(mean_BL1 + eps) * weight_D[None, None, :]


def rotary_table(positions_BL: Int32[Array, "B L"], head_dim: int, base: float) -> Float32[Array, "2 B L 1 half"]:
    """Cosines and sines of position * base^(-2i / head_dim) for the pairs i of a head."""
    frequencies = base ** (-jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angles = positions_BL[:, :, None, None].astype(jnp.float32) * frequencies[None, None, None, :]
    return jnp.stack((jnp.cos(angles), jnp.sin(angles)))


def rotate(x_BLHK: Float32[Array, "B L H K"], table: Float32[Array, "2 B L 1 half"]) -> Float32[Array, "B L H K"]:
    """Turn each pair (i, i + K/2) of a head by its angle: the half-split convention of Hugging Face."""
    cos, sin = table
    first, second = jnp.split(x_BLHK, 2, axis=-1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def swiglu(
    x_BLD: Float32[Array, "B L D"],
    gate_FD: Float[Array, "F D"] | Int8 | LowRank,
    up_FD: Float[Array, "F D"] | Int8 | LowRank,
    down_DF: Float[Array, "D F"] | Int8 | LowRank,
    einsum: Einsum,
) -> Float32[Array, "B L D"]:
    """down(silu(gate(x)) * up(x)), without biases."""
    gate_BLF = checkpoint_name(einsum("BLD,FD->BLF", x_BLD, gate_FD), "gate")
    up_BLF = checkpoint_name(einsum("BLD,FD->BLF", x_BLD, up_FD), "up")
    return einsum("BLF,DF->BLD", jax.nn.silu(gate_BLF) * up_BLF, down_DF)
