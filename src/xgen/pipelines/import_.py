"""`xgen import`: make a run of a Hugging Face folder, so that it can be tuned, asked and exported again."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked, sha256_of_file
from xgen.core.progress import say
from xgen.export.huggingface import is_tuned, read_folder
from xgen.model.params import count
from xgen.parallel.launch import launch
from xgen.recipes.schema import Recipe, run_fingerprint
from xgen.train.checkpoint import save_alone
from xgen.train.stages import Stage
from xgen.workspace.folders import open_run
from xgen.workspace.target import Target

INSTRUCT = {"inst", "instruct", "chat"}
"""Words by which the name of a folder tells a tuned model; the released ones have no chat template."""


@dataclass(frozen=True)
class Options:
    root: Path = Path()
    """Where runs/ and data/ lie."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Read the folder, without running any code of it, into a run whose plan is done."""
    if target.kind != "huggingface" or target.folder is None:
        raise UserError(f"{target.text} is a {target.kind}", "a Hugging Face folder", "Name a folder with config.json.")
    launch(options.root / ".cache")
    import_folder(target.folder, recipe, options.root)


def import_folder(folder: Path, recipe: Recipe, root: Path) -> RunFolder:
    """Make the run; its one stage stands for training that happened elsewhere, so there are no moments to keep."""
    config, arrays, context_length = read_folder(folder)
    name = re.sub(r"[^A-Za-z0-9_.]+", "_", folder.resolve().name)
    stage = Stage(
        "imported",
        context_length,
        tokens=context_length,
        batch_tokens=context_length,
        mixture=recipe.data.mixtures[0].name,
    )
    imported = replace(recipe, name=name, model=config, stages=(stage,))
    path = root / "runs" / f"{name}-{run_fingerprint(imported)}"
    origin = {
        "huggingface": folder.resolve().name,
        "config_sha256": sha256_of_file(folder / "config.json"),
        "instruct": is_tuned(folder) or bool(INSTRUCT & set(re.split(r"[^a-z]+", folder.resolve().name.lower()))),
    }
    with locked(path):
        run = open_run(path, imported, parent=origin)
        save_alone(run.checkpoints, stage.num_steps, arrays)
    say(f"  {path}: {count(config):,} parameters, context {context_length:,}")
    return run
