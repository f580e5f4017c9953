"""How a run is optimized and executed: values, free of JAX."""

from dataclasses import dataclass
from typing import Literal

from xgen.core.errors import UserError
from xgen.model.config import Remat


@dataclass(frozen=True)
class SpikeRule:
    """What a loss spike is and what is done about it (section 3, "Loss spikes"; docs/decisions/0020)."""

    action: Literal["report", "skip", "rewind"] = "report"
    """"report" notes it and goes on (a loss that is no number ends the run); "skip" leaves weights and moments as they
    were; "rewind" returns to the checkpoint before, and leaves out the batches between."""
    window: int = 128
    """Steps before, in the same stage, that a step is compared with."""
    min_history: int = 32
    """Steps of a stage that are needed before anything counts as a spike."""
    deviations: float = 6.0
    """Robust standard deviations above the median, of loss or gradient norm, that make a spike."""
    give_up_after: int = 20
    """Spikes in a row that end the run: something else is wrong."""

    def __post_init__(self) -> None:
        if not 4 <= self.min_history <= self.window or self.deviations <= 0 or self.give_up_after < 1:
            raise UserError(
                f"a rule for spikes of {self}", "4 <= min_history <= window, positive numbers", "Check the rule."
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay, both in tokens over the whole plan (section 3; LLaMA's values)."""

    peak_learning_rate: float
    final_fraction: float
    """The learning rate at the end of the plan, as a fraction of the peak."""
    warmup_tokens: int
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    """Decoupled, on matrices only; norms are never decayed, also where layers are stacked."""
    clip_norm: float
    """Largest global norm of a gradient; 0 leaves gradients as they are."""
    spikes: SpikeRule = SpikeRule()

    def __post_init__(self) -> None:
        if self.peak_learning_rate <= 0 or not 0 <= self.final_fraction <= 1:
            raise UserError(
                f"learning rate {self.peak_learning_rate} falling to {self.final_fraction} of it",
                "a positive rate and a fraction between 0 and 1",
                "Check the optimizer's values.",
            )
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1) or self.epsilon <= 0 or self.clip_norm < 0:
            raise UserError(
                f"beta1 {self.beta1}, beta2 {self.beta2}, epsilon {self.epsilon}, clip {self.clip_norm}",
                "betas in [0, 1), a positive epsilon, a clip of at least 0",
                "Check the optimizer.",
            )
        if self.warmup_tokens < 0 or self.weight_decay < 0:
            raise UserError(
                f"warmup_tokens {self.warmup_tokens}, weight_decay {self.weight_decay}",
                "values of at least 0",
                "Check the optimizer's values.",
            )


@dataclass(frozen=True)
class Execution:
    """How the same arithmetic is carried out on this machine; no part of a run's identity."""

    attention: str
    """An entry of ATTENTIONS in model/variants.py: "definition" (whole L x L tensor), "blockwise" (memory linear in
    the length), or a kernel of one kind of device."""
    attention_block: int
    """Queries that blockwise attention handles at a time."""
    loss_chunk: int
    """Tokens whose logits exist at a time on a device."""
    micro_batch_tokens: int
    """Tokens in one forward and backward pass of a device; a batch is accumulated in float32 from whole passes."""
    remat: Remat
    """What each layer computes again in the backward pass instead of keeping it: "none", "full" (all but its input),
    "attention" (all but its input and what its heads read), "dots" (all but results of matrix products)."""
    checkpoint_every: int
    """Steps between checkpoints; each stage also ends with one, which is kept."""
    compile_level: int = 3
    """XLA's effort on a CPU, 0 to 3. Level 1 compiles a step in two thirds of the time, and a step of 2,048 tokens then
    takes a third longer (docs/log.md): for runs of seconds."""
    keep_last: int = 2
    """Checkpoints that are kept, besides those of stages."""
    keep_every_tokens: int = 0
    """Tokens after which one more checkpoint is kept for good; 0 keeps those of stages alone."""
    say_every_seconds: float = 60.0
    """Seconds between lines of progress."""
    validate_every: int = 0
    """Steps between two measurements of the loss on held-out documents, also where a stage ends; 0 for none at all."""
    validation_documents: int = 64
    """Held-out documents that it is measured on, each cut to the context of the stage."""
    track: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Who follows metrics.jsonl besides; they need the extra `track`."""
    data_axis: int = 1
    """Devices that hold the same weights and read different rows."""
    fsdp_axis: int = 1
    """Devices that read different rows and hold parts of weights and moments."""
    context_axis: int = 1
    """Devices that share the positions of a row."""
    model_axis: int = 1
    """Devices that share heads, feed-forward and vocabulary."""
    layout: str = "data_and_model"
    """An entry of parallel/rules.py."""

    def __post_init__(self) -> None:
        counts = (self.attention_block, self.loss_chunk, self.micro_batch_tokens, self.checkpoint_every, self.keep_last)
        if min(*counts, self.validation_documents) < 1 or min(self.validate_every, self.keep_every_tokens) < 0:
            raise UserError(
                f"a way of execution with a count that is too small ({self})",
                "positive counts; validate-every and keep-every-tokens may be 0",
                "Check the values of execution.",
            )
        if not 0 <= self.compile_level <= 3:
            raise UserError(f"a compile level of {self.compile_level}", "0 to 3", "Set execution.compile-level.")
