"""Tuning data on disk: what every process and every start of a run reads, whatever became of the files they came from.

manifest.json      what was read, kept and dropped of each set; size and sha256 of every file; written last
ids.npy, teaches.npy, starts.npy, keys.json     the conversations, in the order of the sets and of their draws
<set>.quarantine.jsonl                          a record of each piece of bad input, where there was some
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from xgen.core.errors import UserError
from xgen.core.ledger import fingerprint, read_json, sha256_of_file, write_array, write_json, written_beside
from xgen.core.types import Document
from xgen.filters.catalog import Screen
from xgen.filters.config import FilterConfig
from xgen.sources.intake import Intake, quarantine
from xgen.tune.config import InstructConfig, InstructionSet
from xgen.tune.datasets import MADE, files_of, read_set
from xgen.tune.rows import Rows
from xgen.tune.screening import screening
from xgen.tune.selection import TOO_LONG, Selection, select

FORM = "instruct-1"
ANEW = "Delete the folder and run the same command again."


def is_made(config: InstructConfig) -> bool:
    """Say whether a set is made of the documents that the base model was trained on."""
    return any(one.layout == MADE for one in config.datasets)


def store_fingerprint(config: InstructConfig, plain: dict[str, Any], seed: int, tokenizer: str, data: str) -> str:
    """Identify tuning data; `plain` is the config as JSON-like values, `data` the prepared data that made sets ask."""
    read = {name: plain[name] for name in ("datasets", "template", "context_length")}
    return fingerprint(
        read | {"form": FORM, "seed": seed, "tokenizer": tokenizer, "data": data if is_made(config) else ""}
    )


def is_written(folder: Path) -> bool:
    return (folder / "manifest.json").exists()


def write_store(
    folder: Path,
    config: InstructConfig,
    seed: int,
    strict: bool,
    documents: Callable[[], Iterable[Document]],
    about: dict[str, Any],
    filters: FilterConfig,
) -> None:
    """Read, screen, render and draw every set, and write what is kept; all files are looked for before any is read.

    Raises UserError where nothing is kept, or with `strict` at the first bad input.
    """
    screens = {one.name: Screen(one.filters, filters) for one in config.datasets}
    for one in config.datasets:
        files_of(one)
    sets = []
    for one in config.datasets:
        screen = screening(screens[one.name], one.licence)
        with quarantine(folder / f"{one.name}.quarantine.jsonl") as keep:
            intake = Intake(one.name, strict, keep)
            read = read_set(one, documents() if one.layout == MADE else (), seed, intake)
            selection = select(
                read, one, config.template, config.context_length, seed, screen, in_order=one.layout == MADE
            )
        sets.append((one, selection, intake))
    kept = [(one.name, each) for one, selection, _ in sets for each in selection.kept]
    counts = {
        one.name: _counts(one, selection, intake) | {"filters": screens[one.name].effects}
        for one, selection, intake in sets
    }
    if not kept:
        raise _nothing_kept(counts, config.context_length)
    write_array(folder / "ids.npy", np.concatenate([each.ids for _, each in kept]))
    write_array(folder / "teaches.npy", np.concatenate([each.teaches for _, each in kept]))
    write_array(folder / "starts.npy", np.cumsum([0, *(len(each.ids) for _, each in kept)]))
    with written_beside(folder / "keys.json") as file:
        file.write(orjson.dumps([f"{name}/{each.key}" for name, each in kept]))
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }
    write_json(folder / "manifest.json", {"form": FORM, **about, "datasets": counts, "files": files})


def _counts(config: InstructionSet, selection: Selection, intake: Intake) -> dict[str, Any]:
    return {
        "layout": config.layout,
        "licence": config.licence,
        **selection.counts(),
        "skipped": dict(sorted(intake.skipped.items())),
        "examples": intake.examples,
    }


def _nothing_kept(counts: dict[str, Any], context_length: int) -> UserError:
    left_out = left_out_of(counts)
    return UserError(
        f"no conversation for instruction tuning ({left_out or 'the sets are empty'})",
        f"at least one of at most {context_length + 1:,} tokens",
        "Raise instruct.context-length, cut what is long (when-long), or choose other sets."
        if TOO_LONG in left_out
        else "Check what the sets hold: instruct.datasets.",
    )


def left_out_of(counts: dict[str, Any]) -> dict[str, int]:
    """Add up, over all sets, what was left out and why."""
    total: dict[str, int] = {}
    for one in counts.values():
        for reason, number in (*one["skipped"].items(), *one["dropped"].items()):
            total[reason] = total.get(reason, 0) + number
        if one["not_drawn"]:
            total["not drawn"] = total.get("not drawn", 0) + one["not_drawn"]
    return total


def open_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of complete tuning data of this form."""
    manifest = read_json(folder / "manifest.json")
    if manifest.get("form") != FORM:
        raise UserError(f"{folder} is in form {manifest.get('form')}", f"form {FORM} of this version of xgen", ANEW)
    return manifest


def open_store(folder: Path, context_length: int) -> Rows:
    """Open the conversations, memory-mapped; every file must be there in its full size."""
    for name, entry in open_manifest(folder)["files"].items():
        path = folder / name
        if not path.exists() or path.stat().st_size != entry["bytes"]:
            raise UserError(f"{path} is missing or cut short", f"the {entry['bytes']:,} bytes that were written", ANEW)
    ids, teaches = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "teaches"))
    names = tuple(orjson.loads((folder / "keys.json").read_bytes()))
    return Rows(context_length, ids, teaches, np.load(folder / "starts.npy"), names)


def damaged(folder: Path) -> Iterator[str]:
    """Name the files whose content is not what was written."""
    for name, entry in open_manifest(folder)["files"].items():
        if not (folder / name).is_file() or sha256_of_file(folder / name) != entry["sha256"]:
            yield name
