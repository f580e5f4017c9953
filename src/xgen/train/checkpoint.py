"""Checkpoints of a run: written by Orbax beside and renamed, restored onto any mesh, pruned to those worth keeping."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from orbax.checkpoint import v1 as ocp

from xgen.core.errors import UserError
from xgen.core.ledger import require_space
from xgen.core.progress import say
from xgen.model.params import Abstract, Params
from xgen.train.step import State

CHUNK_BYTES = 16_000_000
"""A writer compresses whole chunks, several at a time."""


class Checkpoints:
    """A folder of checkpoints, named by the steps done: the last ones, and the named ends of stages.

    Saving goes on while training does. `saves` tells of each finished save: step, bytes, seconds in which the loop
    waited, seconds until it was complete. Of several processes, each writes what its devices hold.
    """

    def __init__(self, folder: Path, named_steps: tuple[int, ...] = (), keep_last: int = 2) -> None:
        self.folder = folder.absolute()
        self.saves: list[dict[str, Any]] = []
        self._started: tuple[int, int, float, float] | None = None
        policies = ocp.training.preservation_policies
        keep = policies.AnyPreservationPolicy([policies.LatestN(keep_last), policies.CustomSteps(list(named_steps))])
        every = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
        self._checkpointer = ocp.training.Checkpointer(
            str(self.folder),
            cleanup_tmp_directories=True,
            preservation_policy=keep,  # pyright: ignore[reportArgumentType]  (Orbax names one type in two ways)
            save_decision_policy=every,  # pyright: ignore[reportArgumentType]
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpointer.close()

    def steps(self) -> list[int]:
        """List the steps that have a complete checkpoint."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def save(self, step: int, state: State) -> None:
        """Write the state and wait until it is complete on disk; refuse where the disk cannot hold it."""
        self.begin_save(step, state)
        self.wait()

    def begin_save(self, step: int, state: State) -> None:
        """Take a copy of the state and write it while the caller goes on; an earlier save is waited for."""
        self.wait()
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(_kept(state)))
        require_space(self.folder, int(1.05 * num_bytes))
        begun = time.perf_counter()
        if step in self.steps():  # a damaged one that training went past
            self._checkpointer.delete(step)
        self._checkpointer.save_async(step, _kept(state))
        self._started = (step, num_bytes, begun, time.perf_counter() - begun)

    def note_finished(self) -> None:
        """Remember how long a save took that has ended since the last look."""
        if self._started is not None and not self._checkpointer.is_saving_in_progress():
            step, num_bytes, begun, waited = self._started
            self._started = None
            self.saves.append(
                {
                    "step": step,
                    "bytes": num_bytes,
                    "seconds_waited": round(waited, 3),
                    "seconds": round(time.perf_counter() - begun, 3),
                }
            )

    def wait(self) -> None:
        """Wait until what was begun is complete; an error of the writer arrives here."""
        self._checkpointer.wait()
        self.note_finished()

    def load_newest(self, abstract: State) -> tuple[int, State | None]:
        """Read the newest checkpoint that can be read, and say which ones cannot; (0, None) where there is none."""
        for step in reversed(steps := self.steps()):
            try:
                return step, self.load(step, abstract)
            except UserError as error:
                if step == steps[0]:
                    raise
                say(f"  {error.found}: going back to the one before")
        return 0, None

    def load(self, step: int, abstract: State) -> State:
        """Read a whole state, without what is frozen, into the shapes and places of `abstract`."""
        return State(**self._load(step, _kept(abstract), partial=False))

    def load_params(self, step: int, abstract: Abstract) -> Params:
        """Read the weights alone, without the optimizer's moments."""
        return self._load(step, {"params": abstract}, partial=True)["params"]

    def _load(self, step: int, abstract: dict[str, Any], partial: bool) -> dict[str, Any]:
        context = ocp.Context()
        context.pytree.loading.partial_load = partial
        try:
            with ocp.training.Checkpointer(str(self.folder), context=context) as checkpointer:
                return checkpointer.load(step, abstract)
        except (ValueError, OSError, KeyError) as error:
            earlier = [other for other in self.steps() if other < step]
            then = f"training continues from step {earlier[-1]}" if earlier else "training starts anew"
            raise UserError(
                f"the checkpoint {self.folder / str(step)} cannot be read ({str(error).splitlines()[0][:200]})",
                "a complete checkpoint of this recipe",
                f"It may have been cut short by a copy or a disk: restore it, or delete it and {then}.",
            ) from error


def save_alone(folder: Path, step: int, params: Mapping[str, np.ndarray]) -> None:
    """Write weights that nobody is going to change, in float32 and without moments, and copy none of them.

    A checkpoint of training keeps a copy of what it writes, and the writer a second until all is written together.
    Here each array has files of its own; `Checkpoints` reads both.
    """
    context = ocp.Context()
    context.memory_options.deepcopy_host_arrays = False
    context.array_options.saving.use_ocdbt = False
    context.array_options.saving.storage_options.chunk_byte_size = CHUNK_BYTES
    logging.getLogger("absl").addFilter(_is_news)
    with ocp.training.Checkpointer(str(folder.absolute()), context=context) as checkpointer:
        require_space(folder, int(1.05 * sum(value.nbytes for value in params.values())))
        if step not in [checkpoint.step for checkpoint in checkpointer.checkpoints]:
            checkpointer.save(step, State(dict(params), optax.EmptyState())._asdict())  # pyright: ignore[reportArgumentType]  (arrays of NumPy)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out that there was nothing to merge, which is what was wanted."""
    return "Skipping merge of OCDBT" not in record.getMessage()


def _kept(state: State) -> dict[str, Any]:
    return {"params": state.params, "optimizer": state.optimizer}


def open_checkpoints(folder: Path) -> Checkpoints:
    """Open a folder of checkpoints that must exist, to read from it."""
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist", "the checkpoints of a run", "Train first: xgen pretrain.")
    return Checkpoints(folder, named_steps=())
