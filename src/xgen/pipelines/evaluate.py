"""`xgen evaluate`: perplexity by position on held-out documents, for the model that each stage ended with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked
from xgen.core.progress import say
from xgen.data.shards import Prepared, open_prepared
from xgen.evals.long.perplexity_by_position import perplexity_by_position
from xgen.parallel.launch import launch
from xgen.pipelines.prepare import data_folder
from xgen.recipes.schema import Recipe
from xgen.train.stages import last_steps, place_of
from xgen.workspace.folders import Workspace, named_checkpoint, workspace_of
from xgen.workspace.loading import load_checkpoint, load_folder
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    checkpoint: str = ""
    """A stage, or a context, say 4K: where its last stage ends; empty measures every stage."""
    held_out: Path = Path()
    """Prepared data whose held-out documents are read, for a Hugging Face folder; a run knows its own."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Measure every stage of a run, or one Hugging Face folder; what is measured already is not measured again."""
    launch(options.root / ".cache")
    if target.kind != "huggingface" or target.folder is None:
        evaluate(workspace_of(target, recipe, options.root), options.checkpoint)
        return
    if not (options.held_out / "manifest.json").exists():
        raise UserError(
            f"no prepared data at '{options.held_out}'",
            "held-out documents to measure on",
            "Name a folder under data/: --held-out data/<fingerprint>",
        )
    model = load_folder(target.folder).engine(recipe)
    rows = open_prepared(options.held_out).held_out()
    _say(model.name, perplexity_by_position(model, rows, min(model.context_length, rows.shape[1])))


def evaluate(workspace: Workspace, checkpoint: str = "") -> RunFolder:
    """Measure every stage, or a named one, where that is not done yet; each result is kept as soon as it is there."""
    recipe = workspace.recipe
    run, last = named_checkpoint(workspace, checkpoint or "base")
    chosen = (place_of(recipe.stages, last - 1).stage,) if checkpoint else recipe.stages
    if (checkpoint and last not in last_steps(recipe.stages)) or run.path != workspace.base:
        raise UserError(
            f"'{checkpoint}' is no end of a stage", "a stage of the base run", "Name a stage, or a context."
        )
    prepared: Prepared = open_prepared(data_folder(recipe, workspace.root))
    with locked(workspace.base):
        say(f"evaluate {run.path.name}: perplexity by position on {len(prepared.held_out())} held-out documents")
        measured: list[dict[str, Any]] = (run.read_result("perplexity") or {"stages": []})["stages"]
        known = {stage["name"]: stage for stage in measured}
        for stage in chosen:
            if stage.name not in known:
                model = load_checkpoint(workspace, stage.name).engine(recipe)
                found = perplexity_by_position(model, prepared.held_out(), stage.context_length)
                known[stage.name] = {"name": stage.name} | found
                in_order = [known[each.name] for each in recipe.stages if each.name in known]
                run.write_result("perplexity", {"stages": in_order})
            _say(f"stage {stage.name}", known[stage.name])
    return run


def _say(name: str, found: dict[str, Any]) -> None:
    first, last = found["first_eighth"], found["last_eighth"]
    say(
        f"  {name:<14} context {found['context_length']:>5,}  perplexity {found['overall']['perplexity']:,.1f}  first "
        f"eighth {first['perplexity']:,.1f} [{first['low']:,.1f}, {first['high']:,.1f}]  last eighth "
        f"{last['perplexity']:,.1f} [{last['low']:,.1f}, {last['high']:,.1f}]"
    )
