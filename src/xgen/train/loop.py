"""The training loop: one for pre-training and tuning, with what to read and where to start given as values."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils

from xgen.core.errors import Stopped, UserError
from xgen.core.ledger import RunFolder
from xgen.core.progress import bar, say
from xgen.core.types import Batch
from xgen.model.config import Compute, Lora, ModelConfig
from xgen.model.lora import frozen_weights, trained_rows
from xgen.model.params import Abstract, Params, abstract
from xgen.parallel.launch import ended_with_the_others, is_first, together
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import Placement, placement_of
from xgen.train.checkpoint import Checkpoints
from xgen.train.config import Execution, OptimizerConfig, SpikeRule
from xgen.train.followers import following
from xgen.train.memory import told_where_memory_ends
from xgen.train.optimizer import make_optimizer
from xgen.train.probe import require_true_attention
from xgen.train.programs import Programs, abstract_batch, compiler_options
from xgen.train.recorder import Recorder, Sent
from xgen.train.schedule import learning_rate
from xgen.train.spikes import UNLIMITED, Detector, is_spike
from xgen.train.stages import Place, Stage, last_steps, num_steps, place_of, steps_every, trained_tokens
from xgen.train.step import State, Step, initial_state, make_step, place, require_divisible, shardings_of
from xgen.train.validation import Validation


@dataclass(frozen=True)
class Job:
    """What is trained: a network, over stages, by an optimizer, in a way of execution."""

    model: ModelConfig
    stages: tuple[Stage, ...]
    optimizer: OptimizerConfig
    compute: Compute
    execution: Execution
    seed: int
    documents_apart: bool = False
    """Whether batches have segments that must not see each other."""
    lora: Lora = field(default_factory=Lora)
    """With a rank, what `start_params` gives is left as it is, and low-rank rows are trained beside it."""


class _Signals:
    """While the block runs, SIGTERM and SIGINT ask for an end after the current step; a second SIGINT insists."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._alone = jax.process_count() == 1
        self._before: dict[int, object] = {}

    def asks(self, step: int) -> bool:
        """Say whether to stop after this step; several processes agree on one, through JAX's own service."""
        return self.received is not None if self._alone else multihost_utils.reached_preemption_sync_point(step)

    def __enter__(self) -> "_Signals":
        if not self._alone:
            return self
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


