"""Matrix products in the recipe's precision: float32, or bfloat16 inputs with float32 results in both passes.

Section 3 of the report: everything in FP32 except matrix products in BF16. A plain cast of the inputs would make JAX
round each weight's gradient to bfloat16 on its way back through the cast; here the gradients leave their own products
in float32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xgen.model.config import Precision
from xgen.model.lora import LowRank

Einsum = Callable[[str, jax.Array, Any], jax.Array]

INT8_BLOCK, FEW_POSITIONS = 1 << 16, 16
"""Elements of an int8 matrix that a CPU, which has no product of mixed kinds, holds as float32 at a time: what stays in
its caches. Where more positions share a block than a few, it is four times as large."""


class Int8(NamedTuple):
    """A matrix (out, in) as int8, with one float32 scale for each row: for inference, half of bfloat16."""

    values_OI: jax.Array
    scales_O: jax.Array


def quantized(weight_OI: jax.Array) -> Int8:
    """Round a matrix to int8; the largest element of each row becomes 127 or -127."""
    weight_OI = weight_OI.astype(jnp.float32)
    scales_O = jnp.max(jnp.abs(weight_OI), axis=1) / 127
    rounded_OI = jnp.round(weight_OI / jnp.where(scales_O > 0, scales_O, 1)[:, None])
    return Int8(rounded_OI.astype(jnp.int8), scales_O)


def _int8_product(x: jax.Array, weight: Int8, float_einsum: Einsum) -> jax.Array:
    """Multiply x (B, L, in) by an int8 matrix: the scales are applied to the result, never to the matrix."""
    out, inputs = weight.values_OI.shape

    def blocks(x: jax.Array, values_OI: jax.Array) -> jax.Array:
        limit = INT8_BLOCK * (1 if x.shape[0] * x.shape[1] <= FEW_POSITIONS else 4)
        size = next(size for size in range(max(1, min(out, limit // inputs)), 0, -1) if out % size == 0)

        def one(block: jax.Array) -> jax.Array:
            return float_einsum("BLI,OI->BLO", x, block.astype(jnp.float32))

        found = jax.lax.map(one, values_OI.reshape(out // size, size, inputs))
        return jnp.moveaxis(found, 0, 2).reshape(*x.shape[:2], out)

    def fused(x: jax.Array, values_OI: jax.Array) -> jax.Array:
        return float_einsum("BLI,OI->BLO", x, values_OI.astype(jnp.bfloat16))

    return jax.lax.platform_dependent(x, weight.values_OI, cpu=blocks, default=fused) * weight.scales_O[None, None, :]


def _low_rank_product(spec: str, x: jax.Array, weight: LowRank, einsum: Einsum) -> jax.Array:
    """Multiply x (B, L, in) by a frozen matrix and by what is trained beside it; the sum is never made."""
    down_BLR = einsum("BLI,RI->BLR", x, weight.a_RI)
    frozen: Any = _frozen_product(einsum, spec, x, weight.frozen_OI)  # pyright: ignore[reportCallIssue]
    return frozen + einsum("BLR,OR->BLO", down_BLR, weight.b_OR)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _frozen_product(einsum: Einsum, spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiply by a matrix that has no gradient, so that neither that nor the input is kept for one."""
    return einsum(spec, a, b)


def _frozen_forward(einsum: Einsum, spec: str, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    return einsum(spec, a, b), b


def _frozen_backward(einsum: Einsum, spec: str, b: jax.Array, g: jax.Array) -> tuple[jax.Array, None]:
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    return einsum(f"{out},{right}->{left}", g, b), None


_frozen_product.defvjp(_frozen_forward, _frozen_backward)


def _float32(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum(spec, a, b, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)


def _bfloat16(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)

    def native(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.einsum(spec, a, b, preferred_element_type=jnp.float32)

    def widened(a: jax.Array, b: jax.Array) -> jax.Array:
        # The same numbers: a product of two bfloat16 is exact in float32.
        return _float32(spec, a.astype(jnp.float32), b.astype(jnp.float32))

    def as_written(a: jax.Array, b: jax.Array) -> jax.Array:
        # Else XLA's CPU may draw transpositions around it into the product, and then refuse what it has made.
        return jax.lax.optimization_barrier(native(*jax.lax.optimization_barrier((a, b))))

    shared = _shared(spec)
    leads = all(names.startswith(shared) for names in spec.split("->")[0].split(","))
    return jax.lax.platform_dependent(a, b, cpu=as_written if leads else widened, default=native)


def _shared(spec: str) -> str:
    """Give the dimensions of a batch, those that both inputs and the output have."""
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    return "".join(name for name in left if name in right and name in out)


class _Kind(NamedTuple):
    """How a precision multiplies, and what it keeps an input as."""

    product: Callable[[str, jax.Array, jax.Array], jax.Array]
    dtype: Any


_KINDS: dict[Precision, _Kind] = {
    "float32": _Kind(_float32, jnp.float32),
    "bfloat16_matmuls": _Kind(_bfloat16, jnp.bfloat16),
}


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _product(precision: Precision, spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return _KINDS[precision].product(spec, a, b)


def _forward(
    precision: Precision, spec: str, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    kind = _KINDS[precision]
    return kind.product(spec, a, b), (a.astype(kind.dtype), b.astype(kind.dtype))


def _backward(
    precision: Precision, spec: str, kept: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    kind, (a, b) = _KINDS[precision], kept
    # Made once, for both products: else what made it is computed again inside the transposition that one of them needs.
    g = jax.lax.optimization_barrier(g.astype(kind.dtype))
    return kind.product(f"{out},{right}->{left}", g, b), kind.product(f"{left},{out}->{right}", a, g)


_product.defvjp(_forward, _backward)


def float32(spec: str, a: jax.Array, b: Any) -> jax.Array:
    """Multiply in float32 on every platform (GPUs and TPUs would take fewer bits unless told not to)."""
    if isinstance(b, Int8):
        return _int8_product(a, b, float32)
    if isinstance(b, LowRank):
        return _low_rank_product(spec, a, b, float32)
    return _product("float32", spec, a.astype(jnp.float32), b.astype(jnp.float32))  # pyright: ignore[reportCallIssue]


def bfloat16_matmuls(spec: str, a: jax.Array, b: Any) -> jax.Array:
    """Round both inputs to bfloat16, accumulate in float32; every index of an input is in the other or the output."""
    if isinstance(b, Int8):
        return _int8_product(a, b, bfloat16_matmuls)
    if isinstance(b, LowRank):
        return _low_rank_product(spec, a, b, bfloat16_matmuls)
    return _product("bfloat16_matmuls", spec, a, b)  # pyright: ignore[reportCallIssue]  (it counts two too few)


PRODUCTS: dict[Precision, Einsum] = {"float32": float32, "bfloat16_matmuls": bfloat16_matmuls}
