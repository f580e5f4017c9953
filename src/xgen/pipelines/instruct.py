"""`xgen instruct`: tune the base model on conversations, with the loss on responses alone (section 4 of the report)."""

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked
from xgen.core.progress import console, print_table, say
from xgen.core.types import Batch, Document
from xgen.data.shards import open_prepared
from xgen.model.params import Abstract, Params
from xgen.parallel.launch import Hosts, is_first, join, launch, together
from xgen.pipelines.prepare import prepare
from xgen.recipes.schema import Recipe, data_fingerprint, to_plain
from xgen.tokenizer.specials import IDENTITY
from xgen.train.checkpoint import open_checkpoints
from xgen.train.loop import Job, train
from xgen.train.stages import Place, Stage, last_steps
from xgen.tune.audit import TABLES
from xgen.tune.rows import Plan, Rows, batch_of, plan, show
from xgen.tune.store import is_made, is_written, left_out_of, open_manifest, open_store, store_fingerprint, write_store
from xgen.workspace.folders import Workspace, data_folder, named_checkpoint, open_run, workspace_of
from xgen.workspace.target import Target, require_runnable


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """Stop at the first conversation that cannot be read, instead of counting and skipping it."""
    show: int = 0
    """Only read the conversations and print so many of each set as they are trained on; no model is needed."""
    hosts: Hosts = field(default_factory=Hosts)


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Tune the base run of a recipe into a run of its own; run again, it continues or says that all is done."""
    require_runnable(target, "instruct")
    join(options.hosts)
    workspace = workspace_of(target, recipe, options.root)
    if options.show:
        _show(workspace, options)
    else:
        instruct(workspace, options.strict)


def instruct(workspace: Workspace, strict: bool) -> RunFolder:
    """Make rows of the recipe's conversations and train on them from the last base checkpoint.

    Of several processes, the first reads and writes.
    """
    recipe = workspace.recipe
    launch(workspace.root / ".cache")
    base, base_step = _finished_base(workspace)
    rows, manifest = _conversations(workspace, strict)
    planned = plan(rows, recipe.instruct, recipe.seed, recipe.execution.data_axis * recipe.execution.fsdp_axis)
    stage = _stage(planned, recipe)
    with locked(workspace.tuned) if is_first() else nullcontext():
        if is_first():
            tuned = open_run(workspace.tuned, recipe, parent={"run": base.path.name, "step": base_step})
            _write_results(tuned, rows, manifest, planned)
        together("the run folder is open")
        tuned = RunFolder.open(workspace.tuned)
        say(
            f"instruct {tuned.path.name}: {len(rows):,} conversations, {stage.num_steps:,} steps of "
            f"{planned.rows_per_batch:,} rows, {100 * planned.filled:.0f} % of their positions filled; "
            f"left out: {_in_words(left_out_of(manifest['datasets']))}"
        )

        def start_params(placed: Abstract) -> Params:
            with open_checkpoints(base.checkpoints) as checkpoints:
                return checkpoints.load_params(base_step, placed)

        def batch_at(where: Place) -> Batch:
            return batch_of(rows, recipe.instruct, recipe.seed, where.step, planned.rows_per_batch)

        train(
            tuned,
            Job(
                recipe.model,
                (stage,),
                recipe.instruct.optimizer,
                recipe.compute,
                recipe.execution,
                recipe.seed,
                documents_apart=recipe.instruct.rows == "packed",
                lora=recipe.instruct.lora,
            ),
            batch_at,
            start_params,
        )
        if is_first():
            _say_speed(tuned, planned)
    return tuned


def _finished_base(workspace: Workspace) -> tuple[RunFolder, int]:
    """Find the last checkpoint of a base run that is done, and reads the ids of this tokenizer."""
    recipe = workspace.recipe
    base, step = named_checkpoint(workspace, "base")
    if step < last_steps(recipe.stages)[-1]:
        raise UserError(
            f"{base.path} is trained for {step:,} of {last_steps(recipe.stages)[-1]:,} steps",
            "a finished base run",
            f"Let it finish: xgen pretrain {recipe.name}",
        )
    tokenizer = (base.read_result("data") or {}).get("tokenizer", IDENTITY)
    if tokenizer != IDENTITY:
        raise UserError(
            f"{base.path} was trained on ids of the tokenizer {tokenizer}",
            f"{IDENTITY}, that of this version of xgen",
            "Tune it with the version that trained it (environment.json names it).",
        )
    return base, step


def _stage(planned: Plan, recipe: Recipe) -> Stage:
    batch_tokens = planned.rows_per_batch * recipe.instruct.context_length
    tokens = planned.num_steps * batch_tokens
    return Stage("instruct", recipe.instruct.context_length, tokens, batch_tokens, mixture=recipe.instruct.name)


def _write_results(tuned: RunFolder, rows: Rows, manifest: dict[str, Any], planned: Plan) -> None:
    tuned.write_result("teaching", show(rows, list(range(min(3, len(rows))))))
    tuned.write_result(
        "conversations",
        {
            "kept": len(rows),
            "dropped": left_out_of(manifest["datasets"]),
            "datasets": manifest["datasets"],
            "rows_per_batch": planned.rows_per_batch,
            "filled": planned.filled,
        },
    )


def _say_speed(tuned: RunFolder, planned: Plan) -> None:
    """Tell how fast conversations were read, padding not counted."""
    lines = tuned.metrics.read()[1:]  # the first step compiles
    if lines:
        speed = planned.filled * sum(line["tokens_per_second"] * line["seconds"] for line in lines)
        say(f"  {speed / sum(line['seconds'] for line in lines):,.0f} tokens of conversations a second")


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none"


def instruct_folder(recipe: Recipe, root: Path) -> Path:
    """Name the folder of a recipe's tuning data, which runs that differ in sizes or optimizer share."""
    data = data_fingerprint(recipe, IDENTITY)
    plain = to_plain(recipe)["instruct"]
    return root / "data" / f"inst-{store_fingerprint(recipe.instruct, plain, recipe.seed, IDENTITY, data)}"


