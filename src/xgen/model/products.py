"""Matrix products in the recipe's precision: float32, or bfloat16 inputs with float32 results in both passes.

Section 3 of the report: everything in FP32 except matrix products in BF16. A plain cast of the inputs would make JAX
round each weight's gradient to bfloat16 on its way back through the cast; here the gradients leave their own products
in float32.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from xgen.model.config import Precision

Einsum = Callable[[str, jax.Array, jax.Array], jax.Array]


def float32(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiply in float32 on every platform (GPUs and TPUs would take fewer bits unless told not to)."""
    return jnp.einsum(spec, a, b, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)


def _rounded(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)

    def native(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.einsum(spec, a, b, preferred_element_type=jnp.float32)

    def widened(a: jax.Array, b: jax.Array) -> jax.Array:
        # The same numbers: a product of two bfloat16 is exact in float32. XLA's CPU lacks batched ones of this kind.
        return float32(spec, a.astype(jnp.float32), b.astype(jnp.float32))

    return jax.lax.platform_dependent(a, b, cpu=widened, default=native)


def bfloat16_matmuls(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Round both inputs to bfloat16, accumulate in float32; every index of an input is in the other or the output."""
    return _differentiable(spec, a, b)  # pyright: ignore[reportCallIssue]  (it counts one argument too few)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _differentiable(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return _rounded(spec, a, b)


def _forward(spec: str, a: jax.Array, b: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _rounded(spec, a, b), (a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))


def _backward(spec: str, kept: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    a, b = kept
    return _rounded(f"{out},{right}->{left}", g, b), _rounded(f"{left},{out}->{right}", a, g)


_differentiable.defvjp(_forward, _backward)

PRODUCTS: dict[Precision, Einsum] = {"float32": float32, "bfloat16_matmuls": bfloat16_matmuls}
