"""Start xgen as a user does, in a process of its own; compare two runs bit for bit."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from orbax.checkpoint import v1 as ocp

from xgen.recipes.micro import MICRO
from xgen.train.stages import num_steps

STEPS = num_steps(MICRO.stages)
WALL_CLOCK = ("seconds", "tokens_per_second", "mfu", "mfu_causal", "compile_seconds", "validation_seconds")


def environment() -> dict[str, str]:
    """What a user has: one device, and the allocator as the command line settles it."""
    return {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}


def start(root: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "xgen.cli", *arguments, "--root", str(root)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def xgen(root: Path, *arguments: str, code: int = 0) -> str:
    """Run a verb to its end and return what it printed."""
    process = start(root, *arguments)
    output, _ = process.communicate()
    assert process.returncode == code, output
    return output


def share_compiled_programs(root: Path, compiled: Path) -> Path:
    """Let a new place reuse the programs that another run compiled: half a minute less a test."""
    root.mkdir(parents=True, exist_ok=True)
    (root / ".cache").symlink_to(compiled)
    return root


def only(paths) -> Path:
    found = list(paths)
    assert len(found) == 1, found
    return found[0]


def base_of(root: Path) -> Path:
    return only(path for path in (root / "runs").iterdir() if "-inst-" not in path.name)


def tuned_of(root: Path) -> Path:
    return only((root / "runs").glob("*-inst-*"))


def metrics_of(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in WALL_CLOCK} for line in lines]


def state_of(run: Path) -> dict[str, np.ndarray]:
    """All arrays of the last checkpoint: weights, moments and counters."""
    import jax

    with warnings.catch_warnings(action="ignore"), ocp.training.Checkpointer(str(run / "checkpoints")) as checkpointer:
        step = max(checkpoint.step for checkpoint in checkpointer.checkpoints)
        leaves = jax.tree_util.tree_leaves_with_path(checkpointer.load(step))
    return {"step": np.array(step)} | {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_run(one: Path, other: Path) -> None:
    """Compare metrics (wall-clock fields aside) and every bit of the last state."""
    assert metrics_of(one) == metrics_of(other)
    ours, theirs = state_of(one), state_of(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name
