"""From sources to the rows of every stage: plan, pieces, choice, rows; what is complete is not done again."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xgen.core.errors import UserError
from xgen.core.ledger import locked, read_json, require_space, write_array, write_json
from xgen.core.progress import bar, print_table, progress, say, track
from xgen.data.accounts import intake_counts, source_counts, stage_counts
from xgen.data.audit import filter_table, plan_table, source_table, stage_table
from xgen.data.choice import Comparisons, Quota, choose, held_out_rows
from xgen.data.composition import write_audit
from xgen.data.config import DataConfig
from xgen.data.copies import NearTask, mark_near_copies, near_path, write_held_out
from xgen.data.duplicates import find_pairs, plan_search, settled
from xgen.data.filters import HeldOut, Marks
from xgen.data.mixture import apportion
from xgen.data.packing import RowsTask, merge, pack_file, write_stream, write_token_files
from xgen.data.shards import Prepared, is_complete, open_prepared, row_files, write_manifest
from xgen.engine.crew import Crew, OthersUnfinished, share_of
from xgen.filters.catalog import Screen
from xgen.pieces.make import CRASHED, STAYS, PieceTask, make_piece, read_ledger, set_apart
from xgen.pieces.plan import (
    Plan,
    make_plan,
    needs_snapshot,
    plan_path,
    read_plan,
    refuse_another_recipe,
    refuse_changed_inputs,
    write_plan,
)
from xgen.pieces.store import TokenStore, open_store
from xgen.recipes.schema import Recipe, to_plain
from xgen.similarity.near import Signer
from xgen.sources.catalog import read_snapshot_counts, write_snapshot
from xgen.tokenizer.specials import IDENTITY
from xgen.train.stages import Stage, trained_tokens
from xgen.workspace.folders import data_folder
from xgen.workspace.target import Target, require_runnable

NUM_TOLD = 10
"""Sentences about bad input that are printed of a source; all of it is counted and in quarantine."""
INLINE_BYTES = 2 << 20
"""Of input: less is done before the first worker would have started."""


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """Stop at the first record that cannot be read, instead of counting and skipping it."""
    show: bool = False
    """Only print what every stage will read of every source; nothing is read or written."""
    engine: Literal["local", "ray"] = "local"
    """Workers on this machine, or a Ray cluster whose machines all see the folder and the input."""
    workers: int = 0
    """Worker processes on this machine; 0 takes one for each processor."""
    ray_address: str = ""
    """host:port of the head of a Ray cluster; without it Ray looks for one, or starts one here."""
    shard: str = ""
    """i/n, with i from 0: do this part of the work, beside others that share the folder (docs/how-to)."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Prepare the data of a recipe; run again, it continues or says that all is done."""
    require_runnable(target, "prepare")
    if options.show:
        mixtures = {mixture.name: mixture for mixture in recipe.data.mixtures}
        print_table(*plan_table(recipe.stages, mixtures))
        say(f"it would lie in {data_folder(recipe, options.root)}")
        return
    share = share_of(options.shard) if options.shard else None
    try:
        prepare(recipe, options.root, options.strict, Crew(options.engine, options.workers, options.ray_address, share))
    except OthersUnfinished as others:
        say(f"shard   {options.shard} is done; {others}. The same command continues when they are.")


def prepare(recipe: Recipe, root: Path, strict: bool = False, crew: Crew | None = None) -> Prepared:
    """Prepare the data of a recipe, or continue, or find it complete.

    Broken input is counted and skipped, or with `strict` a UserError. OthersUnfinished where the crew does a share, and
    what follows needs those of others.
    """
    folder = data_folder(recipe, root)
    if is_complete(folder):
        prepared = open_prepared(folder)
        if strict:
            _refuse_broken(prepared.manifest["sources"], folder)
        say(f"data    complete in {folder}")
        return prepared
    for source in recipe.data.sources:
        Screen(source.filters, recipe.data.filters)  # what cannot be made is refused before anything is read
    if recipe.data.duplicate_similarity:
        Signer()
    crew, started = crew or Crew(), time.monotonic()
    with _held(folder, crew), contextlib.closing(crew):
        require_space(folder, 2 * trained_tokens(recipe.stages))
        job = _begin(recipe, folder, strict, crew)
        ledgers = _make_pieces(job)
        chosen = _chosen(folder) or _choose(job, ledgers)
        _pack(job)
        write_manifest(folder, {"recipe": to_plain(recipe), "tokenizer": IDENTITY, "seed": recipe.seed, **chosen})
        prepared = open_prepared(folder)
    for table in (make(prepared.manifest) for make in (source_table, filter_table, stage_table)):
        if table.rows:
            print_table(*table)
    say(f"data    prepared in {time.monotonic() - started:.0f} s: {folder}")
    return prepared


