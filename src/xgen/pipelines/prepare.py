"""From sources to the rows of every stage: snapshot, tokenize, choose, pack; what is complete is not done again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.table import Table as RichTable

from xgen.core.errors import UserError
from xgen.core.ledger import locked, require_space
from xgen.core.progress import bar, console, say, track
from xgen.data.audit import Table, filter_table, plan_table, source_table, stage_table
from xgen.data.choice import FATES, Choice, Quota, choose
from xgen.data.config import DataConfig
from xgen.data.filters import why_dropped
from xgen.data.mixture import apportion, shuffled
from xgen.data.packing import merge, pack, row_order
from xgen.data.shards import Prepared, is_complete, open_prepared, rows_path, write_array, write_manifest, write_rows
from xgen.data.tokens import TokenStore, open_tokens, read_token_counts, write_tokens
from xgen.filters.catalog import Screen
from xgen.recipes.schema import Recipe, data_fingerprint, to_plain
from xgen.sources.catalog import read_snapshot, write_snapshot
from xgen.tokenizer.specials import IDENTITY
from xgen.train.stages import Stage, trained_tokens
from xgen.workspace.target import Target, require_runnable

Counts = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """Stop at the first record that cannot be read, instead of counting and skipping it."""
    show: bool = False
    """Only print what every stage will read of every source; nothing is read or written."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Prepare the data of a recipe; run again, it continues or says that all is done."""
    require_runnable(target, "prepare")
    if options.show:
        mixtures = {mixture.name: mixture for mixture in recipe.data.mixtures}
        console.print(as_rich(plan_table(recipe.stages, mixtures)))
        say(f"it would lie in {data_folder(recipe, options.root)}")
        return
    prepare(recipe, options.root, options.strict)


def data_folder(recipe: Recipe, root: Path) -> Path:
    """Name the folder of a recipe's prepared data; all runs with the same data, stages and seed share it."""
    return root / "data" / data_fingerprint(recipe, IDENTITY)


def prepare(recipe: Recipe, root: Path, strict: bool = False) -> Prepared:
    """Prepare the data of a recipe, or continue, or find it complete.

    Broken input is counted and skipped, or with `strict` a UserError.
    """
    folder = data_folder(recipe, root)
    if is_complete(folder):
        prepared = open_prepared(folder)
        if strict:
            _refuse_broken(prepared.manifest["sources"], folder)
        say(f"data    complete in {folder}")
        return prepared
    screens = {source.name: Screen(source.filters, recipe.data.filters) for source in recipe.data.sources}
    with locked(folder):
        for leftover in folder.rglob(".*.tmp"):  # of a run that was killed
            leftover.unlink()
        require_space(folder, 2 * trained_tokens(recipe.stages))
        started = time.monotonic()
        snapshots = _snapshot(recipe.data, folder, strict)
        if strict:
            _refuse_broken(snapshots, folder)
        encoded = _tokenize(recipe.data, folder, snapshots, screens)
        stores = {source.name: open_tokens(folder, source.name) for source in recipe.data.sources}
        choice = _choose(recipe, folder, stores)
        _pack(recipe, folder, stores, choice)
        write_manifest(
            folder,
            {
                "recipe": to_plain(recipe),
                "tokenizer": IDENTITY,
                "seed": recipe.seed,
                "sources": _source_counts(recipe.data, snapshots, encoded, stores, choice),
                "stages": _stage_counts(recipe, choice),
                "held_out": {"documents": recipe.data.held_out_documents, "context_length": recipe.context_length},
            },
        )
        prepared = open_prepared(folder)
    for table in (make(prepared.manifest) for make in (source_table, filter_table, stage_table)):
        if table.rows:
            console.print(as_rich(table))
    say(f"data    prepared in {time.monotonic() - started:.0f} s: {folder}")
    return prepared


def _snapshot(config: DataConfig, folder: Path, strict: bool) -> Counts:
    snapshots = {}
    for source in track(config.sources, "reading sources", len(config.sources)):
        snapshots[source.name] = counts = write_snapshot(folder, source, strict)
        say(
            f"read    {source.name}: {counts['documents']:,} documents, {counts['bytes'] / 1e6:.1f} MB, "
            f"{sum(counts['skipped'].values()):,} left out"
        )
    return snapshots


def _refuse_broken(sources: Counts, folder: Path) -> None:
    """Be strict about what an earlier run, which was not, has read and skipped."""
    for name, counts in sources.items():
        if counts["examples"]:
            raise UserError(
                f"source '{name}': {counts['examples'][0]}, skipped by the run that wrote {folder}",
                "input without a fault",
                "Repair it and delete the folder, or leave --strict away.",
            )


def _tokenize(config: DataConfig, folder: Path, snapshots: Counts, screens: dict[str, Screen]) -> Counts:
    encoded = {}
    for source in config.sources:
        counts = read_token_counts(folder, source.name)
        if counts is None:
            documents = track(
                read_snapshot(folder, source.name), f"tokenizing {source.name}", snapshots[source.name]["documents"]
            )
            counts = write_tokens(
                folder, source.name, documents, screens[source.name], partial(why_dropped, config=config)
            )
        say(
            f"encode  {source.name}: {counts['tokens']:,} tokens in {counts['documents']:,} documents, "
            f"{sum(reason['documents'] for reason in counts['dropped'].values()):,} dropped"
        )
        encoded[source.name] = counts
    return encoded


