"""`xgen instruct`: tune the base model on conversations, with the loss on responses alone (section 4 of the report)."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked
from xgen.core.progress import say
from xgen.core.types import Batch
from xgen.data.shards import open_prepared
from xgen.model.params import Abstract, Params
from xgen.parallel.launch import launch
from xgen.pipelines.prepare import data_folder
from xgen.recipes.schema import Recipe
from xgen.sources.intake import Intake
from xgen.train.checkpoint import open_checkpoints
from xgen.train.loop import Job, train
from xgen.train.stages import Place, Stage, last_steps
from xgen.tune.datasets import dataset_named
from xgen.tune.rows import Rows, batch_of, num_steps, rows_of, show
from xgen.workspace.folders import Workspace, named_checkpoint, open_run, workspace_of
from xgen.workspace.target import Target, require_runnable


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """Stop at the first conversation that cannot be read, instead of counting and skipping it."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Tune the base run of a recipe into a run of its own; run again, it continues or says that all is done."""
    require_runnable(target, "instruct")
    instruct(workspace_of(target, recipe, options.root), options.strict)


def instruct(workspace: Workspace, strict: bool) -> RunFolder:
    """Make rows of the recipe's conversations and train on them from the last base checkpoint."""
    recipe = workspace.recipe
    launch(workspace.root / ".cache")
    base, base_step = named_checkpoint(workspace, "base")
    if base_step < last_steps(recipe.stages)[-1]:
        raise UserError(
            f"{base.path} is trained for {base_step:,} of {last_steps(recipe.stages)[-1]:,} steps",
            "a finished base run",
            f"Let it finish: xgen pretrain {recipe.name}",
        )
    intake = Intake(recipe.instruct.dataset, strict)
    rows = _rows(workspace, intake)
    left_out = {**intake.skipped, **rows.dropped}
    batch_tokens = recipe.instruct.batch_conversations * recipe.instruct.context_length
    stage = Stage(
        "instruct",
        recipe.instruct.context_length,
        num_steps(rows, recipe.instruct) * batch_tokens,
        batch_tokens,
        mixture=recipe.instruct.dataset,
    )
    with locked(workspace.tuned):
        tuned = open_run(workspace.tuned, recipe, parent={"run": base.path.name, "step": base_step})
        tuned.write_result("teaching", show(rows, 3))
        tuned.write_result("conversations", {"kept": len(rows), "dropped": left_out})
        say(
            f"instruct {tuned.path.name}: {len(rows):,} conversations, {stage.num_steps:,} steps, "
            f"left out: {_in_words(left_out)}"
        )

        def start_params(placed: Abstract) -> Params:
            with open_checkpoints(base.checkpoints) as checkpoints:
                return checkpoints.load_params(base_step, placed)

        def batch_at(where: Place) -> Batch:
            return batch_of(rows, recipe.instruct, recipe.seed, where.step)

        train(
            tuned,
            Job(recipe.model, (stage,), recipe.instruct.optimizer, recipe.compute, recipe.execution, recipe.seed),
            batch_at,
            start_params,
        )
    return tuned


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none"


def _rows(workspace: Workspace, intake: Intake) -> Rows:
    """Make the conversations of the recipe's dataset, from documents that the base model may have read."""
    recipe, config = workspace.recipe, workspace.recipe.instruct
    prepared = open_prepared(data_folder(recipe, workspace.root))
    documents = itertools.chain.from_iterable(prepared.documents(source) for source in recipe.data.sources)
    conversations = dataset_named(config.dataset)(documents, config.location, recipe.seed, intake)
    return rows_of(conversations, config.template, config.context_length, config.max_conversations)
