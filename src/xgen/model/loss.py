"""Cross-entropy over a large vocabulary, a few tokens at a time: the logits of a row never exist together.

The gradient is computed with the loss, while a chunk's logits are at hand: one exponential and three products a
chunk, where recomputing the logits in the backward pass would take four and a second exponential. The exponentials go
into the products as they are; what normalizes them scales the smaller results.

Shape letters: B rows, L positions, C positions of a chunk, D dim, V vocabulary.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from xgen.model.config import Compute
from xgen.model.products import PRODUCTS, Int8, float32


def _chunks(x_BL: jax.Array, num_chunks: int) -> jax.Array:
    """Deal positions out to chunks and put the chunks first: (B, L, ...) -> (L / C, B, C, ...).

    A chunk takes every n-th position, so that where positions are split over devices, each has a part of each chunk.
    """
    batch, length = x_BL.shape[:2]
    return jnp.moveaxis(x_BL.reshape(batch, length // num_chunks, num_chunks, *x_BL.shape[2:]), 2, 0)


def _joined(x_NBC: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Put the chunks' positions back where they were."""
    return jnp.moveaxis(x_NBC, 0, 2).reshape(shape)


def num_chunks(batch: int, length: int, chunk_tokens: int) -> int:
    """Choose the fewest equal chunks of positions that hold at most `chunk_tokens` tokens (or one position) each."""
    fewest = -(-batch * length // chunk_tokens)
    return next(n for n in range(min(fewest, length), length + 1) if length % n == 0)


def token_logprobs(
    h_BLD: Float32[Array, "B L D"],
    head_VD: Float[Array, "V D"] | Int8,
    targets_BL: Int32[Array, "B L"],
    compute: Compute,
) -> Float32[Array, "B L"]:
    """Give log p(target) at each position; `head_VD` may be stored in fewer bits."""
    einsum = PRODUCTS[compute.precision]
    chunks = num_chunks(targets_BL.shape[0], targets_BL.shape[1], compute.loss_chunk)

    def one(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        h_BCD, targets_BC = pair
        return _normalized(einsum("BLD,VD->BLV", h_BCD, head_VD), targets_BC)[0]

    logprobs = jax.lax.map(one, (_chunks(h_BLD, chunks), _chunks(targets_BL, chunks)))
    return _joined(logprobs, targets_BL.shape)


def _normalized(logits_BCV: jax.Array, targets_BC: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Give log p(target), exp(logit - largest logit), and the sum of those over the vocabulary.

    XLA's CPU uses one core for a sum, and would compute the exponentials again inside it; a product uses all cores.
    """
    top_BC1 = jnp.max(logits_BCV, axis=-1, keepdims=True)
    exp_BCV = jax.lax.optimization_barrier(jnp.exp(logits_BCV - top_BC1))
    sum_BC1 = float32("BCV,VI->BCI", exp_BCV, jnp.ones((exp_BCV.shape[-1], 1), jnp.float32))
    at_target_BC1 = jnp.take_along_axis(logits_BCV, targets_BC[:, :, None], axis=-1)
    return (at_target_BC1 - top_BC1 - jnp.log(sum_BC1))[:, :, 0], exp_BCV, sum_BC1


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def cross_entropy(
    h_BLD: Float32[Array, "B L D"],
    head_VD: Float32[Array, "V D"],
    targets_BL: Int32[Array, "B L"],
    weights_BL: Float32[Array, "B L"],
    compute: Compute,
) -> Float32[Array, ""]:
    """Sum over positions of -weight * log p(target); no gradient flows to the weights."""
    return -jnp.sum(weights_BL * token_logprobs(h_BLD, head_VD, targets_BL, compute))


def _forward(
    h_BLD: jax.Array, head_VD: jax.Array, targets_BL: jax.Array, weights_BL: jax.Array, compute: Compute
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    einsum = PRODUCTS[compute.precision]
    chunks = num_chunks(targets_BL.shape[0], targets_BL.shape[1], compute.loss_chunk)

    def one(
        carry: tuple[jax.Array, jax.Array], chunk: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        loss, head_gradient_VD = carry
        h_BCD, targets_BC, weights_BC = chunk
        logits_BCV = einsum("BLD,VD->BLV", h_BCD, head_VD)
        logprobs_BC, exp_BCV, sum_BC1 = _normalized(logits_BCV, targets_BC)
        loss = loss - jnp.sum(weights_BC * logprobs_BC)
        scale_BC1 = weights_BC[:, :, None] / sum_BC1
        h_gradient_BCD = einsum("BLV,VD->BLD", exp_BCV, head_VD) * scale_BC1
        head_gradient_VD = head_gradient_VD + einsum("BLV,BLD->VD", exp_BCV, h_BCD * scale_BC1)
        return (loss, head_gradient_VD), h_gradient_BCD

    start = (jnp.zeros((), jnp.float32), jnp.zeros_like(head_VD))
    (loss, head_gradient_VD), h_gradient = jax.lax.scan(
        one, start, (_chunks(h_BLD, chunks), _chunks(targets_BL, chunks), _chunks(weights_BL, chunks))
    )
    # So far the pull of the probabilities; the targets pull the other way, a row of the head each.
    h_gradient_BLD = _joined(h_gradient, h_BLD.shape) - weights_BL[:, :, None] * head_VD[targets_BL]
    head_gradient_VD = head_gradient_VD.at[targets_BL].add(-weights_BL[:, :, None] * h_BLD)
    return loss, (h_gradient_BLD, head_gradient_VD)


def _backward(
    compute: Compute, gradients: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array, None, None]:
    h_gradient_BLD, head_gradient_VD = gradients
    return g * h_gradient_BLD, g * head_gradient_VD, None, None


cross_entropy.defvjp(_forward, _backward)
