"""What a run says to a person while it trains."""

import pytest

from xgen.train.recorder import sentence

LINE = {"step": 1_500, "stage": "1b", "tokens": 400_000, "loss": 5.96349, "tokens_per_second": 2_000.0}


@pytest.mark.parametrize(("total", "left"), [(600_000, "0:01:40"), (200_400_000, "1 day, 3:46:40")])
def test_a_sentence_says_what_is_left_at_this_speed_in_units_that_fit(total, left):
    said = sentence(LINE, total)
    assert said == f"  step 1,500  stage 1b  400,000 of {total:,} tokens  loss 5.963  2,000 tokens/s  {left} left"


def test_a_known_device_adds_its_mfu_in_both_conventions():
    said = sentence(LINE | {"mfu": 0.5231, "mfu_causal": 0.4876}, 600_000)
    assert "2,000 tokens/s, MFU 52.3 % (48.8 % causal)  0:01:40 left" in said
