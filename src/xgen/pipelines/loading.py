"""Take a model out of a run or a Hugging Face folder and make it ready to be asked."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from xgen.model.config import ModelConfig
from xgen.model.params import Params, abstract
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import layout_named, sharding
from xgen.pipelines.target import Target
from xgen.pipelines.workspace import Workspace, named_checkpoint
from xgen.recipes.schema import Recipe
from xgen.serve.engine import Engine
from xgen.train.checkpoint import open_checkpoints


@dataclass(frozen=True)
class Loaded:
    """A model's weights with what is known of it; `tuned` models speak the recipe's template."""

    name: str
    params: Params
    config: ModelConfig
    context_length: int
    tuned: bool


def load(target: Target, workspace: Workspace | None, recipe: Recipe, checkpoint: str) -> Loaded:
    """Read weights from a run's checkpoint, or from the Hugging Face folder where there is no run."""
    if workspace is None:
        assert target.folder is not None
        from xgen.export.huggingface import is_tuned, read_folder

        config, arrays, context_length = read_folder(target.folder)
        params = {name: jnp.asarray(value) for name, value in arrays.items()}
        return Loaded(target.folder.name, params, config, context_length, is_tuned(target.folder))
    run, step = named_checkpoint(workspace, checkpoint)
    return load_step(run.path.name, run.checkpoints, step, recipe, tuned=run.path == workspace.tuned)


def load_step(name, folder, step: int, recipe: Recipe, tuned: bool) -> Loaded:
    """Read the weights of one checkpoint onto the recipe's mesh, without the optimizer's moments."""
    mesh = make_mesh(recipe.execution.data_axis, recipe.execution.model_axis)
    layout = layout_named(recipe.execution.layout)
    with open_checkpoints(folder) as checkpoints:
        params = checkpoints.load_params(step, abstract_on(recipe.model, mesh, layout))
    return Loaded(name, params, recipe.model, recipe.context_length, tuned)


def abstract_on(config: ModelConfig, mesh, layout) -> Params:
    """Describe weights with the places where they are to live."""
    from xgen.model.params import table

    where = {row.name: sharding(mesh, layout, row.meanings) for row in table(config)}
    return {name: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where[name])
            for name, shape in abstract(config).items()}


def engine_of(loaded: Loaded, recipe: Recipe) -> Engine:
    """Make a model answer."""
    return Engine(loaded.name, loaded.params, loaded.config, recipe.compute, loaded.context_length)
