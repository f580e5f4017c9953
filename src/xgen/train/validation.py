"""The loss on held-out rows, measured while a run trains: at intervals, and where a stage ends."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xgen.core.types import Batch
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Abstract, Params
from xgen.parallel.rules import Placement
from xgen.train.programs import Programs, abstract_batch
from xgen.train.stages import Stage
from xgen.train.step import loss_of, place


class Validation:
    """Mean cross-entropy (nats per token) of the same held-out rows each time, cut to the context of a stage.

    `held_out` gives the rows of a stage as one batch. It is read in passes of as many tokens a device as a training
    step's, and changes nothing: neither weights, nor the order of training.
    """

    def __init__(
        self,
        model: ModelConfig,
        compute: Compute,
        micro_batch_tokens: int,
        placement: Placement,
        held_out: Callable[[Stage], Batch],
        params: Abstract,
        background: Executor,
    ) -> None:
        parts, splits = placement.parts("row"), placement.parts("position")
        compute = dataclasses.replace(compute, loss_chunk=compute.loss_chunk * parts * splits)
        self._held_out, self._where = held_out, placement.of("row", "position")
        self._rows_of = lambda stage: parts * max(1, micro_batch_tokens * splits // stage.context_length)

        @jax.jit
        def validation(params: Params, batch: Batch) -> jax.Array:
            return loss_of(params, batch, jnp.asarray(batch.weights), model, compute, placement)

        def compile_for(stage: Stage) -> Callable[[Params, Batch], jax.Array]:
            batch = abstract_batch(self._rows_of(stage), stage.context_length, self._where)
            return validation.lower(params, batch).compile()

        self.programs = Programs(compile_for, background)

    def loss(self, params: Params, stage: Stage) -> float:
        """Measure the weights; rows that fill up the last pass have no weight."""
        batch, rows, program = self._held_out(stage), self._rows_of(stage), self.programs.of(stage)
        sums = []
        for first in range(0, len(batch.tokens), rows):
            part = jax.tree.map(partial(_filled, first=first, rows=rows), batch)
            sums.append(program(params, place(part, self._where)))
        return float(np.sum([np.float64(one) for one in sums]) / np.sum(batch.weights, dtype=np.float64))


def _filled(array: np.ndarray, first: int, rows: int) -> np.ndarray:
    """Take some rows of an array, and zeros where it has no more."""
    part = array[first : first + rows]
    return np.concatenate([part, np.zeros((rows - len(part), *part.shape[1:]), part.dtype)])
