"""Blockwise attention equals its definition, and no tensor of it grows with the square of the length."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of, on_device, params_of
from xgen.model.attention import View, blockwise, definition
from xgen.model.products import float32
from xgen.model.transformer import forward, hidden


def random_qkv(length: int, seed: int) -> tuple[jax.Array, ...]:
    keys = jax.random.split(jax.random.key(seed), 3)
    return tuple(jax.random.normal(key, (2, length, 3, 8)) for key in keys)


@pytest.mark.parametrize(("length", "block"), [(1, 1), (7, 3), (33, 48), (40, 16)])
def test_blockwise_equals_the_definition_for_any_block_and_any_segments(length, block):
    q, k, v = random_qkv(length, block)
    segments = jnp.sort(jax.random.randint(jax.random.key(block), (2, length), 0, 4, dtype=jnp.int32), axis=1)
    view = View(segments, segments, 0, block)
    found = jax.jit(lambda *qkv: blockwise(*qkv, view, float32))(q, k, v)
    expected = jax.jit(lambda *qkv: definition(*qkv, view, float32))(q, k, v)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_gradients_of_blockwise_equal_those_of_the_definition():
    q, k, v = random_qkv(37, 0)
    segments = (jnp.arange(74, dtype=jnp.int32) // 9).reshape(2, 37)
    view = View(segments, segments, 0, 16)

    def total(kind):
        return jax.jit(jax.grad(lambda *qkv: jnp.sum(jnp.sin(kind(*qkv, view, float32))), argnums=(0, 1, 2)))(q, k, v)

    for found, expected in zip(total(blockwise), total(definition), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_changing_a_token_changes_nothing_before_it_and_nothing_in_another_segment():
    params, batch = params_of(), on_device(batch_of(1, 30))
    changed = batch._replace(tokens=batch.tokens.at[0, 5].set((batch.tokens[0, 5] + 1) % SMALL.vocab_size))

    @jax.jit
    def states(batch):
        return hidden(params, batch.tokens, batch.positions, batch.segments, SMALL, FLOAT32)[0]

    moved = np.abs(states(batch) - states(changed)).max(axis=-1)
    assert (moved[:5] == 0).all()
    assert (moved[5:10] > 1e-4).all()
    assert (moved[10:] == 0).all()


def test_no_tensor_of_a_row_holds_every_pair_of_positions_in_either_pass():
    length, compute = 512, dataclasses.replace(FLOAT32, attention_block=128)
    tokens = jnp.zeros((1, length), jnp.int32)

    def loss(params):
        return jnp.sum(forward(params, tokens, SMALL, compute)[:, -1])

    text = jax.jit(jax.grad(loss)).lower(params_of()).compile().as_text()
    sizes = [int(np.prod([int(n) for n in shape.split(",")])) for shape in re.findall(r"f32\[([\d,]+)\]", text)]
    assert max(sizes) < SMALL.num_heads * length * length
