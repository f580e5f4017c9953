"""Tuning as a user does it: looked at first, packed, low-rank, killed; what is exported is what was trained."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from pipelines.runs import assert_same_run, base_of, share_compiled_programs, state_of, tuned_of, xgen
from pipelines.test_kill import kill_when

QUESTIONS = [
    {"instruction": f"Count to {n}.", "input": "", "output": " ".join(map(str, range(n)))} for n in range(1, 25)
]
CHATS = [
    {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": f"Hello {n}."}]} for n in range(6)
] + [{"conversations": [{"from": "gpt", "value": "alone"}]}]
PACKED = ["--instruct.rows", "packed", "--instruct.batch-conversations", "12", "--execution.checkpoint-every", "1"]
LOW_RANK = [*PACKED, "--instruct.lora.rank", "2", "--instruct.lora.matrices", "q", "down"]


def place_of(folder: Path, finished: Path) -> Path:
    """Make a place with a finished base model and a set of conversations."""
    place = share_compiled_programs(folder, finished / ".cache")
    (place / "runs").mkdir()
    (place / "runs" / base_of(finished).name).symlink_to(base_of(finished))
    (place / "tuning").mkdir()
    (place / "tuning" / "wizardlm.json").write_text(json.dumps(QUESTIONS + CHATS))
    return place


@pytest.fixture
def root(finished, tmp_path):
    return place_of(tmp_path / "place", finished[0])


def tune(root: Path, *arguments: str) -> list[str]:
    location = ["--instruct.datasets.0.location", str(root / "tuning" / "wizardlm.json")]
    return ["instruct", f"{base_of(root)}+wizardlm", *location, *arguments]


def test_show_prints_what_teaches_and_counts_what_does_not_and_trains_nothing(root):
    output = xgen(root, *tune(root, "--show", "2"))
    shown = [line for line in output.splitlines() if line.startswith("### Human:")]
    assert len(shown) == 2
    for line in shown:
        asked, _, taught = line.partition("⟦")
        assert asked.endswith("### Assistant:") and taught.endswith("<|endoftext|>⟧")
    assert "left out: no human turn" in output
    assert [path.name for path in (root / "runs").iterdir()] == [base_of(root).name], "no run was made"
    audit = ["audit", *tune(root)[1:], "--verify"]
    output = xgen(root, *audit)
    assert "left out: no human turn" in output and "are what was written" in output
    ids = root / "data" / next((root / "data").glob("inst-*")).name / "ids.npy"
    ids.write_bytes(ids.read_bytes()[:-1] + b"\xff")
    assert "ids.npy has changed since it was written" in xgen(root, *audit, code=2)


def test_a_base_model_of_another_tokenizer_is_refused(root, finished):
    base = base_of(root)
    base.unlink()
    (base / "results").mkdir(parents=True)
    for path in base_of(finished[0]).iterdir():
        if path.name != "results":
            (base / path.name).symlink_to(path)
    (base / "results" / "data.json").write_text('{"tokenizer": "another"}')
    assert "on ids of the tokenizer another" in xgen(root, *tune(root), code=2)


@pytest.mark.slow
@pytest.mark.parity
def test_a_low_rank_model_is_exported_merged_and_transformers_gives_its_logits(root):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    output = xgen(root, *tune(root, *LOW_RANK))
    assert "% of their positions filled" in output and "tokens of conversations a second" in output
    tuned = tuned_of(root)
    names = {name for name in state_of(tuned) if "'params'" in name}
    assert names == {f"['params']['{matrix}.{part}']" for matrix in ("q", "down") for part in "ab"}
    assert "logits differ from the model's by" in xgen(root, "export", str(tuned))
    model = transformers.AutoModelForCausalLM.from_pretrained(tuned / "huggingface")
    ids = torch.tensor([[21017, 5524, 25, 2764, 284, 1511, 13, 44386, 15286, 25]])
    with torch.no_grad():
        found = model(ids).logits.numpy()
    np.testing.assert_allclose(found, logits_of(root, tuned, ids.numpy()), atol=1e-4)
    base = state_of(base_of(root))["['params']['q']"]
    merged = model.model.layers[0].self_attn.q_proj.weight.detach().numpy()
    assert 0 < np.abs(merged - base[0]).max() < 0.1
    np.testing.assert_array_equal(model.lm_head.weight.detach().numpy(), state_of(base_of(root))["['params']['head']"])


def logits_of(root: Path, tuned: Path, ids: np.ndarray) -> np.ndarray:
    """Ask our own network, with the low-rank rows beside the base model as they were trained."""
    import jax.numpy as jnp

    from xgen.core.ledger import RunFolder
    from xgen.model.lora import adapted
    from xgen.model.transformer import forward
    from xgen.recipes.schema import from_plain

    def params_of(run: Path) -> dict[str, jnp.ndarray]:
        found = {name: value for name, value in state_of(run).items() if name.startswith("['params']")}
        return {name[len("['params']['") : -2]: jnp.asarray(value) for name, value in found.items()}

    recipe = from_plain(RunFolder.open(tuned).recipe())
    weights = adapted(params_of(tuned), params_of(base_of(root)), recipe.instruct.lora)
    return np.asarray(forward(weights, jnp.asarray(ids, jnp.int32), recipe.model, recipe.compute))


@pytest.mark.slow
@pytest.mark.parametrize("how", [PACKED, LOW_RANK], ids=["packed", "low-rank"])
def test_tuning_that_was_killed_ends_as_one_that_never_was_whatever_became_of_its_files(root, finished, tmp_path, how):
    how = [*how, "--instruct.epochs", "3"]
    whole = place_of(tmp_path / "whole", finished[0])
    xgen(whole, *tune(whole, *how))
    steps = len((tuned_of(whole) / "metrics.jsonl").read_text().splitlines())

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in root.glob("runs/*-inst-*/metrics.jsonl"))

    for after in (1, steps // 2, steps - 1):
        kill_when(root, lambda after=after: lines() >= after, signal.SIGKILL, *tune(root, *how))
        (root / "tuning" / "wizardlm.json").write_text("[]")
    xgen(root, *tune(root, *how))
    assert_same_run(tuned_of(root), tuned_of(whole))
