"""`xgen evaluate`: perplexity by position on held-out documents for each stage's model, or a suite of tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked
from xgen.core.progress import say
from xgen.data.shards import Prepared, open_prepared
from xgen.evals.long.perplexity_by_position import perplexity_by_position
from xgen.parallel.launch import launch
from xgen.pipelines import judge
from xgen.pipelines.prepare import data_folder
from xgen.recipes.schema import Recipe
from xgen.workspace.folders import Workspace, named_checkpoint, workspace_of
from xgen.workspace.loading import load_checkpoint, load_folder
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    held_out: Path = Path()
    """Prepared data whose held-out documents are read, for a Hugging Face folder; a run knows its own."""
    suite: str = ""
    """instruct: judged conversations, long texts and a stress test (tables 8 to 13) instead of perplexity."""
    limit: int = 0
    """Ask only so many questions of each task, and of each category of MT-Bench; 0 asks all."""
    checkpoint: str = "latest"
    """Which weights of a run are judged: "latest" (tuned if there is a tuned run), "base", "tuned", or a stage."""
    judged: Annotated[judge.Options, tyro.conf.arg(name="")] = field(default_factory=judge.Options)


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Measure every stage of a run, or one Hugging Face folder; what is measured already is not measured again."""
    launch(options.root / ".cache")
    if options.suite == "instruct":
        judge.run(judge.Subject(target, recipe, options.root, options.checkpoint, options.limit), options.judged)
        return
    if options.suite:
        raise UserError(f"there is no suite '{options.suite}'", "instruct, or none for perplexity", "Name one of them.")
    if target.kind != "huggingface" or target.folder is None:
        evaluate(workspace_of(target, recipe, options.root))
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


def evaluate(workspace: Workspace) -> RunFolder:
    """Measure the stages that are not measured yet; each result is kept as soon as it is there."""
    recipe = workspace.recipe
    prepared: Prepared = open_prepared(data_folder(recipe, workspace.root))
    run, _ = named_checkpoint(workspace, "base")
    with locked(workspace.base):
        say(f"evaluate {run.path.name}: perplexity by position on {len(prepared.held_out())} held-out documents")
        measured: list[dict[str, Any]] = (run.read_result("perplexity") or {"stages": []})["stages"]
        known = {stage["name"]: stage for stage in measured}
        for stage in recipe.stages:
            if stage.name not in known:
                model = load_checkpoint(workspace, stage.name).engine(recipe)
                found = perplexity_by_position(model, prepared.held_out(), stage.context_length)
                known[stage.name] = {"name": stage.name} | found
                run.write_result("perplexity", {"stages": list(known.values())})
            _say(f"stage {stage.name}", known[stage.name])
    return run


def _say(name: str, found: dict[str, Any]) -> None:
    first, last = found["first_eighth"], found["last_eighth"]
    say(
        f"  {name:<14} context {found['context_length']:>5,}  perplexity {found['overall']['perplexity']:,.1f}  first "
        f"eighth {first['perplexity']:,.1f} [{first['low']:,.1f}, {first['high']:,.1f}]  last eighth "
        f"{last['perplexity']:,.1f} [{last['low']:,.1f}, {last['high']:,.1f}]"
    )
