"""A model is taken out of a run onto any layout, in parts as it was trained, and answers as on one device."""

import dataclasses

import numpy as np
import pytest

from model.networks import FLOAT32, SMALL
from parallel.test_layouts import MESHES, OPTIMIZER
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import LAYOUTS, placement_of
from xgen.recipes.micro import MICRO
from xgen.recipes.schema import Recipe, to_plain
from xgen.train.checkpoint import Checkpoints
from xgen.train.stages import num_steps
from xgen.train.step import initial_state, shardings_of
from xgen.workspace.folders import Workspace
from xgen.workspace.loading import load_checkpoint

RECIPE = dataclasses.replace(MICRO, model=SMALL)
ROWS = np.random.default_rng(0).integers(0, SMALL.vocab_size, (2, 64)).astype(np.int32)
PROMPTS = [ROWS[0, :9].tolist(), ROWS[1, :5].tolist()]


def under(layout: str, data: int, model: int, fsdp: int, context: int) -> Recipe:
    execution = dataclasses.replace(
        RECIPE.execution,
        **{"layout": layout, "data_axis": data, "model_axis": model, "fsdp_axis": fsdp, "context_axis": context},
        attention_block=FLOAT32.attention_block,
        loss_chunk=FLOAT32.loss_chunk,
    )
    return dataclasses.replace(RECIPE, execution=execution)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a folder with a last checkpoint, and how its model answers on one device."""
    root = tmp_path_factory.mktemp("layouts")
    RunFolder.create(root / "base", to_plain(RECIPE))
    alone = shardings_of(SMALL, OPTIMIZER, placement_of(make_mesh(1, 1), "data"))
    with Checkpoints(root / "base" / "checkpoints") as checkpoints:
        checkpoints.save(num_steps(RECIPE.stages), initial_state(SMALL, OPTIMIZER, 0, alone))
    engine = loaded(root, under("data", 1, 1, 1, 1)).engine(under("data", 1, 1, 1, 1))
    return root, engine.window(ROWS), engine.generate(PROMPTS, 6, seed=0)


def loaded(root, recipe: Recipe):
    return load_checkpoint(Workspace(root, recipe, root / "base", root / "tuned"), "base")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_scores_as_one_device_does_and_holds_what_it_says(trained, layout):
    root, expected, _ = trained
    recipe = under(layout, *MESHES[layout])
    model = loaded(root, recipe)
    parts = {"data": 1, "data_and_model": 4, "fsdp": 4, "fsdp_and_model": 8, "fsdp_and_context": 2, "all": 4}[layout]
    assert model.params["q"].addressable_shards[0].data.nbytes * parts == model.params["q"].nbytes
    np.testing.assert_allclose(model.engine(recipe).window(ROWS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["all"])
def test_weights_in_parts_continue_a_prompt_as_one_device_does(trained, layout):
    root, _, expected = trained
    recipe = under(layout, *MESHES[layout])
    found = loaded(root, recipe).engine(recipe).generate(PROMPTS, 6, seed=0)
    assert [one.tokens for one in found] == [one.tokens for one in expected]


def test_a_mesh_that_cannot_share_out_the_weights_is_refused(trained):
    with pytest.raises(UserError, match="number of 'head' is 4, split into 8 parts"):
        loaded(trained[0], under("data_and_model", 1, 8, 1, 1))
