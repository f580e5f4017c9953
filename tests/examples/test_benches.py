"""The benchmark that waits for a GPU runs at a small size on a CPU, so that it is ready when one is there."""

import re

import pytest

from examples.test_examples import EXAMPLES, run


@pytest.mark.slow
def test_decoding_on_a_gpu_can_be_measured():
    found = run(
        *(EXAMPLES.parent / "bench" / "generate_gpu.py", "--recipe", "micro", "--steps", 4, "--rows", 1, 2),
        *("--places", 64, "--bandwidth-elements", 1 << 20),
    )
    assert re.search(r"^ +int8 request of 64 tokens: \d+\.\d\d s, peak ", found, flags=re.MULTILINE)
    measured = re.findall(r"^ *(int8|bfloat16) +(\d) rows of +64: +[\d.]+ tokens/s, +[\d.]+% of ", found, re.MULTILINE)
    assert measured == [("int8", "1"), ("int8", "2"), ("bfloat16", "1"), ("bfloat16", "2")]
