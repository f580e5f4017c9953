"""What lies under examples/ runs: the notebook's cells, and the scripts as a user starts them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import proof_of, random_params
from xgen.export.huggingface import Release, write_folder
from xgen.model.config import ModelConfig
from xgen.tokenizer.encoding import encode

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = ModelConfig(1, 32, 2, 64, 51_200, 1e-6, 10_000.0, 0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "model"
    params = random_params(CONFIG)
    params["head"][50_256:] = -np.abs(params["head"][50_256:])
    write_folder(folder, CONFIG, params, Release(512, "# a model\n", "report"), proof_of(params, CONFIG))
    return folder


def run(*arguments: object) -> str:
    found = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


@pytest.mark.parity
def test_the_cells_of_the_notebook_run_without_a_gpu_and_answer_its_four_requests(folder, tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "document.txt").write_text("The tide comes in twice a day. <|endoftext|> " * 20)
    notebook = json.loads((EXAMPLES / "serve_on_16_gb.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells), "a notebook is kept without what it once printed"
    space: dict[str, Any] = {}
    for cell in cells:
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", ()):
            names = set(re.findall(r"^(\w+) =", source, flags=re.MULTILINE))
            space |= {"MODEL": str(folder), "DOCUMENT": str(tmp_path / "document.txt"), "NEW_TOKENS": 8}
            assert names == space.keys()
        else:
            exec(compile(source, "notebook", "exec"), space)
    assert list(space["answers"]) == ["summary", "question", "list", "table"]
    assert all(isinstance(answer, str) for answer in space["answers"].values()) and any(space["answers"].values())
    assert space["ids_of"]("a <|endoftext|>") == encode("a <|endoftext|>").tolist(), "text writes no control token"
    with pytest.raises(ValueError, match="do not fit into 512"):
        space["ask"]("Why?", "word " * 600)


def test_a_model_in_a_folder_is_asked(folder):
    found = run(EXAMPLES / "ask_a_model.py", folder, "--weights", "int8", "--new-tokens", 8)
    assert re.search(r"^log p\(' width \* height'\) = -\d+\.\d\d$", found, flags=re.MULTILINE)
    assert len(re.findall(r"^sample \d \((?:stop|length)\): ", found, flags=re.MULTILINE)) == 2
    assert re.search(r"^greedy: \d tokens, the same with prompt lookup in \d passes$", found, flags=re.MULTILINE)


def test_seven_billion_parameters_with_8k_of_context_fit_where_the_report_says():
    found = run(EXAMPLES / "memory_of_serving.py")
    rows = {line.split()[0]: [float(number) for number in line.split()[1:]] for line in found.splitlines()[2:]}
    assert found.startswith("xgen_7b, one row of 8,192 tokens")
    alone, sixteen, eight = (dict(zip(rows, column, strict=True)) for column in zip(*rows.values(), strict=True))
    assert alone["bfloat16"] == pytest.approx(12.84, abs=0.02) and sixteen["bfloat16"] > 16
    assert sixteen["int8"] < 15
    assert sixteen["Q4_K_M"] < 8 and eight["Q4_K_M"] < 6.2
