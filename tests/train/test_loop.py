"""The loop as a whole: it goes on from what can be read, keeps what the rule says, and gives up where it must."""

import dataclasses
import gc

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from train.test_spikes import RULE, batch_at, job, trained
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train.loop import train

# Orbax drops the tasks of a load that failed, and they complain when they are collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Sharding info not provided"),
]
ORDINARY = batch_at(1e-3)


def stopped_at(step: int):
    def batch(where):
        if where.step == step:
            raise KeyboardInterrupt
        return ORDINARY(where)

    return batch


def saved(run: RunFolder) -> list[int]:
    return sorted(int(path.name) for path in run.checkpoints.iterdir())


def damage(run: RunFolder, step: int) -> None:
    """Cut the largest file of a checkpoint in two."""
    data = max((run.checkpoints / str(step)).rglob("d/*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


def last_state(run: RunFolder) -> list[np.ndarray]:
    with ocp.training.Checkpointer(str(run.checkpoints)) as checkpoints:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(checkpoints.load(saved(run)[-1]))]


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_line_and_the_end_is_the_same(tmp_path, capsys):
    whole, run = trained(tmp_path / "whole", "report", 1e-3), RunFolder.create(tmp_path / "cut", {})
    with pytest.raises(KeyboardInterrupt):
        train(run, job("report"), stopped_at(18))
    assert saved(run) == [12, 15]
    damage(run, 15)
    capsys.readouterr()
    train(run, job("report"), ORDINARY)
    said = " ".join(capsys.readouterr().out.split())
    assert f"the checkpoint {run.checkpoints / '15'} cannot be read" in said
    assert "going back to the one before resuming after step 12 of 20" in said
    lines = [[(line["step"], line["loss"]) for line in each.metrics.read()] for each in (run, whole)]
    assert lines[0] == lines[1]
    for ours, expected in zip(last_state(run), last_state(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert saved(run) == saved(whole) == [12, 15, 20], "also 15, anew"
    saves = run.read_result("saves")
    assert [one["step"] for one in saves] == [15, 20]
    assert all(one["bytes"] > 10_000 and one["seconds"] >= one["seconds_waited"] > 0 for one in saves)
    gc.collect()


def test_where_no_checkpoint_can_be_read_the_run_ends_and_never_begins_anew(tmp_path):
    run = RunFolder.create(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        train(run, job("report"), stopped_at(13))
    before = run.metrics.path.read_bytes()
    for step in saved(run):
        damage(run, step)
    with pytest.raises(UserError, match=r"checkpoints/10 cannot be read"):
        train(run, job("report"), ORDINARY)
    assert run.metrics.path.read_bytes() == before
    gc.collect()


def test_checkpoints_by_tokens_stay_beside_the_last_and_those_of_stages(tmp_path):
    ours = job("report")
    ours = dataclasses.replace(ours, execution=dataclasses.replace(ours.execution, keep_every_tokens=100, keep_last=1))
    train(run := RunFolder.create(tmp_path, {}), ours, ORDINARY)
    assert saved(run) == [4, 7, 10, 12, 13, 16, 19, 20]


def test_spikes_without_end_end_the_run(tmp_path):
    """Batches that give no number, from the third on."""

    def poisoned(where):
        batch = ORDINARY(where)
        return batch._replace(weights=np.full_like(batch.weights, np.nan)) if where.step >= 2 else batch

    ours = job("skip")
    rule = dataclasses.replace(RULE, action="skip", give_up_after=3)
    ours = dataclasses.replace(ours, optimizer=dataclasses.replace(ours.optimizer, spikes=rule))
    run = RunFolder.create(tmp_path, {})
    with pytest.raises(UserError, match="at step 6, the spike number 4 in a row"):
        train(run, ours, poisoned)
    assert [line["step"] for line in run.metrics.read() if "spike" in line] == [3, 4, 5]