def _choose(recipe: Recipe, folder: Path, stores: dict[str, TokenStore]) -> Choice:
    for name, store in stores.items():
        if not store.keys:
            raise UserError(
                f"no document of the source '{name}' has {recipe.data.min_document_tokens} tokens or more",
                "at least one document",
                "Add documents, or lower min-document-tokens.",
            )
    fractions = recipe.data.mixture(recipe.stages[0].mixture).fractions()
    with bar("choosing documents", None):
        choice = choose(
            stores,
            recipe.data,
            [_quota(recipe, stage) for stage in recipe.stages],
            fractions,
            recipe.context_length,
            recipe.seed,
        )
    places = [(source, index) for source, indices in choice.held_out.items() for index in indices]
    order = shuffled(recipe.seed, "held out", [f"{source}\0{stores[source].keys[index]}" for source, index in places])
    held_out = np.empty((len(places), recipe.context_length), np.uint16)
    for row, (source, index) in zip(held_out, (places[at] for at in order), strict=True):
        row[:] = stores[source].document(index)[: recipe.context_length]
    for source, fates in choice.fates.items():
        write_array(folder / "fates" / f"{source}.npy", fates)
    write_array(folder / "held_out.npy", held_out)
    given = ", ".join(f"{len(indices)} of {source}" for source, indices in choice.held_out.items())
    say(f"choose  {len(held_out):,} documents held out ({given})")
    return choice


def _quota(recipe: Recipe, stage: Stage) -> Quota:
    mixture = recipe.data.mixture(stage.mixture)
    return Quota(stage.name, apportion(stage.trained_tokens, mixture.fractions()), mixture.second_draws)


def _pack(recipe: Recipe, folder: Path, stores: dict[str, TokenStore], choice: Choice) -> None:
    for number, (stage, slices) in enumerate(zip(recipe.stages, choice.slices, strict=True)):
        path = rows_path(folder, number)
        if not path.exists():
            stream = merge(slices, [stores[one.source] for one in slices], recipe.seed, stage.name)
            assert len(stream) == stage.trained_tokens
            rows = pack(stream, row_order(recipe.seed, stage.name, stage.num_rows), stage.context_length)
            with bar(f"packing stage {stage.name}", stage.num_rows) as shown:
                write_rows(path, (stage.num_rows, stage.context_length), _shown(rows, shown.advance))
        say(f"pack    stage {stage.name}: {stage.num_rows:,} rows of {stage.context_length:,}")


def _shown(chunks: Iterable[np.ndarray], advance: Any) -> Iterable[np.ndarray]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def _source_counts(
    config: DataConfig, snapshots: Counts, encoded: Counts, stores: dict[str, TokenStore], choice: Choice
) -> Counts:
    """Account for every document that was read, and check that the sum is right."""
    counts = {}
    for source in config.sources:
        lengths, fates = stores[source.name].lengths, choice.fates[source.name]
        became = {
            name: {"documents": int(np.count_nonzero(fates == code)), "tokens": int(lengths[fates == code].sum())}
            for code, name in enumerate(FATES)
        }
        became = {name: count for name, count in became.items() if count["documents"]} | encoded[source.name]["dropped"]
        read = {
            "documents": snapshots[source.name]["documents"],
            "tokens": sum(count["tokens"] for count in became.values()),
        }
        assert read["documents"] == sum(count["documents"] for count in became.values()), source.name
        counts[source.name] = {
            "reader": source.reader,
            "licence": source.licence,
            "read": read,
            "fates": became,
            "filters": encoded[source.name]["filters"],
            "bytes": snapshots[source.name]["bytes"],
            "skipped": snapshots[source.name]["skipped"],
            "licences": snapshots[source.name]["licences"],
            "examples": snapshots[source.name]["examples"],
        }
    return counts


def _stage_counts(recipe: Recipe, choice: Choice) -> list[dict[str, Any]]:
    counts = []
    for stage, slices in zip(recipe.stages, choice.slices, strict=True):
        fractions = recipe.data.mixture(stage.mixture).fractions()
        sources = {
            one.source: {
                "wanted": fractions[one.source],
                "tokens": one.tokens,
                "documents": len(one.documents),
                "cut_at_quota": one.cut,
                "part_documents": one.part_documents,
                "part_tokens": one.part_tokens,
                "repeats": one.repeats,
                "draw": one.draw,
            }
            for one in slices
        }
        counts.append(
            {
                "name": stage.name,
                "mixture": stage.mixture,
                "context_length": stage.context_length,
                "rows": stage.num_rows,
                "tokens": stage.trained_tokens,
                "sources": sources,
            }
        )
    return counts


def as_rich(table: Table) -> RichTable:
    """Lay out a table of data/audit.py for the terminal."""
    shown = RichTable(title=table.title, title_justify="left", box=SIMPLE, padding=(0, 0))
    for column, cells in zip(table.columns, zip(table.columns, *table.rows, strict=True), strict=True):
        shown.add_column(column, no_wrap=True, min_width=max(map(len, cells)))  # a number is never cut to fit
    for row in table.rows:
        shown.add_row(*row)
    return shown
