"""A conversation has the same loss, and pulls the weights the same way, alone in its row and among others."""

import dataclasses

import jax
import numpy as np

from model.networks import FLOAT32, SMALL, on_device, params_of
from tune.test_rows import CONFIG, PACKED, rows_of, talk
from xgen.core.types import Batch
from xgen.model.loss import token_logprobs
from xgen.model.transformer import hidden
from xgen.train.step import make_gradients
from xgen.tune.config import InstructConfig
from xgen.tune.rows import batch_of, placed, plan

MANY = [talk(str(n), "a" + " question" * (n % 3), "an answer" + " and more" * (n % 7)) for n in range(9)]


ROWS = rows_of(MANY, "report", 48)


def batch_in(form: InstructConfig) -> Batch:
    """Make one batch of all, in the vocabulary of the small network."""
    batch = batch_of(ROWS, form, 0, 0, plan(ROWS, form, 0).rows_per_batch)
    small = batch._replace(tokens=batch.tokens % SMALL.vocab_size, targets=batch.targets % SMALL.vocab_size)
    return on_device(small)


def test_a_conversation_and_a_step_have_the_same_loss_and_gradient_in_either_form():
    params, gradients = params_of(), jax.jit(make_gradients(SMALL, FLOAT32, 10_000))

    @jax.jit
    def losses(batch: Batch) -> jax.Array:
        h_BLD = hidden(params, batch.tokens, batch.positions, batch.segments, SMALL, FLOAT32)
        return batch.weights * token_logprobs(h_BLD, params["head"], batch.targets, FLOAT32)

    found = {}
    for form in (CONFIG, PACKED):
        form = dataclasses.replace(form, batch_conversations=9, epochs=1)
        batch = batch_in(form)
        assert (len(batch.tokens) == 9) == (form.rows == "single") and len(batch.tokens) in (9, 3, 4)
        by_place, segments = np.asarray(losses(batch)), np.asarray(batch.segments)
        found[form.rows] = (
            gradients(params, batch),
            {
                number: by_place[b][segments[b] == segment]
                for b, numbers in enumerate(placed(ROWS, form, 0, 0))
                for segment, number in enumerate(numbers)
            },
        )
    (alone_step, alone), (packed_step, packed) = found["single"], found["packed"]
    assert alone.keys() == packed.keys() == set(range(9))
    for number, expected in alone.items():
        assert expected.any()
        np.testing.assert_allclose(packed[number], expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(packed_step), jax.tree.leaves(alone_step), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=3e-6 * float(np.abs(theirs).max()))
