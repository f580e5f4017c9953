"""The training loop: one for pre-training and tuning, with what to read and where to start given as values."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xgen.core.errors import Stopped, UserError
from xgen.core.ledger import RunFolder
from xgen.core.progress import bar, say
from xgen.core.types import Batch
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Abstract, Params, abstract
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import layout_named, sharding
from xgen.train.checkpoint import Checkpoints
from xgen.train.config import Execution, OptimizerConfig
from xgen.train.optimizer import make_optimizer
from xgen.train.schedule import learning_rate
from xgen.train.stages import Place, Stage, last_steps, num_steps, place_of, trained_tokens
from xgen.train.step import State, initial_state, make_step, place, shardings_of


@dataclass(frozen=True)
class Job:
    """What is trained: a network, over stages, by an optimizer, in a way of execution."""

    model: ModelConfig
    stages: tuple[Stage, ...]
    optimizer: OptimizerConfig
    compute: Compute
    execution: Execution
    seed: int


class _Signals:
    """While the block runs, SIGTERM and SIGINT ask for an end after the current step; a second SIGINT insists."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number


class _Recorder:
    """Writes a step's numbers when they arrive, one step behind the devices, so that these never wait for us."""

    def __init__(self, run: RunFolder, job: Job) -> None:
        self._run, self._job = run, job
        self._pending: tuple[Place, float, dict[str, jax.Array]] | None = None
        self._last_arrival = time.perf_counter()
        self.last_line: dict = {}

    def add(self, where: Place, rate: float, numbers: dict[str, jax.Array]) -> None:
        self.flush()
        self._pending = (where, rate, numbers)

    def flush(self) -> None:
        """Wait for the pending step and write its line; a loss that is no number stops the run unwritten."""
        if self._pending is None:
            return
        where, rate, numbers = self._pending
        self._pending = None
        loss, grad_norm = (float(numbers[name]) for name in ("loss", "grad_norm"))
        if not np.isfinite([loss, grad_norm]).all():
            raise UserError(
                f"loss {loss} and gradient norm {grad_norm} at step {where.step + 1}",
                "finite numbers",
                "Lower optimizer.peak-learning-rate or lengthen the warm-up, and start a new run.",
            )
        seconds = time.perf_counter() - self._last_arrival
        self._last_arrival += seconds
        self.last_line = {
            "step": where.step + 1,
            "stage": where.stage.name,
            "tokens": where.tokens_before + where.stage.batch_tokens,
            "loss": loss,
            "grad_norm": grad_norm,
            "learning_rate": rate,
            "seconds": round(seconds, 4),
            "tokens_per_second": round(where.stage.batch_tokens / seconds, 1),
        }
        self._run.metrics.append(self.last_line)


def train(
    run: RunFolder,
    job: Job,
    batch_at: Callable[[Place], Batch],
    start_params: Callable[[Abstract], Params] | None = None,
) -> None:
    """Train `job` into `run`, from its last checkpoint if there is one, to the end of the plan.

    `batch_at` gives the batch of a place in the plan, and depends on nothing else. `start_params` gives the weights
    to start from, in the shapes and places it is handed; without it they are drawn from the seed. Raises `Stopped`
    after SIGTERM or SIGINT, with everything saved.
    """
    # ---- Machine: mesh, layout, compiled step -----------------------------------------------------------------
    mesh = make_mesh(job.execution.data_axis, job.execution.model_axis)
    layout = layout_named(job.execution.layout)
    optimizer = make_optimizer(job.optimizer, job.model)
    shardings = shardings_of(job.model, optimizer, mesh, layout)
    rows = sharding(mesh, layout, ("row", "position"))
    step_of = make_step(job.model, job.compute, optimizer, job.execution.micro_batch_tokens, shardings)
    total_steps, total_tokens = num_steps(job.stages), trained_tokens(job.stages)
    named = last_steps(job.stages)

    with Checkpoints(run.checkpoints, named) as checkpoints, _Signals() as signals:
        # ---- Start: restore, or begin ------------------------------------------------------------------------
        saved = checkpoints.steps()
        done = saved[-1] if saved else 0
        if done >= total_steps:
            say(f"  {run.path.name}: all {total_steps:,} steps are trained")
            return
        state = _restore_or_begin(checkpoints, done, job, optimizer, shardings, start_params)
        run.metrics.cut_after(done)
        if done:
            say(f"  resuming after step {done:,} of {total_steps:,}")

        # ---- Steps --------------------------------------------------------------------------------------------
        recorder = _Recorder(run, job)
        with bar("  training", total_tokens) as progress:
            for step in range(done, total_steps):
                where = place_of(job.stages, step)
                tokens = where.tokens_before + where.stage.batch_tokens
                rate = learning_rate(job.optimizer, tokens, total_tokens)
                state, numbers = step_of(state, place(batch_at(where), rows), jnp.float32(rate))
                recorder.add(where, rate, numbers)
                progress.move_to(
                    where.tokens_before,
                    f"stage {where.stage.name} loss {recorder.last_line.get('loss', float('nan')):.3f}",
                )

                # ---- Save: at intervals, at the end of a stage, when asked to stop -----------------------------
                ended = step + 1 in named
                if ended or (step + 1) % job.execution.checkpoint_every == 0 or signals.received:
                    recorder.flush()
                    run.metrics.sync()
                    checkpoints.save(step + 1, state)
                if ended:
                    say(_stage_line(run, where.stage))
                if signals.received:
                    raise Stopped(
                        signals.received,
                        f"stopped after step {step + 1:,} of {total_steps:,}; "
                        "all is saved, and the same command continues",
                    )


def _restore_or_begin(
    checkpoints: Checkpoints,
    done: int,
    job: Job,
    optimizer: optax.GradientTransformation,
    shardings: State,
    start_params: Callable[[Abstract], Params] | None,
) -> State:
    shapes = jax.eval_shape(
        lambda: State(params := jax.tree.map(jnp.zeros_like, abstract(job.model)), optimizer.init(params))
    )
    placed = jax.tree.map(
        lambda shape, where: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where), shapes, shardings
    )
    if done:
        return checkpoints.load(done, placed)
    if start_params is None:
        return initial_state(job.model, optimizer, job.seed, shardings)
    params = start_params(placed.params)
    return State(params, jax.jit(optimizer.init, out_shardings=shardings.optimizer)(params))


def _stage_line(run: RunFolder, stage: Stage) -> str:
    """Tell a stage in one line: how long, how many tokens, from what loss to what."""
    lines = [line for line in run.metrics.read() if line["stage"] == stage.name]
    tenth = max(1, len(lines) // 10)
    first, last = (np.mean([line["loss"] for line in part]) for part in (lines[:tenth], lines[-tenth:]))
    seconds = sum(line["seconds"] for line in lines)
    return (
        f"  stage {stage.name:<8} context {stage.context_length:>5,}  {stage.trained_tokens:>9,} tokens  "
        f"loss {first:.3f} -> {last:.3f}  {seconds:.0f} s"
    )
