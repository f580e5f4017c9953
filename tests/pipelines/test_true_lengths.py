"""A model of about a million parameters, trained at the lengths of the report on a CPU."""

import os
import sysconfig
from pathlib import Path

import pytest

from pipelines.runs import base_of, metrics_of, start
from xgen.core.ledger import read_json
from xgen.model.params import count
from xgen.recipes.schema import from_plain

BATCH = "8192"
OVERRIDES = {
    "model.num-layers": "2", "model.dim": "10", "model.num-heads": "1", "model.ffn-dim": "28",
    "data.held-out-documents": "6", "execution.attention-block": "1024", "execution.loss-chunk": "1024",
    "execution.micro-batch-tokens": BATCH, "execution.checkpoint-every": "8", "optimizer.warmup-tokens": "16384",
    "optimizer.peak-learning-rate": "1e-2",
    **{f"stages.{stage}.context-length": length for stage, length in enumerate(("2048", "4096", "8192"))},
    **{f"stages.{stage}.batch-tokens": BATCH for stage in range(3)},
    **{f"stages.{stage}.tokens": str(8 * 8192) for stage in range(3)},
    **{f"data.sources.{source}.reader": "files" for source in range(2)},
}  # fmt: skip


def write_long_documents(folder: Path, half: int) -> None:
    """Join every other module of the standard library into documents of some 10,000 tokens and more."""
    folder.mkdir()
    text, number = "", 0
    for module in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[half::2]:
        text += module.read_text(encoding="utf-8", errors="replace")
        if len(text) > 60_000:
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
            text, number = "", number + 1
    assert number > 16


@pytest.mark.slow
def test_a_million_parameters_learn_at_2048_4096_and_8192_tokens_in_bounded_memory(tmp_path):
    for half, source in enumerate(("prose", "code")):
        write_long_documents(tmp_path / source, half)
    arguments = [f"--{name}={value}" for name, value in OVERRIDES.items()]
    places = [f"--data.sources.{n}.location={tmp_path / source}" for n, source in enumerate(("prose", "code"))]
    process = start(tmp_path, "pretrain", "micro", *arguments, *places)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, output
    run = base_of(tmp_path)
    assert 0.9e6 < count(from_plain(read_json(run / "recipe.json")).model) < 1.2e6
    lines = metrics_of(run)
    by_stage = [[line["loss"] for line in lines if line["stage"] == stage] for stage in ("1a", "1b", "2")]
    assert [len(losses) for losses in by_stage] == [8, 8, 8]
    first, last = by_stage[0][0], sum(by_stage[-1][-4:]) / 4
    assert last < first - 1.0, f"{first} -> {last}"
    logits_of_a_row = 8192 * 51_200 * 4
    assert usage.ru_maxrss * 1024 < 1.5 * logits_of_a_row, f"{usage.ru_maxrss} KiB: are the logits of a row there?"