@dataclass(frozen=True)
class _Job:
    """One run of prepare on one folder."""

    recipe: Recipe
    folder: Path
    strict: bool
    crew: Crew
    plan: Plan
    is_new: bool
    num_bytes: int
    """Of input."""

    def finish(
        self, function: Callable[[Any], None], tasks: Sequence[Any], title: str, size: Callable[[Any], int]
    ) -> None:
        """Do this run's tasks that are not done, none of which can be left out; all are done when it returns."""
        mine = [task for task in self.crew.mine(tasks) if not task.is_done()]
        for task, is_done in self.watch(function, mine, title, size):
            if not is_done:
                raise UserError(
                    f"{task} killed its worker again and again",
                    "a worker that ends its task",
                    "Look for a lack of memory, and run the same command again: it continues where it was.",
                )
        if missing := sum(not task.is_done() for task in tasks):
            raise OthersUnfinished(f"{title}: {missing:,} of {len(tasks):,} parts are left to others")

    def watch(
        self,
        function: Callable[[Any], None],
        tasks: Sequence[Any],
        title: str,
        size: Callable[[Any], int],
        tokens: Callable[[Any], int] = lambda task: 0,
    ) -> Iterator[tuple[Any, bool]]:
        """Do tasks, show how far they are in bytes and tokens, and yield each as it ends."""
        takes_risks = function is make_piece and not self.is_new  # it may have killed the run before
        done = self.crew.do(function, tasks, self.num_bytes < INLINE_BYTES and not takes_risks)
        with progress(title, sum(map(size, tasks))) as advance:
            for task, is_done in done:
                yield task, is_done
                advance(size(task), tokens(task))


