"""One step: passes, meshes and the optimizer, each against its definition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.networks import FLOAT32, SMALL, batch_of, on_device, params_of
from xgen.model.params import decay_mask
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import placement_of
from xgen.train.config import OptimizerConfig
from xgen.train.optimizer import make_optimizer
from xgen.train.spikes import UNLIMITED
from xgen.train.step import State, initial_state, loss_of, make_step, num_passes, place, shardings_of

CONFIG = OptimizerConfig(
    peak_learning_rate=1e-2,
    final_fraction=0.1,
    warmup_tokens=0,
    beta1=0.9,
    beta2=0.95,
    epsilon=1e-8,
    weight_decay=0.1,
    clip_norm=1.0,
)


def train(data_axis: int, model_axis: int, micro_batch_tokens: int, steps: int = 3, precision="float32"):
    """Run a few steps on a mesh; return the losses and the last weights."""
    placement = placement_of(make_mesh(data_axis, model_axis), "data_and_model")
    optimizer = make_optimizer(CONFIG, SMALL)
    state = initial_state(SMALL, optimizer, 0, shardings_of(SMALL, optimizer, placement))
    step = make_step(SMALL, dataclasses.replace(FLOAT32, precision=precision), optimizer, micro_batch_tokens, placement)
    losses = []
    for number in range(steps):
        batch = place(batch_of(8, 24, seed=number), placement.of("row", "position"))
        state, metrics = step(state, batch, jnp.float32(1e-2), UNLIMITED)
        losses.append(float(metrics["loss"]))
    return losses, jax.tree.map(np.asarray, state.params)


@pytest.fixture(scope="module")
def one_device():
    return train(1, 1, 10_000)


@pytest.mark.parametrize(("data_axis", "model_axis"), [(8, 1), (4, 2), (2, 4)])
def test_eight_devices_give_the_losses_and_weights_of_one(one_device, data_axis, model_axis):
    losses, params = train(data_axis, model_axis, 10_000)
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-5)
    for name, expected in one_device[1].items():
        np.testing.assert_allclose(params[name], expected, atol=2e-4, err_msg=name)


def test_a_model_axis_really_splits_the_weights():
    placement = placement_of(make_mesh(2, 4), "data_and_model")
    optimizer = make_optimizer(CONFIG, SMALL)
    state = initial_state(SMALL, optimizer, 0, shardings_of(SMALL, optimizer, placement))
    for name, whole, part in (("q", 32, 8), ("gate", 64, 16)):
        assert state.params[name].shape[1] == whole
        assert state.params[name].addressable_shards[0].data.shape[1] == part
    moments = jax.tree.leaves(state.optimizer, is_leaf=lambda x: isinstance(x, dict))
    assert any(isinstance(m, dict) and m["q"].addressable_shards[0].data.shape[1] == 8 for m in moments)


@pytest.mark.parametrize("micro_batch_tokens", [24, 48, 100])
def test_accumulated_passes_equal_one_pass_though_their_weights_differ(one_device, micro_batch_tokens):
    losses, params = train(1, 1, micro_batch_tokens)
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-5)
    for name, expected in one_device[1].items():
        np.testing.assert_allclose(params[name], expected, atol=2e-4, err_msg=name)


def test_passes_are_whole_and_hold_no_more_than_asked():
    assert [num_passes(8, 24, tokens) for tokens in (1, 24, 47, 48, 100, 192, 10_000)] == [8, 8, 8, 4, 2, 1, 1]
    assert num_passes(7, 10, 30) == 7


def test_the_step_is_optax_adamw_with_clipping_and_decay_on_matrices_only():
    params, batch = params_of(), on_device(batch_of(8, 24))
    optimizer = make_optimizer(CONFIG, SMALL)
    ours, _ = make_step(SMALL, FLOAT32, optimizer, 10_000)(
        State(jax.tree.map(jnp.copy, params), optimizer.init(params)), batch, jnp.float32(1e-2), UNLIMITED
    )
    gradient = jax.jit(jax.grad(loss_of), static_argnums=(3, 4))(
        params, batch, batch.weights / batch.weights.sum(), SMALL, FLOAT32
    )
    peer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(1e-2, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=decay_mask(SMALL)),
    )
    updates, _ = peer.update(gradient, peer.init(params), params)
    for name, expected in optax.apply_updates(params, updates).items():
        np.testing.assert_allclose(ours.params[name], expected, atol=1e-5, err_msg=name)


def test_accumulation_stays_in_float32_also_with_bfloat16_products():
    many, _ = train(1, 1, 24, precision="bfloat16_matmuls")
    one, _ = train(1, 1, 10_000, precision="bfloat16_matmuls")
    np.testing.assert_allclose(many, one, rtol=2e-3)
