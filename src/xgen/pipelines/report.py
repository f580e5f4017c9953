"""`xgen report`: write the page of a run from its folder alone."""

from dataclasses import dataclass
from pathlib import Path

from xgen.core.ledger import RunFolder
from xgen.core.progress import say
from xgen.recipes.schema import Recipe
from xgen.report.build import write
from xgen.workspace.folders import workspace_of
from xgen.workspace.target import Target, require_runnable


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""


def run(target: Target, recipe: Recipe, options: Options) -> Path:
    """Write the page; parts that have not run yet say so."""
    require_runnable(target, "report")
    workspace = workspace_of(target, recipe, options.root)
    tuned = RunFolder.open(workspace.tuned) if workspace.tuned.is_dir() else None
    page = write(RunFolder.open(workspace.base), tuned)
    say(f"  report: {page}")
    return page
