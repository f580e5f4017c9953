"""Checkpoints: any mesh reads them, a cut one says so, the named ones stay."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import SMALL
from train.test_step import CONFIG
from xgen.core.errors import UserError
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import placement_of
from xgen.train.checkpoint import Checkpoints, open_checkpoints
from xgen.train.optimizer import make_optimizer
from xgen.train.step import State, initial_state, shardings_of

# Orbax drops the tasks of a load that failed, and they complain when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
OPTIMIZER = make_optimizer(CONFIG, SMALL)


def state_on(data_axis: int, model_axis: int, seed: int = 0) -> State:
    placement = placement_of(make_mesh(data_axis, model_axis), "data_and_model")
    return initial_state(SMALL, OPTIMIZER, seed, shardings_of(SMALL, OPTIMIZER, placement))


def like(state: State) -> State:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


def assert_equal(found: State, expected: State) -> None:
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_checkpoint_is_restored_bit_for_bit_onto_any_mesh(tmp_path):
    state = state_on(4, 2)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state)
        for mesh in ((4, 2), (1, 1), (2, 4)):
            abstract = like(state_on(*mesh, seed=1))
            restored = checkpoints.load(3, abstract)
            assert_equal(restored, state)
            assert restored.params["q"].sharding == abstract.params["q"].sharding


def test_weights_are_read_without_the_optimizer(tmp_path):
    state = state_on(1, 1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    with open_checkpoints(tmp_path) as checkpoints:
        params = checkpoints.load_params(1, like(state).params)
    assert set(params) == set(state.params)
    np.testing.assert_array_equal(params["head"], state.params["head"])


def test_the_last_two_and_the_named_checkpoints_stay(tmp_path):
    state = state_on(1, 1)
    with Checkpoints(tmp_path, named_steps=(2, 5)) as checkpoints:
        for step in range(1, 8):
            checkpoints.save(step, state)
        assert checkpoints.steps() == [2, 5, 6, 7]


@pytest.mark.parametrize("kind", ["cut", "missing"])
def test_a_checkpoint_that_was_cut_short_is_named_with_what_to_do(tmp_path, kind):
    state = state_on(1, 1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.save(2, state)
        data = max((tmp_path / "2").rglob("d/*"), key=lambda path: path.stat().st_size)
        if kind == "cut":
            data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
        else:
            data.unlink()
        with pytest.raises(UserError, match=r"/2 cannot be read .* delete it and training continues from step 1"):
            checkpoints.load(2, like(state))
        assert_equal(checkpoints.load(1, like(state)), state)
    gc.collect()


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(UserError, match="Free some space"):
            checkpoints.save(1, state_on(1, 1))
        assert checkpoints.steps() == []


def test_no_leaf_is_lost_to_the_dtype_of_a_step_counter():
    counters = [leaf for leaf in jax.tree.leaves(state_on(1, 1)) if leaf.dtype == jnp.int32]
    assert counters, "Adam's step count is part of the state that is saved"