def train(
    run: RunFolder,
    job: Job,
    batch_at: Callable[[Place], Batch],
    start_params: Callable[[Abstract], Params] | None = None,
    held_out: Callable[[Stage], Batch] | None = None,
) -> None:
    """Train `job` into `run`, from its last checkpoint if there is one, to the end of the plan.

    `batch_at` gives the batch of a place in the plan, and depends on nothing else. `start_params` gives the weights
    to start from, in the shapes and places it is handed; without it they are drawn from the seed. `held_out` gives
    rows of a stage's context that are measured and never trained on. Raises `Stopped` after SIGTERM or SIGINT, with
    everything saved.
    """
    # ---- Machine: mesh, layout, programs ----------------------------------------------------------------------
    placement = _placement(job)
    optimizer = make_optimizer(job.optimizer, job.model, trained_rows(job.model, job.lora))
    shardings = shardings_of(job.model, optimizer, placement, job.lora)
    rows = placement.of("row", "position")
    abstract_state = _abstract_state(job, optimizer, shardings)
    total_steps, total_tokens = num_steps(job.stages), trained_tokens(job.stages)
    ends, rule, measured_every = last_steps(job.stages), job.optimizer.spikes, max(job.execution.validate_every, 1)
    kept = {*ends, *steps_every(job.stages, job.execution.keep_every_tokens)}

    with (
        told_where_memory_ends(job.execution, job.stages),
        Checkpoints(run.checkpoints, tuple(sorted(kept)), job.execution.keep_last) as checkpoints,
        _Signals() as signals,
        ThreadPoolExecutor(1) as ahead,
        ThreadPoolExecutor(2) as background,
        ExitStack() as stack,
    ):
        # ---- Start: restore, or begin ------------------------------------------------------------------------
        if (saved := checkpoints.steps()) and saved[-1] >= total_steps:
            say(f"  {run.path.name}: all {total_steps:,} steps are trained")
            return
        programs = Programs(_compiler(job, optimizer, placement, abstract_state), background)
        validation = None
        if held_out is not None and job.execution.validate_every:
            weights: Abstract = abstract_state.params  # pyright: ignore[reportAssignmentType]  (shapes, not arrays)
            passes = job.execution.micro_batch_tokens
            validation = Validation(job.model, job.compute, passes, placement, held_out, weights, background)

        def prepare(index: int) -> None:
            """Have the programs made of a stage and, while it trains, of the next."""
            for stage in job.stages[index : index + 2]:
                programs.begin(stage)
                if validation is not None:
                    validation.programs.begin(stage)

        prepare(place_of(job.stages, saved[-1] if saved else 0).stage_index)
        require_true_attention(job.compute, job.model.head_dim, job.documents_apart, job.execution.compile_level)
        done, restored = checkpoints.load_newest(abstract_state)
        state = restored or _begin(job, optimizer, shardings, abstract_state, start_params)
        state = state._replace(frozen=_frozen(job, abstract_state, start_params))
        if is_first():
            run.metrics.cut_after(done)
        together("metrics are cut")
        if done:
            say(f"  resuming after step {done:,} of {total_steps:,}")

        # ---- Steps: one is computed while the numbers of the one before are written ------------------------------
        detector = Detector(rule, run.metrics.read())
        followers = stack.enter_context(following(run, job.execution.track, done))
        recorder = Recorder(run, job.model, total_tokens, job.execution.say_every_seconds, followers)
        pending: Sent | None = None
        step = done
        batch = ahead.submit(batch_at, place_of(job.stages, step))
        with ended_with_the_others(), bar("  training", total_tokens) as progress:
            while step < total_steps or pending is not None:
                sent = None
                if step < total_steps:
                    where = place_of(job.stages, step)
                    rate = learning_rate(job.optimizer, where.tokens_before + where.stage.batch_tokens, total_tokens)
                    limits = detector.limits(where.stage.name, step + 1)
                    prepare(where.stage_index)
                    on_device = place(batch.result(), rows)
                    if step + 1 < total_steps:
                        batch = ahead.submit(batch_at, place_of(job.stages, step + 1))
                    used = limits if rule.action == "skip" else UNLIMITED
                    asked = time.perf_counter()
                    step_of = programs.of(where.stage)
                    waited = time.perf_counter() - asked
                    state, numbers = step_of(state, on_device, np.float32(rate), used)
                    sent = Sent(where, rate, limits, numbers, waited)
                    step += 1

                # ---- Look at the step before; before a save or a validation, also at this one ----------------------
                stops = signals.asks(step)
                ended = sent is not None and step in ends
                saves = sent is not None and (step in kept or step % job.execution.checkpoint_every == 0 or stops)
                measuring = validation if sent is not None and (ended or step % measured_every == 0) else None
                at_once = saves or measuring is not None or sent is None
                looked, pending = ([pending, sent], None) if at_once else ([pending], sent)
                for one in filter(None, looked):
                    line = recorder.line_of(one)
                    spiked = is_spike(line["loss"], line["grad_norm"], one.limits)
                    if spiked:
                        line["spike"] = rule.action
                        _speak_of_spike(line, one.limits, rule, detector.in_a_row + 1)
                    if measuring is not None and one is sent and line.get("spike") != "rewind":
                        recorder.validate(line, measuring.loss, state.params, one.where.stage)
                    recorder.write(line)
                    detector.add(line)
                    progress.move_to(line["tokens"], f"stage {line['stage']} loss {line['loss']:.3f}")
                    if spiked and rule.action == "rewind":
                        # What was computed after it is dropped; the plan goes on behind it from the weights before.
                        frozen = state.frozen
                        done, state = _weights_before(
                            checkpoints, abstract_state, line["step"],
                            lambda: _begin(job, optimizer, shardings, abstract_state, start_params),
                        )  # fmt: skip
                        state = state._replace(frozen=frozen)
                        say(f"  weights of step {done:,} go on after step {line['step']:,}")
                        step, pending, saves = line["step"], None, True
                        ended = step in ends
                        if step < total_steps:
                            batch = ahead.submit(batch_at, place_of(job.stages, step))
                        break

                # ---- Save: at intervals, at the end of a stage, when asked to stop ---------------------------------
                checkpoints.note_finished()
                if saves:
                    recorder.sync()
                    checkpoints.begin_save(step, state)
                if ended and is_first():
                    say(_stage_line(run, place_of(job.stages, step - 1).stage))
                if stops and step < total_steps:
                    checkpoints.wait()
                    raise Stopped(
                        signals.received or signal.SIGTERM,
                        f"stopped after step {step:,} of {total_steps:,}; all is saved, and the same command continues",
                    )
        checkpoints.wait()
        if is_first():
            run.write_result("saves", checkpoints.saves)


