"""The scripts for accelerators run as far as they can without one, and measure the recipes' own shapes."""

import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from xgen.recipes.catalog import recipe_named

BENCH = Path(__file__).parents[2] / "bench"


def run(script: str, *flags: str) -> str:
    return subprocess.run(
        [sys.executable, str(BENCH / script), *flags], capture_output=True, text=True, check=True, timeout=800
    ).stdout


def test_the_gpu_measures_the_shapes_of_the_recipes():
    spec = spec_from_file_location("train_step_gpu", BENCH / "train_step_gpu.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    for name in ("7b", "1b"):
        assert script.MODELS[name] == recipe_named(f"xgen_{name}").model


@pytest.mark.slow
@pytest.mark.parity
def test_the_script_for_gpus_measures_both_sides_of_a_tiny_network():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    rows = [
        line.split(" | ") for line in run("train_step_gpu.py", "--smoke").splitlines() if line.startswith("| smoke")
    ]
    assert len(rows) == 4
    for row in rows:
        assert float(row[5].replace(",", "")) > 0, row


@pytest.mark.slow
@pytest.mark.skipif(find_spec("libtpu") is None, reason="needs the extra 'plan' (libtpu)")
def test_the_step_compiles_for_tpus_that_are_not_here():
    row = run("compile_tpu.py", "--recipe", "small", "--layers", "1", "--context", "2048", "--batch-tokens", "131072")
    assert "| v4:4x4x4 | 64 | 2,048 |" in row.splitlines()[-1]
