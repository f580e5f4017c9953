"""Programs of stages: the next one is made while a stage trains, each once, and a failure beside a step is no end."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import pytest
from jax.errors import JaxRuntimeError

from train.test_spikes import STAGES, batch_at, job
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train import loop
from xgen.train.programs import Programs, compiler_options


def test_a_program_is_made_once_and_stages_of_one_shape_share_it():
    made = []
    with ThreadPoolExecutor(2) as background:
        programs = Programs(lambda stage: made.append(stage.name) or stage.name, background)
        for stage in (*STAGES, *STAGES):
            programs.begin(stage)
            assert programs.of(stage) == stage.name
    assert made == ["1a", "1b"]


def test_what_fails_in_the_background_is_tried_again_alone_and_then_tells():
    tries = []

    def compile_for(stage):
        tries.append(stage)
        if len(tries) < needed:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: no room")
        return "made"

    for needed in (2, 3):
        tries.clear()
        with ThreadPoolExecutor(1) as background:
            programs = Programs(compile_for, background)
            if needed == 2:
                assert programs.of(STAGES[0]) == "made"
            else:
                with pytest.raises(JaxRuntimeError, match="no room"):
                    programs.of(STAGES[0])
        assert len(tries) == 2


def test_the_next_stage_is_compiled_while_the_first_one_trains(tmp_path, monkeypatch):
    compiled = []

    class Watched(Programs):
        def __init__(self, compile_for, background):
            super().__init__(lambda stage: compiled.append(stage.name) or compile_for(stage), background)

    def stopping(where):
        if where.step == 3:
            raise KeyboardInterrupt
        return batch_at(1e-3)(where)

    monkeypatch.setattr(loop, "Programs", Watched)
    with pytest.raises(KeyboardInterrupt):
        loop.train(RunFolder.create(tmp_path, {}), job("report"), stopping)
    assert sorted(compiled) == ["1a", "1b"], "the run ended in its first stage"


def test_a_compile_level_is_told_to_the_compiler_of_a_cpu_alone(monkeypatch):
    lowered = jax.jit(lambda x: x * 2 + 1).lower(jnp.ones(3))
    assert lowered.compile(compiler_options(1))(jnp.ones(3)).tolist() == [3, 3, 3], "the compiler knows the option"
    assert compiler_options(1) == {"xla_backend_optimization_level": 1}
    assert compiler_options(3) == {}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler_options(1) == {}
    with pytest.raises(UserError, match="a compile level of 4"):
        dataclasses.replace(job("report").execution, compile_level=4)
