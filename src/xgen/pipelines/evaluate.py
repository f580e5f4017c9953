"""`xgen evaluate`: perplexity by position on held-out documents for each stage's model, or a suite of tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked, sha256_of_file
from xgen.core.progress import say
from xgen.data.shards import Prepared, open_prepared
from xgen.evals import harness, runner
from xgen.evals.catalog import tasks_named
from xgen.evals.files import identify
from xgen.evals.long.languages import by_language, read_documents
from xgen.evals.long.perplexity_by_position import perplexity_by_position
from xgen.evals.task import Candidate, Settings
from xgen.parallel.launch import launch
from xgen.peers.huggingface import HuggingFaceModel
from xgen.pipelines import judge
from xgen.recipes.schema import Recipe
from xgen.report import benchmarks
from xgen.report.tables import as_text
from xgen.serve.weights import Storage
from xgen.tokenizer.encoding import ReleasedTokenizer
from xgen.train.stages import last_steps, place_of
from xgen.workspace.folders import Workspace, data_folder, named_checkpoint, workspace_of
from xgen.workspace.loading import load, load_checkpoint, load_folder
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    checkpoint: str = ""
    """A stage, or a context, say 4K: where its last stage ends; with a suite also base or tuned. Empty measures
    perplexity for every stage, and asks benchmarks of the run that is named (of a recipe, the base run)."""
    held_out: Path = Path()
    """Prepared data whose held-out documents are read, for a Hugging Face folder; a run knows its own."""
    long_documents: Path = Path()
    """A file of long documents with `text` and `language` (.jsonl, .parquet): perplexity by position for each one."""
    suite: str = ""
    """Tasks instead of perplexity: base, or benchmarks with commas between (lm-eval:<task> for one of lm-eval's); or
    instruct, for judged conversations, long texts and a stress test (tables 8 to 13)."""
    data: Path | None = None
    """Where the files of the benchmarks lie, in their authors' layouts; without it they come from the hub."""
    limit: int = 0
    """Ask only so many questions of each task, and of each subject of MMLU or category of MT-Bench; 0 asks all."""
    weights: Storage = "float32"
    """How matrices are held while judged: float32, bfloat16 or int8."""
    engine: Literal["xgen", "transformers"] = "xgen"
    """Who computes; transformers judges a Hugging Face folder with PyTorch, as a peer."""
    samples: int = 200
    """Programs to draw for each problem of HumanEval."""
    sandbox: Literal["strict", "limits"] = "strict"
    """Where the programs run; limits is no protection against hostile code, for systems without namespaces."""
    judged: Annotated[judge.Options, tyro.conf.arg(name="")] = field(default_factory=judge.Options)


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Measure every stage of a run, or one Hugging Face folder; what is measured already is not measured again."""
    launch(options.root / ".cache")
    if options.suite == "instruct":
        checkpoint = options.checkpoint or "latest"
        judge.run(judge.Subject(target, recipe, options.root, checkpoint, options.limit), options.judged)
        return
    if options.suite:
        run_suite(target, recipe, options)
        return
    if options.long_documents != Path():
        measure_languages(target, recipe, options)
        return
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


def measure_languages(target: Target, recipe: Recipe, options: Options) -> None:
    """Show the same whole documents of each language to the model of every stage, or to one Hugging Face folder."""
    if target.kind == "huggingface" and target.folder is not None:
        model = load_folder(target.folder).engine(recipe, options.weights)
        documents = read_documents(options.long_documents, ReleasedTokenizer(), model.context_length)
        for language, found in by_language(model, documents, model.context_length).items():
            _say(language, found)
        return
    workspace = workspace_of(target, recipe, options.root)
    run, _ = named_checkpoint(workspace, "base")
    documents = read_documents(options.long_documents, ReleasedTokenizer(), recipe.context_length)
    asked = {
        "documents": sha256_of_file(options.long_documents),
        "languages": {key: len(documents[key]) for key in documents},
    }
    with locked(workspace.base):
        known = run.read_result("perplexity_by_language") or {}
        if known.get("asked") != asked:
            known = {"asked": asked, "stages": {}}
        for stage in recipe.stages:
            if stage.name not in known["stages"]:
                model = load_checkpoint(workspace, stage.name).engine(recipe, options.weights)
                known["stages"][stage.name] = by_language(model, documents, stage.context_length)
                run.write_result("perplexity_by_language", known)
            for language, found in known["stages"][stage.name].items():
                _say(f"{stage.name} {language}", found)


def run_suite(target: Target, recipe: Recipe, options: Options) -> None:
    """Ask one checkpoint a suite, keep each result as soon as it is there, and print it beside the report's rows."""
    names = [name.strip() for name in options.suite.split(",")]
    others = [name.removeprefix(harness.PREFIX) for name in names if name.startswith(harness.PREFIX)]
    tasks = tasks_named(",".join(name for name in names if not name.startswith(harness.PREFIX)))
    settings = Settings(options.limit, options.data, recipe.seed, options.samples, options.sandbox)
    candidate, folder = _candidate(target, recipe, options)
    with locked(folder):
        say(f"evaluate {candidate.model.name}: {len(tasks) + len(others)} tasks, results in {folder}")
        results = runner.run(tasks, candidate, settings, folder, lambda result: say(benchmarks.line_of(result)))
        for name in others:
            results.append(harness.run(name, candidate, settings, folder))
            say(benchmarks.line_of(results[-1]))
    for title, table in benchmarks.tables({result["task"]: result for result in results}, candidate.model.name):
        say(f"\n{title}\n\n{as_text(table)}")


def _candidate(target: Target, recipe: Recipe, options: Options) -> tuple[Candidate, Path]:
    """Load who is judged, and name the folder of the results: in the run, or for a folder under evaluations/."""
    checkpoint = options.checkpoint
    kind = "" if options.engine == "xgen" and options.weights == "float32" else f"-{options.engine}-{options.weights}"
    about = {"engine": options.engine, "weights": options.weights, "precision": recipe.precision}
    if target.kind == "huggingface" and target.folder is not None:
        about |= {"model": target.folder.resolve().name, "files": identify(target.folder)}
        folder = options.root / "evaluations" / f"{about['model']}-{about['files']}{kind}"
        if options.engine == "transformers":
            peer = HuggingFaceModel(target.folder, "bfloat16" if options.weights == "bfloat16" else "float32")
            return Candidate(peer, peer.tokenizer, about), folder
    elif options.engine == "transformers":
        raise UserError(f"{target.text} is no Hugging Face folder", "one for transformers", "Export the run first.")
    else:
        workspace = workspace_of(target, recipe, options.root)
        checkpoint = options.checkpoint or ("tuned" if target.folder == workspace.tuned else "base")
        run, step = named_checkpoint(workspace, checkpoint)
        about |= {"model": run.path.name, "checkpoint": str(step)}
        folder = run.path / "evaluations" / f"{step}{kind}"
    model = load(target, recipe, options.root, checkpoint).engine(recipe, options.weights)
    return Candidate(model, ReleasedTokenizer(), about), folder


def _say(name: str, found: dict[str, Any]) -> None:
    first, last = found["first_eighth"], found["last_eighth"]
    say(
        f"  {name:<14} context {found['context_length']:>5,}  perplexity {found['overall']['perplexity']:,.1f}  first "
        f"eighth {first['perplexity']:,.1f} [{first['low']:,.1f}, {first['high']:,.1f}]  last eighth "
        f"{last['perplexity']:,.1f} [{last['low']:,.1f}, {last['high']:,.1f}]"
    )