def _compiler(
    job: Job, optimizer: optax.GradientTransformation, placement: Placement, abstract_state: State
) -> Callable[[Stage], Step]:
    """Build what compiles the step for the batches of a stage."""
    step = make_step(job.model, job.compute, optimizer, job.execution.micro_batch_tokens, placement, job.lora)
    number, where = jax.ShapeDtypeStruct((), jnp.float32), placement.of("row", "position")

    options = compiler_options(job.execution.compile_level)

    def compile_for(stage: Stage) -> Step:
        batch = abstract_batch(stage.rows_per_batch, stage.context_length, where)
        return step.lower(abstract_state, batch, number, UNLIMITED).compile(options)  # pyright: ignore[reportFunctionMemberAccess]

    return compile_for


def _weights_before(
    checkpoints: Checkpoints, abstract_state: State, step: int, begin: Callable[[], State]
) -> tuple[int, State]:
    """Read the last checkpoint before a step, or begin anew."""
    checkpoints.wait()
    earlier = [saved for saved in checkpoints.steps() if saved < step]
    return (earlier[-1], checkpoints.load(earlier[-1], abstract_state)) if earlier else (0, begin())


def _speak_of_spike(line: dict[str, Any], limits: np.ndarray, rule: SpikeRule, in_a_row: int) -> None:
    """Tell a spike, and end the run where going on has no sense."""
    found = f"loss {line['loss']:.4g} and gradient norm {line['grad_norm']:.4g} at step {line['step']:,}"
    say(f"  spike: {found}; limits {limits[0]:.4g} and {limits[1]:.4g}; {rule.action}")
    finite = np.isfinite([line["loss"], line["grad_norm"]]).all()
    if (rule.action == "report" and not finite) or in_a_row > rule.give_up_after:
        raise UserError(
            f"{found}, the spike number {in_a_row} in a row",
            "finite numbers",
            "Lower optimizer.peak-learning-rate, lengthen the warm-up, or set optimizer.spikes.action to skip or "
            "rewind, and start a new run.",
        )


def _placement(job: Job) -> Placement:
    """Lay the devices out as the recipe says, or say why that cannot be."""
    ours = job.execution
    mesh = make_mesh(ours.data_axis, ours.model_axis, ours.fsdp_axis, ours.context_axis)
    placement = placement_of(mesh, ours.layout)
    require_divisible(placement, job.model, job.stages)
    return placement


def _abstract_state(job: Job, optimizer: optax.GradientTransformation, shardings: State) -> State:
    """Describe the state: shapes, types and places."""
    shapes = jax.eval_shape(
        lambda: State(
            params := jax.tree.map(jnp.zeros_like, abstract(job.model, trained_rows(job.model, job.lora))),
            optimizer.init(params),
            jax.tree.map(jnp.zeros_like, frozen_weights(job.model, job.compute.precision)) if job.lora.rank else {},
        )
    )
    return jax.tree.map(
        lambda shape, where: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where), shapes, shardings
    )


def _begin(
    job: Job,
    optimizer: optax.GradientTransformation,
    shardings: State,
    abstract_state: State,
    start_params: Callable[[Abstract], Params] | None,
) -> State:
    """Make the first state: from the seed, or around weights that are given."""
    if start_params is None or job.lora.rank:
        options = compiler_options(job.execution.compile_level)
        return initial_state(job.model, optimizer, job.seed, shardings, job.lora, options)
    params = start_params(abstract_state.params)  # pyright: ignore[reportArgumentType]  (shapes, not arrays)
    return State(params, jax.jit(optimizer.init, out_shardings=shardings.optimizer)(params))


def _frozen(job: Job, abstract_state: State, start_params: Callable[[Abstract], Params] | None) -> Params:
    """Read what low-rank tuning leaves as it is; nothing where all is trained."""
    if not job.lora.rank:
        return {}
    assert start_params is not None, "there is a model to tune"
    return start_params(abstract_state.frozen)  # pyright: ignore[reportArgumentType]  (shapes, not arrays)


def _stage_line(run: RunFolder, stage: Stage) -> str:
    """Tell a stage in one line: how long, how many tokens, from what loss to what."""
    lines = [line for line in run.metrics.read() if line["stage"] == stage.name]
    tenth = max(1, len(lines) // 10)
    first, last = (np.mean([line["loss"] for line in part]) for part in (lines[:tenth], lines[-tenth:]))
    seconds = sum(line["seconds"] for line in lines)
    measured = f"  held-out {lines[-1]['validation_loss']:.3f}" if "validation_loss" in lines[-1] else ""
    return (
        f"  stage {stage.name:<8} context {stage.context_length:>5,}  {stage.trained_tokens:>9,} tokens  "
        f"loss {first:.3f} -> {last:.3f}{measured}  {seconds:.0f} s"
    )
