"""Checkpoints by name: a stage, or the context whose last stage ends there."""

import shutil

import pytest

from pipelines.runs import base_of
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.pipelines.evaluate import evaluate
from xgen.recipes.micro import MICRO
from xgen.workspace.folders import named_checkpoint, workspace_of
from xgen.workspace.target import resolve


def test_a_checkpoint_has_the_name_of_its_context_too(finished):
    root, _ = finished
    workspace = workspace_of(resolve("micro"), MICRO, root)
    steps = {name: named_checkpoint(workspace, name)[1] for name in ("1a", "64", "1b", "128", "2")}
    assert steps == {"1a": 8, "64": 8, "1b": 14, "128": 18, "2": 18}
    with pytest.raises(UserError, match="there is no checkpoint '4K'"):
        named_checkpoint(workspace, "4K")


def test_one_stage_can_be_measured_alone(finished, tmp_path):
    root, _ = finished
    shutil.copytree(root / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("perplexity.json"))
    (tmp_path / "data").symlink_to(root / "data")
    workspace = workspace_of(resolve("micro"), MICRO, tmp_path)
    for name in ("128", "64"):
        run = evaluate(workspace, name)
    found = [run.read_result("perplexity") for run in (run, RunFolder.open(base_of(root)))]
    assert [stage["name"] for stage in found[0]["stages"]] == ["1a", "2"], "in the order of the plan"
    for ours, expected in zip(found[0]["stages"], found[1]["stages"][::2], strict=True):
        assert ours["overall"]["nll"] == pytest.approx(expected["overall"]["nll"], rel=1e-5)
    with pytest.raises(UserError, match="'tuned' is no end of a stage"):
        evaluate(workspace, "tuned")