@contextlib.contextmanager
def _held(folder: Path, crew: Crew) -> Iterator[None]:
    """Keep others out: all of them, or who does the same share; clear away what runs and workers left that died."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(folder, shared=crew.share is not None))
        if crew.share is not None:
            stack.enter_context(locked(folder, f".lock-{crew.share.number}-of-{crew.share.total}"))
        else:
            stack.callback(_clear_away, folder)
            _clear_away(folder)
        yield


def _clear_away(folder: Path) -> None:
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink()


def _begin(recipe: Recipe, folder: Path, strict: bool, crew: Crew) -> _Job:
    """Make the plan, or take the one that is there if nothing has changed that it depends on."""
    plain, data = to_plain(recipe), recipe.data
    made_of = {**{key: plain[key] for key in ("seed", "data", "stages")}, "tokenizer": IDENTITY}
    with locked(folder, ".lock-plan", wait=True):
        is_new = not plan_path(folder).exists()
        if is_new or (crew.share is None and not any((folder / "pieces").glob("*.json"))):  # nothing would be lost
            _snapshot(data, folder, strict)
            write_plan(folder, make_plan(folder, data.sources, data.filters, made_of))
        plan = read_plan(folder)
    refuse_another_recipe(folder, plan, made_of)
    if not is_new and any(read_ledger(folder, piece.number) is None for piece in plan.pieces):
        refuse_changed_inputs(folder, plan, data.sources, data.filters)
    num_bytes = sum(piece.num_bytes for piece in plan.pieces)
    num_files = sum(len(piece.files) for piece in plan.pieces)
    if is_new:
        require_space(folder, num_bytes // 2)  # two bytes a token, which is some four of text
    say(f"plan    {num_files:,} files, {num_bytes / 1e6:,.1f} MB, in {len(plan.pieces):,} pieces")
    return _Job(recipe, folder, strict, crew, plan, is_new, num_bytes)


def _snapshot(config: DataConfig, folder: Path, strict: bool) -> None:
    sources = [source for source in config.sources if needs_snapshot(source)]
    for source in track(sources, "reading sources", len(sources)):
        counts = write_snapshot(folder, source, strict)
        left_out = sum(counts["skipped"].values())
        say(f"read    {source.name}: {counts['documents']:,} documents, {left_out:,} left out")


def _refuse_broken(sources: Mapping[str, Any], folder: Path) -> None:
    """Be strict about what an earlier run, which was not, has read and skipped."""
    for name, counts in sources.items():
        if counts["examples"]:
            raise UserError(
                f"source '{name}': {counts['examples'][0]}, skipped by the run that wrote {folder}",
                "input without a fault",
                "Repair it and delete the folder, or leave --strict away.",
            )


def _make_pieces(job: _Job) -> dict[str, dict[str, Any]]:
    """Make this run's pieces that are not there; return what those of each source say, when all are."""
    config = job.recipe.data
    sources = {source.name: source for source in config.sources}
    try_again = not (job.folder / "near").exists()  # what was chosen stands on what had been set apart
    rest = (config.filters, config.min_document_tokens, job.strict, config.duplicate_similarity > 0)
    tasks = [
        PieceTask(job.folder, piece, sources[piece.source], *rest)
        for piece in job.crew.mine(job.plan.pieces)
        if (ledger := read_ledger(job.folder, piece.number)) is None or (try_again and CRASHED in ledger["skipped"])
    ]

    def tokens_of(task: PieceTask) -> int:
        ledger = read_ledger(job.folder, task.piece.number) or {"fates": {}}
        return sum(fate["tokens"] for fate in ledger["fates"].values())

    told = Counter[str]()
    for task, is_done in job.watch(make_piece, tasks, "tokenizing", lambda task: task.piece.num_bytes, tokens_of):
        if not is_done:
            set_apart(task)
        ledger = read_ledger(job.folder, task.piece.number)
        assert ledger is not None, f"{task.piece} is done"
        for example in ledger["examples"] if told[task.source.name] < NUM_TOLD else ():
            told[task.source.name] += 1
            say(f"  {task.source.name}: {example}; skipped")
    of_source: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    missing = 0
    for piece in job.plan.pieces:
        ledger = read_ledger(job.folder, piece.number)
        missing += ledger is None
        of_source[piece.source].append(ledger or {})
    if missing:
        raise OthersUnfinished(f"{missing:,} of {len(job.plan.pieces):,} pieces are left to others")
    counts = {
        name: intake_counts(source, of_source[name], read_snapshot_counts(job.folder, source))
        for name, source in sources.items()
    }
    if job.strict:
        _refuse_broken(counts, job.folder)
    for name, count in counts.items():
        _require_documents(name, count, config.min_document_tokens)
    return counts


def _require_documents(name: str, count: dict[str, Any], min_document_tokens: int) -> None:
    stay = count["fates"].get(STAYS, {"documents": 0, "tokens": 0})
    if not count["documents"]:
        raise UserError(
            f"source '{name}' gave no document (skipped: {count['skipped'] or 'none'})",
            "at least one document",
            "Check the source's location and what is there.",
        )
    if not stay["documents"]:
        raise UserError(
            f"no document of the source '{name}' has {min_document_tokens} tokens or more and passes its filters",
            "at least one document",
            "Add documents, or lower min-document-tokens.",
        )
    say(
        f"encode  {name}: {stay['tokens']:,} tokens in {stay['documents']:,} documents, "
        f"{count['documents'] - stay['documents']:,} dropped, {sum(count['skipped'].values()):,} left out"
    )


def _chosen(folder: Path) -> dict[str, Any] | None:
    path = folder / "choice.json"
    return read_json(path) if path.exists() else None


