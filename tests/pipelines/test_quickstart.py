"""The whole pipeline on the recipe micro: what a person sees and what lies on the disk."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.runs import STEPS, base_of, metrics_of, tuned_of, xgen
from xgen.core.ledger import read_json

GOLDEN = Path(__file__).parents[1] / "golden" / "micro_losses.json"


def test_a_person_reads_one_line_a_stage_and_at_the_end_where_to_look(finished):
    _, output = finished
    for stage in ("1a", "1b", "2", "instruct"):
        assert f"  stage {stage:<8} context" in output
    assert "logits differ from the model's by" in output
    last = output.strip().splitlines()[-2:]
    assert last[0].split()[:2] == ["the", "report"]
    assert Path(last[0].split()[-1]).is_file()
    assert last[1].strip().startswith("talk to it")
    assert last[1].endswith("chat micro")


def test_the_losses_are_the_golden_ones(finished):
    root, _ = finished
    found = {
        "base": [line["loss"] for line in metrics_of(base_of(root))],
        "tuned": [line["loss"] for line in metrics_of(tuned_of(root))],
    }
    expected = json.loads(GOLDEN.read_text())
    for run, losses in expected.items():
        np.testing.assert_allclose(found[run], losses, atol=1e-3, err_msg=f"{run}: {found[run]}")


def test_tuning_runs_the_program_that_the_last_stages_compiled(finished):
    ended = (base_of(finished[0]) / "report.html").stat().st_mtime  # other tests add programs to this place
    programs = [path for path in (finished[0] / ".cache").glob("jit_step-*-cache") if path.stat().st_mtime <= ended]
    assert len(programs) == 2, "one for each context length"


def test_loss_falls_and_every_step_is_logged_once(finished):
    lines = metrics_of(base_of(finished[0]))
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["tokens"] for line in lines] == [256 * step for step in range(1, STEPS + 1)]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3


def test_every_part_left_its_result(finished):
    base, tuned = base_of(finished[0]), tuned_of(finished[0])
    assert {path.stem for path in (base / "results").iterdir()} == {"data", "perplexity", "samples", "saves", "timings"}
    assert {path.stem for path in (tuned / "results").iterdir()} == {
        "conversations",
        "export",
        "samples",
        "saves",
        "teaching",
    }
    assert read_json(tuned / "parent.json") == {"run": base.name, "step": STEPS}
    stages = read_json(base / "results" / "perplexity.json")["stages"]
    assert [(stage["name"], stage["context_length"]) for stage in stages] == [("1a", 64), ("1b", 128), ("2", 128)]
    page = (base / "report.html").read_text()
    assert page.count("<svg") >= 2
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "")


def test_run_again_it_says_that_all_is_done_and_changes_nothing(finished):
    root, _ = finished
    kept = {path: path.read_bytes() for path in root.glob("runs/*/results/*.json")}
    checkpoints = sorted(root.glob("runs/*/checkpoints/*"))
    output = xgen(root, "quickstart", "micro")
    assert f"all {STEPS} steps are trained" in output
    assert "data    complete" in output
    assert "is there and proven" in output
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(root.glob("runs/*/checkpoints/*")) == checkpoints


@pytest.mark.parity
def test_transformers_loads_the_export_and_agrees(finished):
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from xgen.recipes.micro import MICRO
    from xgen.tokenizer.encoding import encode
    from xgen.workspace.loading import load_folder

    folder = tuned_of(finished[0]) / "huggingface"
    peer, tokenizer = LlamaForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = "def area(width, height):\n    return width * height\n"
    assert tokenizer(text)["input_ids"] == encode(text).tolist()
    ids = encode(text).astype(np.int32)[None]
    with torch.no_grad():
        theirs = torch.log_softmax(peer(torch.tensor(ids, dtype=torch.long)).logits[0], -1).numpy()
    expected = np.take_along_axis(theirs[:-1], ids[0, 1:, None], axis=1)[:, 0]
    np.testing.assert_allclose(load_folder(folder).engine(MICRO).window(ids)[0], expected, atol=1e-4)


def test_an_export_becomes_a_run_that_generates_the_same_and_can_be_exported_again(finished, tmp_path):
    root, _ = finished
    folder = tuned_of(root) / "huggingface"
    xgen(tmp_path, "import", str(folder))
    asked = (
        "--prompt",
        "The tide comes in",
        "--as-text",
        "--sampling.temperature",
        "0",
        "--execution.attention-block",
        "64",
        "--sampling.max-new-tokens",
        "8",
    )
    answers = {
        xgen(tmp_path, "generate", str(target), *asked) for target in (folder, base_of(tmp_path), tuned_of(root))
    }
    assert len(answers) == 1
    assert answers.pop().startswith("The tide comes in")
    xgen(tmp_path, "export", str(base_of(tmp_path)))
    again = base_of(tmp_path) / "huggingface" / "model.safetensors"
    assert again.read_bytes() == (folder / "model.safetensors").read_bytes()
