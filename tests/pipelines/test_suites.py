"""A suite from the command line: results beside the report's rows, a failure told, nothing asked twice."""

import json
from pathlib import Path

import pytest

from evals.folders import write_small
from xgen import cli
from xgen.core.ledger import read_json

ROWS = [
    {
        "id": f"own-{number}",
        "question": {
            "stem": f"What follows {number}?",
            "choices": [{"text": str(number + at), "label": label} for at, label in enumerate("ABCD")],
        },
        "answerKey": "B",
    }
    for number in range(6)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Give a place for results, a Hugging Face folder and a folder of questions."""
    root = tmp_path_factory.mktemp("suites")
    data = root / "questions"
    data.mkdir()
    (data / "ARC-Challenge-Test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return root, write_small(root / "small", 256), data


def evaluate(place: tuple[Path, Path, Path], *more: str) -> int:
    root, folder, data = place
    return cli.main(["evaluate", str(folder), "--root", str(root), "--data", str(data), *more])


def test_a_suite_is_judged_printed_kept_and_not_asked_again(place, capsys):
    assert evaluate(place, "--suite", "arc_challenge,piqa") == 0
    shown = capsys.readouterr().out
    assert "not measured: no file below" in shown, "PIQA has no file, and the rest goes on"
    assert "Table 6 of the report" in shown
    lines = [line for line in shown.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| small (measured)") for line in lines)
    assert any(line.startswith("| XGen-7B") and " 41.2 |" in line for line in lines)
    (folder,) = (place[0] / "evaluations").iterdir()
    result = read_json(folder / "arc_challenge.json")
    assert result["scores"]["acc"]["count"] == 6 and result["scores"]["acc_norm"]["chance"] == 0.25
    assert result["asked"]["candidate"]["weights"] == "float32" and "sha256" in result["asked"]["origin"]
    answered = (folder / "arc_challenge.jsonl").stat().st_mtime_ns
    assert evaluate(place, "--suite", "arc_challenge") == 0
    assert (folder / "arc_challenge.jsonl").stat().st_mtime_ns == answered


def test_an_unknown_task_and_a_missing_model_are_one_sentence(place, capsys):
    assert evaluate(place, "--suite", "arc_chalenge") == 2
    assert "Did you mean 'arc_challenge'?" in capsys.readouterr().err
    assert cli.main(["evaluate", str(place[2]), "--suite", "base", "--root", str(place[0])]) == 2
    assert "neither a run" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_the_peer_judges_the_same_folder_in_a_folder_of_its_own(place, capsys):
    assert evaluate(place, "--suite", "arc_challenge", "--engine", "transformers") == 0
    assert evaluate(place, "--suite", "arc_challenge", "--precision", "float32") == 0
    theirs, ours = sorted((place[0] / "evaluations").iterdir(), key=lambda path: "transformers" not in path.name)
    for one, other in zip(
        (theirs / "arc_challenge.jsonl").read_text().splitlines()[1:],
        (ours / "arc_challenge.jsonl").read_text().splitlines()[1:],
        strict=True,
    ):
        first, second = json.loads(one), json.loads(other)
        assert first["logprobs"] == pytest.approx(second["logprobs"], abs=2e-3)
        assert first["prompts"] == second["prompts"]
