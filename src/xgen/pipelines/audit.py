"""`xgen audit`: what prepared data holds and whether it is still what was written; damage is repaired from the rest."""

from dataclasses import dataclass
from pathlib import Path

from xgen.core.errors import UserError
from xgen.core.ledger import read_json, sha256_of_file
from xgen.core.progress import print_table, say, track
from xgen.data.audit import TABLES
from xgen.data.composition import group_tables, read_audit
from xgen.data.shards import completed_by, is_complete, open_manifest
from xgen.pieces.plan import read_plan, refuse_changed_inputs
from xgen.pipelines.instruct import instruct_folder
from xgen.pipelines.prepare import prepare
from xgen.recipes.schema import Recipe
from xgen.report import prepared
from xgen.tune import audit as tune_audit
from xgen.tune import store
from xgen.tune.store import is_written
from xgen.workspace.folders import data_folder
from xgen.workspace.target import Target, require_runnable


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    page: bool = False
    """Write audit.html into the folder: what came in, what stayed, and what went and why, with pictures."""
    verify: bool = False
    """Read every file, compare its checksum, and make a damaged or missing one again, and only it."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Print the tables of the data that a recipe, a run or a folder of prepared data names, then of its tuning data."""
    require_runnable(target, "audit")
    folder = target.folder if target.kind == "data" and target.folder else data_folder(recipe, options.root)
    tuning = instruct_folder(recipe, options.root)
    if is_complete(folder) or not is_written(tuning):
        _audit(folder, recipe, options)
    if target.kind != "data" and is_written(tuning):
        _audit_tuning(tuning, options.verify)


def _audit(folder: Path, recipe: Recipe, options: Options) -> None:
    manifest = open_manifest(folder)
    if options.verify:
        if damaged := damaged_files(folder):
            repair(folder, recipe, damaged)
        say(f"audit   {len(manifest['files'])} files in {folder} are what was written")
    for table in (*(make(manifest) for make in TABLES), *group_tables(read_audit(folder))):
        print_table(*table)
    if options.page:
        say(f"audit   {prepared.write(folder)}")


def _audit_tuning(folder: Path, verify: bool) -> None:
    """Print the tables of tuning data; what they came from may be gone, so damage is told and not repaired."""
    manifest = store.open_manifest(folder)
    for table in tune_audit.TABLES:
        print_table(*table(manifest))
    if verify:
        if found := list(store.damaged(folder)):
            raise UserError(f"{folder / found[0]} has changed since it was written", "what was written", store.ANEW)
        say(f"audit   {len(manifest['files'])} files in {folder} are what was written")


def damaged_files(folder: Path) -> list[str]:
    """Name the files that are missing or whose content is not what was written."""
    files = open_manifest(folder)["files"]
    return [
        name
        for name in track(sorted(files), "reading every file", len(files))
        if not (folder / name).is_file()
        or (folder / name).stat().st_size != files[name]["bytes"]
        or sha256_of_file(folder / name) != files[name]["sha256"]
    ]


def repair(folder: Path, recipe: Recipe, damaged: list[str]) -> None:
    """Make damaged files again from what is whole; afterwards every file has the checksum that it had before.

    A piece is made from its input again, which must be what it was. A snapshot is what nothing else holds: UserError,
    and nothing is touched, where one is damaged.
    """
    for name in damaged:
        say(f"  damaged: {folder / name}")
    if lost := [name for name in damaged if name.startswith("snapshot/")]:
        raise UserError(
            f"{folder / lost[0]} has changed since it was written, and it is the only copy of what was read",
            "the bytes that its checksum names",
            "Restore it from a backup, or delete the folder and run xgen prepare again.",
        )
    if folder.resolve() != data_folder(recipe, folder.parent.parent).resolve():
        raise UserError(
            f"{folder} is not where this version prepares the data of its recipe",
            "a folder data/<fingerprint>, unmoved",
            "Move it back, or repair it with the version that wrote it.",
        )
    before = read_json(folder / "manifest.json")["files"]
    if any(name.startswith("pieces/") for name in damaged) and "plan.json" not in damaged:
        refuse_changed_inputs(folder, read_plan(folder), recipe.data.sources, recipe.data.filters)
    for name in damaged:
        (folder / name).unlink(missing_ok=True)
        (folder / completed_by(name)).unlink(missing_ok=True)
    (folder / "manifest.json").unlink()
    again = prepare(recipe, folder.parent.parent).manifest["files"]
    if again != before:
        changed = sorted(name for name in before if again.get(name) != before[name])
        raise UserError(
            f"{changed[0]} was made again with another content than before",
            "the bytes that the manifest named",
            "Another version of xgen wrote this folder: delete it and run xgen prepare again.",
        )
