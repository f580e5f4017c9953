"""`xgen import`: make a run of a Hugging Face folder, so that it can be tuned, asked and exported again."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import optax

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder, locked, sha256_of_file
from xgen.core.progress import say
from xgen.export.huggingface import read_folder
from xgen.model.params import count
from xgen.parallel.launch import launch
from xgen.recipes.schema import Recipe, run_fingerprint
from xgen.train.checkpoint import Checkpoints
from xgen.train.stages import Stage
from xgen.train.step import State
from xgen.workspace.folders import open_run
from xgen.workspace.target import Target


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
    origin = {"huggingface": folder.resolve().name, "config_sha256": sha256_of_file(folder / "config.json")}
    with locked(path):
        run = open_run(path, imported, parent=origin)
        params = {key: jnp.asarray(value) for key, value in arrays.items()}
        with Checkpoints(run.checkpoints) as checkpoints:
            if stage.num_steps not in checkpoints.steps():
                checkpoints.save(stage.num_steps, State(params, optax.EmptyState()))
    say(f"  {path}: {count(config):,} parameters, context {context_length:,}")
    return run
