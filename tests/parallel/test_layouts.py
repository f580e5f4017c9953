"""Every layout gives the loss and the gradients of one device, at any length, and reads any other's checkpoint."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of, params_of
from train.test_step import CONFIG
from xgen.core.errors import UserError
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import LAYOUTS, Placement, placement_of, sharding
from xgen.train.checkpoint import Checkpoints
from xgen.train.optimizer import make_optimizer
from xgen.train.spikes import UNLIMITED
from xgen.train.stages import Stage
from xgen.train.step import initial_state, make_gradients, make_step, place, require_divisible, shardings_of

# data, model, fsdp, context
MESHES = {
    "data": (8, 1, 1, 1),
    "data_and_model": (2, 4, 1, 1),
    "fsdp": (2, 1, 4, 1),
    "fsdp_and_model": (1, 2, 4, 1),
    "fsdp_and_context": (1, 1, 2, 4),
    "all": (1, 2, 2, 2),
}
OPTIMIZER = make_optimizer(CONFIG, SMALL)


def on(layout: str) -> Placement:
    return placement_of(make_mesh(*MESHES[layout]), layout)


def gradients(length: int, placement: Placement | None):
    """Two passes of a batch of eight rows, from the same weights and tokens wherever they are computed."""
    batch, params = batch_of(8, length), params_of()
    if placement is not None:
        batch = place(batch, placement.of("row", "position"))
        params = jax.device_put(params, shardings_of(SMALL, OPTIMIZER, placement).params)
    loss, gradient = jax.jit(make_gradients(SMALL, FLOAT32, 10_000, placement))(params, batch)
    return float(loss), jax.tree.map(np.asarray, gradient)


@pytest.fixture(scope="module", params=[16, 32, 64])
def alone(request):
    return request.param, gradients(request.param, None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_loss_and_gradients_of_one_device(alone, layout):
    length, (loss, gradient) = alone
    found_loss, found = gradients(length, on(layout))
    assert found_loss == pytest.approx(loss, rel=1e-5)
    for name, expected in gradient.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_a_layout_splits_what_it_says():
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(params_of()))
    for layout, parts in (("data", 1), ("fsdp", 4), ("all", 4)):
        state = initial_state(SMALL, OPTIMIZER, 0, shardings_of(SMALL, OPTIMIZER, on(layout)))
        own = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state.params))
        assert own == pytest.approx(whole / parts, rel=0.02), layout


def steps(state, placement: Placement, numbers: range):
    step = make_step(SMALL, FLOAT32, OPTIMIZER, 10_000, placement)
    losses = []
    for number in numbers:
        batch = place(batch_of(8, 16, seed=number), placement.of("row", "position"))
        state, found = step(state, batch, jnp.float32(1e-3), UNLIMITED)
        losses.append(float(found["loss"]))
    return state, losses


def test_a_checkpoint_of_one_layout_continues_under_any_other(tmp_path):
    start = on("fsdp")
    state, _ = steps(initial_state(SMALL, OPTIMIZER, 0, shardings_of(SMALL, OPTIMIZER, start)), start, range(2))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, state)
        expected = steps(state, start, range(2, 4))[1]
        shapes = jax.eval_shape(lambda: initial_state(SMALL, OPTIMIZER, 0, shardings_of(SMALL, OPTIMIZER, start)))
        for layout in LAYOUTS:
            placement = on(layout)
            abstract = jax.tree.map(
                lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
                shapes,
                shardings_of(SMALL, OPTIMIZER, placement),
            )
            found = steps(checkpoints.load(2, abstract), placement, range(2, 4))[1]
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=layout)


def test_what_a_mesh_cannot_share_out_evenly_is_refused():
    stage = Stage("1a", context_length=16, tokens=96, batch_tokens=96, mixture="m")
    with pytest.raises(UserError, match="rows a batch in stage '1a' is 6, split into 8 parts"):
        require_divisible(on("data"), SMALL, (stage,))
    with pytest.raises(UserError, match="context of stage '1a' is 14, split into 4 parts"):
        odd = dataclasses.replace(stage, context_length=14, batch_tokens=14 * 8)
        require_divisible(on("fsdp_and_context"), SMALL, (odd,))
    with pytest.raises(UserError, match="number of 'head' is 2, split into 4 parts"):
        require_divisible(on("data_and_model"), dataclasses.replace(SMALL, num_heads=2), (stage,))


def test_a_mesh_that_does_not_match_the_devices_or_the_layout_is_refused():
    with pytest.raises(UserError, match=r"a mesh of 16 devices .* where there are 8"):
        make_mesh(2, 2, 2, 2)
    with pytest.raises(UserError, match=r"layout 'data' uses the mesh axes \['data'\], and \['fsdp'\] have more"):
        placement_of(make_mesh(1, 1, 8, 1), "data")
    with pytest.raises(UserError, match="Did you mean 'fsdp'"):
        placement_of(make_mesh(1, 1), "fsdb")


def test_a_layout_that_names_an_axis_twice_is_refused():
    with pytest.raises(UserError, match="names a mesh axis twice"):
        sharding(make_mesh(1, 1), {"vocab": ("model",), "dim": ("model",)}, ("vocab", "dim"))
