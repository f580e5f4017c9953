"""Low-rank tuning begins at the base model, has the gradients of the merged weights, and moves nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of, on_device, params_of
from train.test_step import CONFIG
from xgen.core.errors import UserError
from xgen.model.config import Lora
from xgen.model.lora import LowRank, adapted, frozen_weights, merged, trained_rows
from xgen.model.params import Params, abstract, init, table
from xgen.model.products import bfloat16_matmuls
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import placement_of
from xgen.train.optimizer import make_optimizer
from xgen.train.spikes import UNLIMITED
from xgen.train.step import State, initial_state, loss_of, make_gradients, make_step, place, shardings_of

LORA = Lora(rank=3, alpha=6.0)


def drawn(seed: int = 5) -> Params:
    """Low-rank rows of which none is zero."""
    rows = tuple(dataclasses.replace(row, start="normal") for row in trained_rows(SMALL, LORA))
    return init(SMALL, jax.random.key(seed), rows)


def test_two_rows_for_each_named_matrix_and_the_first_state_is_the_base_model():
    rows = trained_rows(SMALL, LORA)
    assert [row.name for row in rows][:2] == ["q.a", "q.b"] and len(rows) == 14
    assert trained_rows(SMALL, Lora()) == table(SMALL)
    first = init(SMALL, jax.random.key(0), rows)
    assert first["gate.a"].shape == (2, 3, 32) and first["gate.b"].shape == (2, 64, 3)
    assert float(jnp.std(first["down.a"])) == pytest.approx((3 * 64) ** -0.5, rel=0.2)
    assert all(
        (np.asarray(merged(params_of(), first, LORA)[row.name]) == params_of()[row.name]).all() for row in table(SMALL)
    )
    assert first.keys() == abstract(SMALL, rows).keys()


def test_only_matrices_of_the_layers_can_be_named():
    for name in ("embed", "ffn_norm", "qq"):
        with pytest.raises(UserError, match=f"low-rank tuning of '{name}'"):
            trained_rows(SMALL, Lora(rank=2, matrices=("q", name)))


def test_loss_and_gradients_are_those_of_the_merged_weights():
    base, params, batch = params_of(), drawn(), on_device(batch_of(4, 24))
    found = jax.jit(make_gradients(SMALL, FLOAT32, 48, lora=LORA))(params, batch, base)
    weights = batch.weights / batch.weights.sum()

    def definition(params):
        return loss_of(merged(base, params, LORA), batch, weights, SMALL, FLOAT32)

    loss, gradient = jax.jit(jax.value_and_grad(definition))(params)
    np.testing.assert_allclose(found[0], loss, rtol=1e-5)
    for name, expected in gradient.items():
        np.testing.assert_allclose(found[1][name], expected, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_matrices_that_are_held_in_bfloat16_give_the_same_numbers_where_products_round_them():
    held = frozen_weights(SMALL, "bfloat16_matmuls")
    assert held["q"].dtype == jnp.bfloat16 and held["embed"].dtype == held["ffn_norm"].dtype == jnp.float32
    params, base = drawn(), params_of()["gate"][0]
    x_BLD = jax.random.normal(jax.random.key(2), (2, 5, 32))

    def product(x_BLD, a, b, frozen):
        return jnp.sum(jnp.sin(bfloat16_matmuls("BLD,FD->BLF", x_BLD, LowRank(frozen, a, b))))

    of = jax.value_and_grad(product, argnums=(0, 1, 2))
    found = [of(x_BLD, params["gate.a"][0], params["gate.b"][0], base.astype(kind)) for kind in ("bfloat16", "float32")]
    for ours, theirs in zip(*map(jax.tree.leaves, found), strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_array_equal(ours, theirs)


def test_a_step_moves_low_rank_rows_alone_on_any_mesh():
    placement = placement_of(make_mesh(2, 2, 2), "fsdp_and_model")
    rows = trained_rows(SMALL, LORA)
    optimizer = make_optimizer(CONFIG, SMALL, rows)
    places = shardings_of(SMALL, optimizer, placement, LORA)
    state = initial_state(SMALL, optimizer, 0, places, LORA)
    base = {name: np.asarray(value) for name, value in params_of().items()}
    state = state._replace(frozen=jax.device_put(params_of(), places.frozen))
    before = {name: np.asarray(value) for name, value in state.params.items()}
    step = make_step(SMALL, FLOAT32, optimizer, 10_000, placement, LORA)
    losses = []
    for _ in range(6):
        state, numbers = step(
            state, place(batch_of(8, 24), placement.of("row", "position")), jnp.float32(1e-2), UNLIMITED
        )
        losses.append(float(numbers["loss"]))
    assert losses[-1] < losses[0]
    for name, value in base.items():
        np.testing.assert_array_equal(np.asarray(state.frozen[name]), value, err_msg=name)
    assert all((np.asarray(state.params[name]) != value).any() for name, value in before.items())
    assert not any(
        name in jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(state.optimizer)
        for name in ("embed", "head")
    )
    assert isinstance(state, State)
    assert adapted(state.params, {}, Lora()) is state.params
