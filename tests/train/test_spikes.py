"""Loss spikes: a poisoned batch changes nothing, a new stage is none, and a resumed run decides as the first did."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of
from train.test_step import CONFIG
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train.checkpoint import Checkpoints
from xgen.train.config import Execution, SpikeRule
from xgen.train.loop import Job, train
from xgen.train.spikes import UNLIMITED, Detector, is_spike, limit_of
from xgen.train.stages import Stage, steps_every

RULE = SpikeRule(window=16, min_history=4, deviations=6.0)
STAGES = (
    Stage("1a", context_length=8, tokens=12 * 32, batch_tokens=32, mixture="m"),
    Stage("1b", context_length=16, tokens=8 * 32, batch_tokens=32, mixture="m"),
)
POISONED = 7  # from 0


def job(action: str) -> Job:
    execution = Execution(
        attention="blockwise",
        attention_block=16,
        loss_chunk=64,
        micro_batch_tokens=64,
        remat="none",
        checkpoint_every=5,
    )
    rule = dataclasses.replace(RULE, action=action)
    # Clipping would hide from the weights what the poison does to the gradient.
    optimizer = dataclasses.replace(CONFIG, peak_learning_rate=1e-3, spikes=rule)
    return Job(SMALL, STAGES, optimizer, FLOAT32, execution, seed=0)


def batch_at(poison: float):
    """Batches of ordinary weights but for one: `poison` as its weights, or for 1.0 weights that nearly cancel."""

    def batch(where):
        found = batch_of(where.stage.rows_per_batch, where.stage.context_length, seed=where.step)
        weights = np.ones_like(found.weights)
        if where.step == POISONED:
            weights[:] = poison
            weights[1] = -0.999 * poison
            weights[2:] = 0
        return found._replace(weights=weights)

    return batch


def trained(folder: Path, action: str, poison: float):
    run = RunFolder.create(folder, {})
    train(run, job(action), batch_at(poison))
    return run


def is_nan_free(run: RunFolder) -> bool:
    import jax
    from orbax.checkpoint import v1 as ocp

    with ocp.training.Checkpointer(str(run.checkpoints)) as saved:
        leaves = [leaf for one in saved.checkpoints for leaf in jax.tree.leaves(saved.load(one.step))]
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)


pytestmark = pytest.mark.filterwarnings("ignore:Sharding info not provided")


def test_a_batch_that_gives_no_number_is_skipped_and_never_reaches_a_checkpoint(tmp_path):
    run = trained(tmp_path / "a", "skip", np.nan)
    lines = run.metrics.read()
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert [line["step"] for line in lines if "spike" in line] == [POISONED + 1]
    assert is_nan_free(run)


def test_a_batch_with_a_huge_gradient_is_skipped_and_only_reported_otherwise(tmp_path):
    skipped, reported = (trained(tmp_path / action, action, 1.0).metrics.read() for action in ("skip", "report"))
    for lines in (skipped, reported):
        assert [line["step"] for line in lines if "spike" in line] == [POISONED + 1]
    assert skipped[POISONED]["grad_norm"] == reported[POISONED]["grad_norm"] > 10 * reported[0]["grad_norm"]
    assert skipped[POISONED + 1]["loss"] != reported[POISONED + 1]["loss"]


def test_without_an_action_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path):
    with pytest.raises(UserError, match="loss nan and gradient norm nan at step 8"):
        trained(tmp_path / "a", "report", np.nan)
    run = RunFolder(tmp_path / "a")
    assert run.metrics.read()[-1]["step"] == POISONED
    assert is_nan_free(run)


def test_rewinding_goes_on_behind_the_batch_with_the_weights_of_the_checkpoint_before(tmp_path):
    run = trained(tmp_path / "a", "rewind", np.nan)
    lines = run.metrics.read()
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert [line.get("spike") for line in lines if line["step"] == POISONED + 1] == ["rewind"]
    assert is_nan_free(run)


@pytest.mark.parametrize("action", ["skip", "rewind"])
def test_a_run_that_stops_around_a_spike_decides_as_one_that_does_not(tmp_path, action, monkeypatch):
    whole = trained(tmp_path / "whole", action, np.nan)
    for stop in (POISONED, POISONED + 1):
        folder = tmp_path / f"stopped {stop}"
        begin = Checkpoints.begin_save

        def stopping(self, step, state, stop=stop, begin=begin):
            begin(self, step, state)
            self.wait()
            if step >= stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "begin_save", stopping)
            with pytest.raises(KeyboardInterrupt):
                trained(folder, action, np.nan)
        found = trained(folder, action, np.nan).metrics.read()
        assert [line["loss"] for line in found if line["step"] != POISONED + 1] == [
            line["loss"] for line in whole.metrics.read() if line["step"] != POISONED + 1
        ]


def line(step, loss, stage="1a", **more):
    return {"step": step, "stage": stage, "loss": loss, "grad_norm": 1.0, **more}


def test_a_rise_at_a_new_stage_is_no_spike_and_the_same_rise_within_one_is():
    before = [line(step, 2.0 + 0.01 * (step % 3)) for step in range(1, 11)]
    within = Detector(RULE, before).limits("1a", 11)
    assert is_spike(3.0, 1.0, within)
    assert not is_spike(2.1, 1.0, within)
    assert not is_spike(3.0, 1.0, Detector(RULE, before).limits("1b", 11))
    changed = Detector(RULE, [*before, line(11, 3.0, "1b")])
    assert changed.limits("1b", 12) is UNLIMITED


def test_a_spike_is_no_part_of_what_later_steps_are_compared_with():
    lines = [line(step, 2.0 + step / 10) for step in range(1, 11)]
    with_spike = [*lines[:6], line(7, 900.0, spike="skip"), *lines[7:]]
    without = [each["loss"] for each in lines if each["step"] != 7]
    assert Detector(RULE, with_spike).limits("1a", 12)[0] == np.float32(limit_of(without, 6.0))


def test_limits_do_not_know_the_step_before():
    lines = [line(step, 2.0 + step / 10) for step in range(1, 11)]
    np.testing.assert_array_equal(Detector(RULE, lines).limits("1a", 11), Detector(RULE, lines[:-1]).limits("1a", 11))


def test_checkpoints_by_tokens_stand_where_each_multiple_is_passed():
    for every in (33, 100, 320):
        marks = steps_every(STAGES, every)
        expected = [step for step in range(1, 21) if step * 32 // every > (step - 1) * 32 // every]
        assert list(marks) == expected
