"""The loss on held-out rows: true on any mesh, measured at the steps asked for, without a trace in training."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of, params_of
from parallel.test_layouts import OPTIMIZER, on
from train.test_spikes import STAGES, batch_at, job
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train.loop import train
from xgen.train.stages import Stage
from xgen.train.step import loss_of, shardings_of
from xgen.train.validation import Validation


def held_out(stage: Stage):
    return batch_of(5, stage.context_length, seed=99)


@pytest.mark.parametrize("layout", ["data", "all"])
def test_it_is_the_mean_over_the_weighted_tokens_on_any_mesh_and_in_any_passes(layout):
    """Five rows, which no mesh of eight divides."""
    stage, placement = Stage("1a", context_length=16, tokens=16, batch_tokens=16, mixture="m"), on(layout)
    batch = held_out(stage)
    expected = loss_of(params_of(), batch, jnp.asarray(batch.weights), SMALL, FLOAT32) / batch.weights.sum()
    placed = jax.device_put(params_of(), shardings_of(SMALL, OPTIMIZER, placement).params)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), placed)
    with ThreadPoolExecutor(1) as background:
        for micro_batch_tokens in (16, 64):
            measure = Validation(SMALL, FLOAT32, micro_batch_tokens, placement, held_out, shapes, background)
            assert measure.loss(placed, stage) == pytest.approx(float(expected), rel=1e-5)


def trained(folder, **execution) -> RunFolder:
    run, ours = RunFolder.create(folder, {}), job("report")
    ours = dataclasses.replace(ours, execution=dataclasses.replace(ours.execution, **execution))
    train(run, ours, batch_at(1e-3), held_out=held_out)
    return run


def numbers(run: RunFolder) -> list[tuple[float, float]]:
    return [(line["loss"], line["grad_norm"]) for line in run.metrics.read()]


def test_it_stands_in_the_lines_of_its_steps_and_of_stage_ends_and_changes_nothing(tmp_path):
    without, measured = trained(tmp_path / "without"), trained(tmp_path / "with", validate_every=7)
    assert numbers(measured) == numbers(without)
    assert not any("validation_loss" in line for line in without.metrics.read())
    found = {line["step"]: line["validation_loss"] for line in measured.metrics.read() if "validation_loss" in line}
    assert list(found) == [7, STAGES[0].num_steps, 14, 20]
    assert len(set(found.values())) == 4 and np.isfinite(list(found.values())).all()


def test_a_run_that_is_stopped_measures_the_same_again(tmp_path):
    def stopping(where):
        if where.step == 9:
            raise KeyboardInterrupt
        return batch_at(1e-3)(where)

    whole, run, ours = (
        trained(tmp_path / "whole", validate_every=3),
        RunFolder.create(tmp_path / "cut", {}),
        job("report"),
    )
    ours = dataclasses.replace(ours, execution=dataclasses.replace(ours.execution, validate_every=3))
    with pytest.raises(KeyboardInterrupt):
        train(run, ours, stopping, held_out=held_out)
    assert run.metrics.read()[-1]["step"] > 5, "it goes on from a checkpoint that lies before its last line"
    train(run, ours, batch_at(1e-3), held_out=held_out)
    kept = [[line.get("validation_loss") for line in each.metrics.read()] for each in (run, whole)]
    assert kept[0] == kept[1]


def test_counts_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="validate-every and keep-every-tokens may be 0"):
        dataclasses.replace(job("report").execution, validate_every=-1)
