"""Before a run begins: does the attention that the recipe names give what its definition gives, on this device?"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from xgen.core.errors import UserError
from xgen.model.attention import Attention, View, definition
from xgen.model.config import Compute
from xgen.model.kernels import require_platform
from xgen.model.products import PRODUCTS
from xgen.model.variants import ATTENTIONS
from xgen.train.programs import compiler_options

TOLERANCE = {"float32": 1e-4, "bfloat16_matmuls": 3e-2}
"""Largest difference of values of size one, by precision: three of bfloat16's last places."""


@cache  # a process that trains twice has asked
def require_true_attention(compute: Compute, head_dim: int, documents_apart: bool, compile_level: int = 3) -> None:
    """Compare the named attention with its definition, forward and backward, on two rows of 256 random positions.

    With `documents_apart`, rows hold three documents; then also a changed document must leave its neighbors as they
    were, to the bit. Raises UserError where it differs, or is not there: nothing else is taken in its place.
    """
    if compute.attention not in ATTENTIONS:
        raise UserError(f"there is no attention '{compute.attention}'", ", ".join(ATTENTIONS), "Choose one of them.")
    require_platform(compute.attention, jax.default_backend())
    found, expected = (_observed(kind, compute, head_dim, documents_apart, compile_level) for kind in _both(compute))
    worst = max(float(np.abs(ours - theirs).max()) for ours, theirs in zip(found[0], expected[0], strict=True))
    if not worst <= TOLERANCE[compute.precision]:
        raise _refusal(compute, f"differs from its definition by {worst:.2g}")
    if documents_apart and not found[1]:
        raise _refusal(compute, "lets a changed document change its neighbor")


def _both(compute: Compute) -> tuple[Attention, Attention]:
    return ATTENTIONS[compute.attention], definition


def _refusal(compute: Compute, what: str) -> UserError:
    return UserError(
        f"the attention '{compute.attention}' on {jax.devices()[0].device_kind} {what}",
        f"a difference of at most {TOLERANCE[compute.precision]:.2g}, and documents apart where the recipe says so",
        "Set execution.attention to blockwise.",
    )


def _observed(
    attention: Attention, compute: Compute, head_dim: int, documents_apart: bool, compile_level: int
) -> tuple[list[np.ndarray], bool]:
    """Give result and gradients, and whether a changed middle document left the others alone."""
    rows, length, heads = 2, 256, 2
    place = np.arange(length, dtype=np.int32) // 100 if documents_apart else np.zeros(length, np.int32)
    segments = jnp.broadcast_to(jnp.asarray(place), (rows, length))
    drawn = np.random.default_rng(0).standard_normal((4, rows, length, heads, head_dim), np.float32)
    q, k, v, pull = map(jnp.asarray, drawn)

    @partial(jax.jit, compiler_options=compiler_options(compile_level))
    def read(q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
        view = View(segments, segments, 0, compute.attention_block)
        result, backward = jax.vjp(lambda q, k, v: attention(q, k, v, view, PRODUCTS[compute.precision]), q, k, v)
        return (result, *backward(pull))

    once = [np.asarray(x) for x in read(q, k, v)]
    middle = jnp.asarray(place == 1)[None, :, None, None]
    again = np.asarray(read(q, jnp.where(middle, -k, k), jnp.where(middle, -v, v))[0])
    return once, bool((again[:, place != 1] == once[0][:, place != 1]).all())
