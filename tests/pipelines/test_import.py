"""Importing holds the model once, and little beside it; what it may be used for is remembered."""

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from export.conftest import proof_of, random_params
from xgen.export.huggingface import Release, read_folder, write_folder
from xgen.model.config import ModelConfig
from xgen.pipelines.export import export
from xgen.pipelines.import_ import import_folder
from xgen.recipes.micro import MICRO
from xgen.workspace.folders import workspace_of
from xgen.workspace.target import resolve

CONFIG = ModelConfig(
    num_layers=3, dim=320, num_heads=4, ffn_dim=640, vocab_size=51_200, norm_eps=1e-6, rope_base=10_000.0, init_std=0.02
)
MEASURED = """
import sys
from pathlib import Path
import jax.numpy as jnp
from xgen.pipelines.import_ import import_folder
from xgen.recipes.catalog import RECIPES

def kept(name):
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024

jnp.zeros(3).block_until_ready()
before = kept("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
import_folder(Path(sys.argv[1]), RECIPES["micro"], Path(sys.argv[2]))
print("peak", kept("VmHWM") - before)
"""


@pytest.mark.parametrize(("name", "instruct"), [("xgen-7b-8k-inst", True), ("xgen-7b-8k-base", False)])
def test_an_imported_instruct_model_is_exported_as_one_for_research_only(tmp_path, name, instruct):
    tiny = dataclasses.replace(CONFIG, num_layers=1, dim=16, num_heads=2, ffn_dim=16)
    params = random_params(tiny)
    write_folder(tmp_path / name, tiny, params, Release(64, "# a model\n", ""), proof_of(params, tiny))
    run = import_folder(tmp_path / name, MICRO, tmp_path)
    target = resolve(str(run.path))
    folder = export(workspace_of(target, target.recipe, tmp_path), "latest", tmp_path / "out", "float32")
    assert ("For research only" in (folder / "README.md").read_text()) is instruct
    assert np.array_equal(read_folder(folder)[1]["q"], params["q"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_the_peak_of_an_import_is_the_model_and_less_than_one_and_a_third_of_its_largest_shard(tmp_path):
    params = random_params(CONFIG)
    release = Release(512, "# a model\n", "", max_shard_bytes=10_000_000)
    write_folder(tmp_path / "model", CONFIG, params, release, proof_of(params, CONFIG, tolerance=0.1))
    shards = [path.stat().st_size for path in (tmp_path / "model").glob("*.safetensors")]
    assert len(shards) > 3
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "model"), str(tmp_path)],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    peak = int(re.findall(r"^peak (\d+)$", found.stdout, flags=re.MULTILINE)[0])
    model = sum(value.nbytes for value in params.values())
    assert model < peak < model + 1.3 * max(shards), f"{peak:,} bytes for a model of {model:,}"
    assert "OCDBT" not in found.stderr
