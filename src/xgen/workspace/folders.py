"""Where the runs of a recipe lie, and how a model is taken out of one.

<root>/data/<fingerprint>          prepared data, shared by runs
<root>/runs/<recipe>-<fingerprint> a base run
<root>/data/inst-<fingerprint>     tuning data
<root>/runs/<recipe>-inst-<...>    a tuned run; its parent.json names the base run
<root>/.cache                      compiled programs; may be deleted at any time
"""

import datetime
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen import __version__
from xgen.core.errors import UserError, suggest
from xgen.core.ledger import RunFolder
from xgen.recipes.schema import Recipe, data_fingerprint, from_plain, instruct_fingerprint, run_fingerprint, to_plain
from xgen.tokenizer.specials import IDENTITY
from xgen.train.stages import ends_by_name
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Workspace:
    """One recipe at one place: its base run and its tuned run, whether or not they exist yet."""

    root: Path
    recipe: Recipe
    base: Path
    tuned: Path


def workspace_of(target: Target, recipe: Recipe, root: Path) -> Workspace:
    """Find the folders of a recipe with its overrides; a run folder must still be a run of that recipe."""
    identity = run_fingerprint(recipe)
    if target.folder is None:
        base = root / "runs" / f"{recipe.name}-{identity}"
        return Workspace(root, recipe, base, _tuned(base, recipe))
    run = RunFolder.open(target.folder)
    if run_fingerprint(from_plain(run.recipe())) != identity:
        raise UserError(
            f"the overrides make another recipe than that of {target.folder}",
            "the recipe of the folder",
            f"Take them back, or start from the name: xgen ... {recipe.name}",
        )
    parent = run.parent()
    base = target.folder.parent / parent["run"] if parent is not None and "run" in parent else target.folder
    is_same = from_plain(run.recipe()).instruct == recipe.instruct
    return Workspace(root, recipe, base, target.folder if base != target.folder and is_same else _tuned(base, recipe))


def _tuned(base: Path, recipe: Recipe) -> Path:
    return base.parent / f"{recipe.name}-inst-{recipe.instruct.name}-{instruct_fingerprint(recipe, base.name)}"


def open_run(path: Path, recipe: Recipe, parent: dict[str, Any] | None = None) -> RunFolder:
    """Make or reopen a run folder and note this start of a program in it."""
    from xgen.parallel.launch import describe_machine

    run = RunFolder.create(path, to_plain(recipe), parent)
    run.add_environment(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "xgen": __version__,
            "commit": _commit(),
            "command": shlex.join(["xgen", *sys.argv[1:]]),
            **describe_machine(),
        }
    )
    return run


def _commit() -> str:
    """Name the commit of a checkout; an installed package has none."""
    source = Path(__file__).parents[3]
    if not (source / ".git").exists():
        return ""
    found = subprocess.run(
        ["git", "-C", str(source), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def named_checkpoint(workspace: Workspace, choice: str) -> tuple[RunFolder, int]:
    """Find a checkpoint by name: "latest" (tuned if there is a tuned run), "tuned", "base", a stage's, or a length."""
    ends = ends_by_name(workspace.recipe.stages)
    if choice not in ("latest", "tuned", "base", *ends):
        raise UserError(
            f"there is no checkpoint '{choice}'",
            "latest, tuned, base, the name of a stage or a context length",
            suggest(choice, ("latest", "tuned", "base", *ends)),
        )
    tuned_steps, base_steps = _steps(workspace.tuned), _steps(workspace.base)
    if choice == "tuned" or (choice == "latest" and tuned_steps):
        if not tuned_steps:
            raise UserError(
                f"there is no tuned run {workspace.tuned}",
                "a tuned model",
                f"Tune it: xgen instruct {workspace.recipe.name}",
            )
        return RunFolder.open(workspace.tuned), tuned_steps[-1]
    step = ends.get(choice, base_steps[-1] if base_steps else 0)
    if step not in base_steps:
        raise UserError(
            f"{workspace.base} has no checkpoint '{choice}' (steps {base_steps})",
            "a trained model",
            f"Train it: xgen pretrain {workspace.recipe.name}",
        )
    return RunFolder.open(workspace.base), step


def _steps(run: Path) -> list[int]:
    """List the checkpoints of a run without loading what reads them."""
    folder = run / "checkpoints"
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit()) if folder.is_dir() else []


def data_folder(recipe: Recipe, root: Path) -> Path:
    """Name the folder of a recipe's prepared data; all runs with the same data, stages and seed share it."""
    return root / "data" / data_fingerprint(recipe, IDENTITY)
