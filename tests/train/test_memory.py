"""Out of memory is one sentence that names what helps, and only what may."""

import dataclasses

import jax.numpy as jnp
import pytest
from jax.errors import JaxRuntimeError

from train.test_spikes import STAGES, batch_at, job
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train.loop import train
from xgen.train.memory import remedies, told_where_memory_ends


def test_a_run_that_does_not_fit_says_what_to_change(tmp_path):
    """The device itself refuses: 281 TB."""
    with pytest.raises(UserError) as told:
        train(
            RunFolder.create(tmp_path, {}),
            job("report"),
            batch_at(1e-3),
            start_params=lambda abstract: {"q": jnp.zeros(1 << 46)},
        )
    said = str(told.value)
    assert "the memory of 8 x cpu is exhausted (RESOURCE_EXHAUSTED: Out of memory allocating 281474976710656" in said
    assert "lower execution.micro-batch-tokens from 64 to 16, one row; set execution.remat full" in said


def test_only_what_may_still_help_is_named_the_cheapest_first():
    execution = dataclasses.replace(job("report").execution, micro_batch_tokens=16, remat="full", loss_chunk=4_096)
    found = remedies(execution, STAGES)
    assert [one.split()[1] for one in found[:2]] == ["execution.loss-chunk", "weights"]
    assert not any("remat" in one or "micro-batch" in one for one in found)


def test_other_errors_of_a_device_pass_as_they_are():
    with pytest.raises(JaxRuntimeError, match="INTERNAL"), told_where_memory_ends(job("report").execution, STAGES):
        raise JaxRuntimeError("INTERNAL: something else")
