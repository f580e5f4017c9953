"""An engine holds its weights once, in the kind that was asked for, and can do all its work from them."""

import gc

import jax
import numpy as np
import pytest

from model.networks import FLOAT32, params_of
from xgen.model.config import ModelConfig
from xgen.model.params import shape_of, table
from xgen.serve.config import Sampling
from xgen.serve.engine import Engine
from xgen.serve.weights import stored, stored_one_by_one

CONFIG = ModelConfig(
    num_layers=3, dim=64, num_heads=4, ffn_dim=160, vocab_size=2_048, norm_eps=1e-6, rope_base=10_000.0, init_std=0.2
)


def pieces(params):
    """The weights as a folder gives them: one after another, float32."""
    for row in table(CONFIG):
        for layer in range(CONFIG.num_layers) if row.stacked else (None,):
            yield row.name, layer, np.asarray(params[row.name] if layer is None else params[row.name][layer])


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
def test_weights_that_arrive_one_by_one_are_stored_as_those_that_arrive_together(storage):
    params = params_of(CONFIG)
    together, apart = stored(params, CONFIG, storage), stored_one_by_one(pieces(params), CONFIG, storage)
    assert jax.tree.structure(together) == jax.tree.structure(apart)
    for expected, found in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(
            found.astype(np.float32), expected.astype(np.float32), atol=1 if storage == "int8" else 0
        )


def expected_bytes(storage: str) -> int:
    """Bytes of the weights by the table: one or two an element of a matrix, and a scale a row of an int8 one."""
    total = 0
    for row in table(CONFIG):
        shape = shape_of(row, CONFIG)
        if not row.decayed:
            total += 4 * int(np.prod(shape))
        elif storage == "int8" and row.name != "embed":
            total += int(np.prod(shape)) + 4 * int(np.prod(shape[:-1]))
        else:
            total += 2 * int(np.prod(shape))
    return total


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_all_that_is_left_after_scoring_and_generating_is_one_copy_of_the_weights(storage):
    rows = np.arange(60, dtype=np.int32).reshape(2, 30)
    gc.collect()
    before = {id(array) for array in jax.live_arrays()}
    engine = Engine("one", stored_one_by_one(pieces(params_of(CONFIG)), CONFIG, storage), CONFIG, FLOAT32, 64)
    assert np.isfinite(engine.window(rows)).all()
    assert engine.score([([1, 2], [3])])[0].logprob < 0
    [found] = engine.sample([[5, 9, 2]], Sampling(temperature=0.0, top_p=1.0, max_new_tokens=4, seed=0))
    assert len(found.tokens) == 4
    gc.collect()
    held = sum(array.nbytes for array in jax.live_arrays() if id(array) not in before)
    assert 0 <= held - expected_bytes(storage) < 4_096, "more than the weights and a few numbers"
