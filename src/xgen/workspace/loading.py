"""Take a model out of a run or a Hugging Face folder and make it ready to be asked."""

from dataclasses import dataclass
from pathlib import Path

import jax

from xgen.core.ledger import RunFolder
from xgen.core.types import Conversation, Message
from xgen.export.huggingface import is_tuned, open_folder
from xgen.model.config import ModelConfig
from xgen.model.lora import merged, trained_rows
from xgen.model.params import Params, Row, abstract, table
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import placement_of
from xgen.recipes.schema import Recipe
from xgen.serve.engine import Engine
from xgen.serve.weights import Storage, stored_one_by_one
from xgen.tokenizer.chat import render_prompt
from xgen.train.checkpoint import open_checkpoints
from xgen.train.stages import place_of
from xgen.train.step import require_divisible
from xgen.workspace.folders import Workspace, named_checkpoint, workspace_of
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Loaded:
    """A model with what is known of it; `tuned` models speak the recipe's template."""

    name: str
    params: Params
    """Stacked float32; empty for a folder, whose weights wait in their files, and once an engine has taken them."""
    config: ModelConfig
    context_length: int
    tuned: bool
    folder: Path | None = None

    def engine(self, recipe: Recipe, storage: Storage = "float32") -> Engine:
        """Make the model answer, in the precision of a recipe, from weights stored as told: the only copy there is."""
        if self.folder is None:
            engine = Engine(self.name, self.params, self.config, recipe.compute, self.context_length, storage)
            self.params.clear()
            return engine
        weights = stored_one_by_one(open_folder(self.folder).weights(), self.config, storage)
        return Engine(self.name, weights, self.config, recipe.compute, self.context_length)


def load(target: Target, recipe: Recipe, root: Path, checkpoint: str) -> Loaded:
    """Read the weights that a command names: a Hugging Face folder's, or those of a checkpoint of a run."""
    if target.kind == "huggingface" and target.folder is not None:
        return load_folder(target.folder)
    return load_checkpoint(workspace_of(target, recipe, root), checkpoint)


def load_folder(folder: Path) -> Loaded:
    """Look at a Hugging Face folder, without running any code of it."""
    opened = open_folder(folder)
    return Loaded(folder.resolve().name, {}, opened.config, opened.context_length, is_tuned(folder), folder)


def load_checkpoint(workspace: Workspace, checkpoint: str) -> Loaded:
    """Read the weights of a checkpoint, without the optimizer's moments; low-rank ones are merged with their base."""
    recipe = workspace.recipe
    run, step = named_checkpoint(workspace, checkpoint)
    tuned = run.path == workspace.tuned
    lora = recipe.instruct.lora
    if tuned and lora.rank:
        base = RunFolder.open(workspace.base)
        parent = run.parent()
        assert parent is not None, "a tuned run names its base"
        params = merged(
            _placed(base, parent["step"], recipe, table(recipe.model)),
            _placed(run, step, recipe, trained_rows(recipe.model, lora)),
            lora,
        )
    else:
        params = _placed(run, step, recipe, table(recipe.model))
    context_length = recipe.context_length if tuned else place_of(recipe.stages, step - 1).stage.context_length
    return Loaded(run.path.name, params, recipe.model, context_length, tuned)


def _placed(run: RunFolder, step: int, recipe: Recipe, rows: tuple[Row, ...]) -> Params:
    """Read the weights of some rows onto the recipe's mesh."""
    ours = recipe.execution
    placement = placement_of(make_mesh(ours.data_axis, ours.model_axis, ours.fsdp_axis, ours.context_axis), ours.layout)
    require_divisible(placement, recipe.model, ())
    placed = {
        row.name: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=placement.of(*row.meanings))
        for row, shape in zip(rows, abstract(recipe.model, rows).values(), strict=True)
    }
    with open_checkpoints(run.checkpoints) as checkpoints:
        return checkpoints.load_params(step, placed)


def question_ids(question: str, recipe: Recipe) -> list[int]:
    """Render one question in the recipe's template, ready to be answered."""
    asked = Conversation(source="prompt", key="", messages=(Message("human", question),))
    return render_prompt(asked, recipe.instruct.template)