def _conversations(workspace: Workspace, strict: bool) -> tuple[Rows, dict[str, Any]]:
    """Read the conversations of the recipe, once: later starts, and other processes, find what was written."""
    recipe, folder = workspace.recipe, instruct_folder(workspace.recipe, workspace.root)

    def documents() -> Iterable[Document]:
        prepared = open_prepared(data_folder(recipe, workspace.root))
        return itertools.chain.from_iterable(prepared.documents(source) for source in recipe.data.sources)

    if is_first() and not is_written(folder):
        with locked(folder):
            about = {"recipe": to_plain(recipe), "tokenizer": IDENTITY}
            write_store(folder, recipe.instruct, recipe.seed, strict, documents, about, recipe.data.filters)
    together("tuning data are written")
    manifest = open_manifest(folder)
    examples = [example for one in manifest["datasets"].values() for example in one["examples"]]
    if strict and examples:
        raise UserError(
            f"{examples[0]}, skipped by the run that wrote {folder}",
            "conversations without a fault",
            "Repair it and delete the folder, or leave --strict away.",
        )
    return open_store(folder, recipe.instruct.context_length), manifest


def _show(workspace: Workspace, options: Options) -> None:
    """Print what became of the conversations, and some of each set with the tokens that teach marked."""
    recipe = workspace.recipe
    if is_made(recipe.instruct):
        prepare(recipe, options.root, options.strict)
    rows, manifest = _conversations(workspace, options.strict)
    say("Tokens between ⟦ and ⟧ teach; the model reads the others without learning to write them.")
    for name in manifest["datasets"]:
        numbers = [n for n, key in enumerate(rows.names) if key.startswith(f"{name}/")][: options.show]
        for number, pieces in zip(numbers, show(rows, numbers), strict=True):
            say(f"\n{rows.names[number]}, {int(rows.positions[number]) + 1:,} tokens")
            shown = [(f"⟦{text}⟧", "bold green") if teaches else (text, "dim") for text, teaches in pieces]
            console.print(Text.assemble(*shown))
    for table in TABLES:
        print_table(*table(manifest))
    planned = plan(rows, recipe.instruct, recipe.seed)
    say(
        f"{planned.num_steps:,} steps of {planned.rows_per_batch:,} rows of {rows.context_length:,}, "
        f"{100 * planned.filled:.0f} % of their positions filled; data in {instruct_folder(recipe, options.root)}"
    )
