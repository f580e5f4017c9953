"""The chunked loss equals the plain one with its gradients, and the logits of a row never exist."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.networks import FLOAT32, batch_of, on_device
from xgen.model.loss import cross_entropy, num_chunks, token_logprobs


def plain(h, head, targets, weights):
    logprobs = jax.nn.log_softmax(jnp.einsum("BLD,VD->BLV", h, head), axis=-1)
    return -jnp.sum(weights * jnp.take_along_axis(logprobs, targets[:, :, None], axis=-1)[:, :, 0])


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_loss_and_gradients_equal_the_plain_ones_at_any_chunk(chunk):
    batch = on_device(batch_of(3, 20))
    keys = jax.random.split(jax.random.key(0))
    h, head = jax.random.normal(keys[0], (3, 20, 32)), jax.random.normal(keys[1], (96, 32))
    compute = dataclasses.replace(FLOAT32, loss_chunk=chunk)

    def chunked(h, head, targets, weights):
        return 3.0 * cross_entropy(h, head, targets, weights, compute)

    found = jax.jit(jax.value_and_grad(chunked, argnums=(0, 1)))(h, head, batch.targets, batch.weights)
    expected = jax.value_and_grad(lambda *a: 3.0 * plain(*a), argnums=(0, 1))(h, head, batch.targets, batch.weights)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def test_log_probabilities_survive_logits_that_would_overflow():
    h, head = jnp.full((1, 2, 4), 300.0), jnp.stack([jnp.full(4, 1.0), jnp.full(4, -1.0), jnp.zeros(4)])
    found = token_logprobs(h, head, jnp.array([[0, 2]], jnp.int32), FLOAT32)
    np.testing.assert_allclose(found, [[0.0, -1200.0]], atol=1e-3)
    loss, gradient = jax.value_and_grad(cross_entropy)(
        h, head, jnp.array([[0, 2]], jnp.int32), jnp.ones((1, 2)), FLOAT32
    )
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


@settings(deadline=None)
@given(batch=st.integers(1, 9), length=st.integers(1, 70), limit=st.integers(1, 300))
def test_chunks_are_equal_and_no_larger_than_asked(batch, length, limit):
    chunks = num_chunks(batch, length, limit)
    assert length % chunks == 0
    assert batch * (length // chunks) <= limit or chunks == length


def test_the_logits_of_a_row_never_exist():
    batch, length, vocab = 1, 512, 4096
    h, head = jnp.ones((batch, length, 8)), jnp.ones((vocab, 8))
    targets, weights = jnp.zeros((batch, length), jnp.int32), jnp.ones((batch, length))
    compiled = jax.jit(jax.grad(lambda h, head: cross_entropy(h, head, targets, weights, FLOAT32), argnums=(0, 1)))
    text = compiled.lower(h, head).compile().as_text()
    sizes = [int(np.prod([int(n) for n in shape.split(",")])) for shape in re.findall(r"f32\[([\d,]+)\]", text)]
    assert max(sizes) <= FLOAT32.loss_chunk * vocab