def _choose(job: _Job, intakes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Decide what becomes of every document, lay out the stream of each stage, and account for all of it."""
    recipe, folder, config = job.recipe, job.folder, job.recipe.data
    stores = {source.name: open_store(folder, job.plan, source.name) for source in config.sources}
    with bar("choosing documents", None):
        choice = choose(
            stores,
            config,
            [_quota(recipe, stage) for stage in recipe.stages],
            config.mixture(recipe.stages[0].mixture).fractions(),
            recipe.context_length,
            recipe.seed,
            Comparisons(partial(_near_duplicates, job, stores), partial(_near_copies, job)),
        )
    write_array(folder / "held_out.npy", held_out_rows(stores, choice, recipe.context_length, recipe.seed))
    given = ", ".join(f"{len(indices)} of {source}" for source, indices in choice.held_out.items())
    say(f"choose  {config.held_out_documents:,} documents held out ({given})")
    for source, fates in choice.fates.items():
        write_array(folder / "fates" / f"{source}.npy", fates)
    write_token_files(folder, list(stores.values()))
    for number, (stage, slices) in enumerate(zip(recipe.stages, choice.slices, strict=True)):
        stream = merge(slices, [stores[one.source] for one in slices], recipe.seed, stage.name)
        assert len(stream) == stage.trained_tokens
        write_stream(folder, number, stream, [one.source for one in slices])
    chosen = {
        "sources": {
            source.name: source_counts(source, intakes[source.name], stores[source.name], choice)
            for source in config.sources
        },
        "stages": [
            stage_counts(stage, config.mixture(stage.mixture).fractions(), slices)
            for stage, slices in zip(recipe.stages, choice.slices, strict=True)
        ],
        "held_out": {"documents": config.held_out_documents, "context_length": recipe.context_length},
    }
    write_audit(folder, job.plan, chosen, choice.fates)
    write_json(folder / "choice.json", chosen)
    return chosen


def _near_duplicates(job: _Job, stores: Mapping[str, TokenStore], alive: Marks) -> np.ndarray:
    """Let workers look for pairs among all pieces; all parts must be there before one is chosen of each pair."""
    if not job.recipe.data.duplicate_similarity:
        return np.full(sum(map(len, stores.values())), -1)
    parts = plan_search(job.folder, stores, alive, len(job.plan.pieces), job.recipe.data.duplicate_similarity)
    job.finish(find_pairs, parts, "looking for near duplicates", lambda task: job.num_bytes // task.num_parts)
    return settled(parts)


def _near_copies(job: _Job, apart: HeldOut) -> dict[str, np.ndarray]:
    """Let workers compare every piece with what is held out; all pieces must be there before anything is chosen."""
    if not apart.documents:
        return {}
    write_held_out(job.folder, apart)
    tasks = [
        NearTask(job.folder, piece.number, apart.context_length, job.recipe.data.near_duplicate_share)
        for piece in job.plan.pieces
    ]
    job.finish(
        mark_near_copies,
        tasks,
        "comparing with held-out documents",
        lambda task: job.plan.pieces[task.number].num_bytes,
    )
    marks: dict[str, list[np.ndarray]] = {source.name: [np.zeros(0, bool)] for source in job.recipe.data.sources}
    for piece in job.plan.pieces:
        marks[piece.source].append(np.load(near_path(job.folder, piece.number)))
    return {source: np.concatenate(of_pieces) for source, of_pieces in marks.items()}


def _quota(recipe: Recipe, stage: Stage) -> Quota:
    mixture = recipe.data.mixture(stage.mixture)
    return Quota(stage.name, apportion(stage.trained_tokens, mixture.fractions()), mixture.second_draws)


def _pack(job: _Job) -> None:
    """Make this run's files of rows that are not there; all must be there when it returns."""
    tasks = [
        RowsTask(job.folder, stage.name, number, stage.num_rows, stage.context_length, job.recipe.seed, file)
        for number, stage in enumerate(job.recipe.stages)
        for file in row_files(number, stage.num_rows, stage.context_length)
    ]
    job.finish(
        pack_file, tasks, "packing rows", lambda task: 2 * (task.file.stop - task.file.first) * task.context_length
    )
    for stage in job.recipe.stages:
        say(f"pack    stage {stage.name}: {stage.num_rows:,} rows of {stage.context_length:,}")
