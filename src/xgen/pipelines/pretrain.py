"""`xgen pretrain`: train the base model through its stages (section 3 of the report)."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xgen.core.ledger import RunFolder, locked
from xgen.core.progress import say
from xgen.core.types import Batch
from xgen.data.loader import batch_of
from xgen.parallel.launch import Hosts, is_first, join, launch, together
from xgen.pipelines.prepare import prepare
from xgen.recipes.schema import Recipe
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.train.followers import require_followers
from xgen.train.loop import Job, train
from xgen.train.stages import Place, Stage, num_steps, plan_lines, trained_tokens
from xgen.workspace.folders import Workspace, open_run, workspace_of
from xgen.workspace.target import Target, require_runnable


def documents_apart(batch: Batch) -> Batch:
    """Give each document of a row a segment of its own; the token that ends it belongs to it."""
    ends = batch.tokens == END_OF_TEXT
    return batch._replace(segments=(np.cumsum(ends, axis=1) - ends).astype(np.int32))


_SEEN = {"together": lambda batch: batch, "apart": documents_apart}


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """While preparing data: stop at the first record that cannot be read, instead of counting and skipping it."""
    show: bool = False
    """Print the plan, with the steps and tokens that each stage's budget becomes, and do nothing."""
    hosts: Hosts = field(default_factory=Hosts)


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Prepare the data if that is not done yet, then train; run again, it continues or says that all is done."""
    require_runnable(target, "pretrain")
    if options.show:
        return _say_plan(recipe.name, recipe)
    join(options.hosts)
    pretrain(workspace_of(target, recipe, options.root), options.strict)


def _say_plan(name: str, recipe: Recipe) -> None:
    say(f"pretrain {name}: {num_steps(recipe.stages):,} steps, {trained_tokens(recipe.stages):,} tokens")
    for line in plan_lines(recipe.stages):
        say(line)


def pretrain(workspace: Workspace, strict: bool) -> RunFolder:
    """Train the base run of a workspace to the end of its plan; of several processes, the first prepares and writes."""
    recipe = workspace.recipe
    require_followers(recipe.execution.track)
    prepared = prepare(recipe, workspace.root, strict) if is_first() else None
    together("data are prepared")
    prepared = prepared or prepare(recipe, workspace.root, strict)
    launch(workspace.root / ".cache")
    with locked(workspace.base) if is_first() else nullcontext():
        if is_first():
            open_run(workspace.base, recipe).write_result("data", prepared.manifest)
        together("the run folder is open")
        run = RunFolder.open(workspace.base)
        _say_plan(run.path.name, recipe)

        rows = {stage.name: prepared.rows(stage.name) for stage in recipe.stages}

        def batch_at(where: Place):
            stage = where.stage
            batch = batch_of(rows[stage.name], where.step_in_stage * stage.rows_per_batch, stage.rows_per_batch)
            return _SEEN[recipe.documents](batch)

        def held_out(stage: Stage) -> Batch:
            rows = prepared.held_out()[: recipe.execution.validation_documents, : stage.context_length]
            return _SEEN[recipe.documents](batch_of(rows, 0, len(rows)))

        job = Job(
            recipe.model, recipe.stages, recipe.optimizer, recipe.compute, recipe.execution, recipe.seed,
            documents_apart=recipe.documents == "apart",
        )  # fmt: skip
        train(run, job, batch_at, held_out=held_out)
    return run
