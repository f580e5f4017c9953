"""What a run says to a person while it trains."""

import time

import jax.numpy as jnp
import pytest

from model.networks import SMALL
from train.test_spikes import STAGES
from xgen.core.ledger import RunFolder
from xgen.train.recorder import Recorder, Sent, sentence
from xgen.train.spikes import UNLIMITED
from xgen.train.stages import place_of

LINE = {"step": 1_500, "stage": "1b", "tokens": 400_000, "loss": 5.96349, "tokens_per_second": 2_000.0}


@pytest.mark.parametrize(("total", "left"), [(600_000, "0:01:40"), (200_400_000, "1 day, 3:46:40")])
def test_a_sentence_says_what_is_left_at_this_speed_in_units_that_fit(total, left):
    said = sentence(LINE, total)
    assert said == f"  step 1,500  stage 1b  400,000 of {total:,} tokens  loss 5.963  2,000 tokens/s  {left} left"


def test_a_known_device_adds_its_mfu_in_both_conventions():
    said = sentence(LINE | {"mfu": 0.5231, "mfu_causal": 0.4876}, 600_000)
    assert "2,000 tokens/s, MFU 52.3 % (48.8 % causal)  0:01:40 left" in said


def test_the_time_of_a_validation_is_no_part_of_a_step_and_the_wait_for_a_program_is_told(tmp_path):
    recorder = Recorder(RunFolder.create(tmp_path, {}), SMALL, 1_000, say_every=60.0)
    numbers = {"loss": jnp.float32(3.0), "grad_norm": jnp.float32(1.0)}
    first, second = (
        Sent(place_of(STAGES, step), 1e-3, UNLIMITED, numbers, waited) for step, waited in ((0, 1.5), (1, 0.0))
    )
    line = recorder.line_of(first)
    assert line["compile_seconds"] == 1.5
    recorder.validate(line, lambda value: time.sleep(0.5) or value, 2.5)
    assert line["validation_loss"] == 2.5
    assert line["validation_seconds"] >= 0.5
    after = recorder.line_of(second)
    assert after["seconds"] < 0.4
    assert "compile_seconds" not in after
