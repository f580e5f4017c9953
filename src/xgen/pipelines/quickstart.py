"""`xgen quickstart`: the whole pipeline of the report, one part after the other; each continues where it was."""

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xgen.core.ledger import RunFolder
from xgen.core.progress import say
from xgen.pipelines import report
from xgen.pipelines.evaluate import evaluate
from xgen.pipelines.export import export
from xgen.pipelines.instruct import instruct
from xgen.pipelines.prepare import prepare
from xgen.pipelines.pretrain import pretrain
from xgen.recipes.schema import Recipe
from xgen.workspace.folders import Workspace, workspace_of
from xgen.workspace.samples import sample
from xgen.workspace.target import Target, require_runnable


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""
    strict: bool = False
    """While preparing data: stop at the first record that cannot be read, instead of counting and skipping it."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Run every part, keep how long each took, and end with where to look and what to try."""
    require_runnable(target, "quickstart")
    workspace = workspace_of(target, recipe, options.root)
    parts: dict[str, Callable[[], object]] = {
        "prepare": lambda: prepare(recipe, options.root, options.strict),
        "pretrain": lambda: pretrain(workspace, options.strict),
        "evaluate": lambda: evaluate(workspace),
        "instruct": lambda: instruct(workspace, options.strict),
        "samples": lambda: sample(workspace),
        "export": lambda: _export_once(workspace),
    }
    spent: dict[str, float] = {}
    for name, part in parts.items():
        started = time.monotonic()
        part()
        spent[name] = time.monotonic() - started
    _keep_timings(RunFolder.open(workspace.base), spent)
    page = report.run(target, recipe, report.Options(options.root))
    say(
        f"\nDone in {sum(spent.values()):.0f} s, {_peak_gigabytes():.2f} GB of memory at most.\n"
        f"  the report   {page.absolute()}\n  talk to it   {_xgen()} chat {target.text}"
    )


def _export_once(workspace: Workspace) -> None:
    done = RunFolder.open(workspace.tuned).read_result("export")
    if done is not None and Path(done["folder"]).is_dir():
        say(f"export {workspace.tuned.name}: {done['folder']} is there and proven")
        return
    export(workspace, "tuned", Path(), "float32")


def _keep_timings(run: RunFolder, spent: dict[str, float]) -> None:
    """Keep how long each part took in the start that ended the pipeline; a later look at it changes nothing."""
    if run.read_result("timings") is None:
        parts = {name: round(seconds, 2) for name, seconds in spent.items()}
        run.write_result("timings", parts | {"peak_memory_gb": _peak_gigabytes()})


def _xgen() -> str:
    """Name this program as the user can type it, with its folder where that is not on the path."""
    return "xgen" if shutil.which("xgen") else os.path.relpath(Path(sys.executable).with_name("xgen"))


def _peak_gigabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2)
