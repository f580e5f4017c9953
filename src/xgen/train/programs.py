"""The compiled programs of a run's stages: the next stage's is made while the current stage still trains."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from jax.errors import JaxRuntimeError
from jax.sharding import NamedSharding

from xgen.core.types import Batch
from xgen.train.stages import Stage

T = TypeVar("T")


class Programs(Generic[T]):
    """One program for each shape of batch; stages of one shape share it."""

    def __init__(self, compile_for: Callable[[Stage], T], background: Executor) -> None:
        self._compile_for, self._background = compile_for, background
        self._begun: dict[tuple[int, int], Future[T]] = {}

    def begin(self, stage: Stage) -> None:
        """Have the program of a stage made in the background, unless that has begun."""
        shape = (stage.rows_per_batch, stage.context_length)
        if shape not in self._begun:
            self._begun[shape] = self._background.submit(self._compile_for, stage)

    def of(self, stage: Stage) -> T:
        """Give the program of a stage, and wait for it where it is not ready."""
        self.begin(stage)
        begun = self._begun[stage.rows_per_batch, stage.context_length]
        try:
            return begun.result()
        except JaxRuntimeError:
            return self._compile_for(stage)  # what found no room beside a running step may find it alone


def compiler_options(compile_level: int) -> dict[str, Any]:
    """Say what a compiler is told besides its program; devices other than a CPU have levels of their own."""
    asked = compile_level != 3 and jax.default_backend() == "cpu"
    return {"xla_backend_optimization_level": compile_level} if asked else {}


def abstract_batch(rows: int, length: int, where: NamedSharding) -> Batch:
    """Describe a batch: shapes, types and places."""
    ids = jax.ShapeDtypeStruct((rows, length), jnp.int32, sharding=where)
    weights = jax.ShapeDtypeStruct((rows, length), jnp.float32, sharding=where)
    return Batch(ids, ids, weights, ids, ids)  # pyright: ignore[reportArgumentType]  (shapes, not arrays)
