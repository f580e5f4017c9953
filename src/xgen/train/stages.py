"""The stages of a run: how long the rows are, how many tokens are read, from which mixture (section 3)."""

from dataclasses import dataclass

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one context length.

    `tokens` is the budget as stated; it is rounded to whole batches (`num_steps`), and what is trained is
    `trained_tokens`. A batch is stated in tokens, so that it stays constant while the rows grow.
    """

    name: str
    context_length: int
    tokens: int
    batch_tokens: int
    mixture: str

    def __post_init__(self) -> None:
        if min(self.context_length, self.tokens, self.batch_tokens) < 1:
            raise UserError(
                f"stage '{self.name}' with a count below one ({self})",
                "positive counts",
                "Check context-length, tokens and batch-tokens.",
            )
        if self.batch_tokens % self.context_length:
            whole = max(1, round(self.batch_tokens / self.context_length)) * self.context_length
            raise UserError(
                f"stage '{self.name}' has batch_tokens {self.batch_tokens:,}, context_length {self.context_length:,}",
                "a batch of whole rows",
                f"Set batch-tokens to {whole:,}, a multiple of the context length.",
            )

    @property
    def rows_per_batch(self) -> int:
        return self.batch_tokens // self.context_length

    @property
    def num_steps(self) -> int:
        return max(1, round(self.tokens / self.batch_tokens))

    @property
    def num_rows(self) -> int:
        return self.num_steps * self.rows_per_batch

    @property
    def trained_tokens(self) -> int:
        return self.num_steps * self.batch_tokens


@dataclass(frozen=True)
class Place:
    """Where a step lies in the plan: `step` counts from 0 over all stages, `step_in_stage` within its own."""

    stage: Stage
    stage_index: int
    step: int
    step_in_stage: int
    tokens_before: int


def num_steps(stages: tuple[Stage, ...]) -> int:
    """Count the steps of the whole plan."""
    return sum(stage.num_steps for stage in stages)


def trained_tokens(stages: tuple[Stage, ...]) -> int:
    """Count the tokens of the whole plan, after rounding to whole batches."""
    return sum(stage.trained_tokens for stage in stages)


def place_of(stages: tuple[Stage, ...], step: int) -> Place:
    """Find the stage that step number `step` (from 0) belongs to; a pure function, so resume is one integer."""
    first, tokens = 0, 0
    for index, stage in enumerate(stages):
        if step < first + stage.num_steps:
            inside = step - first
            return Place(stage, index, step, inside, tokens + inside * stage.batch_tokens)
        first, tokens = first + stage.num_steps, tokens + stage.trained_tokens
    raise IndexError(f"step {step} of a plan of {first} steps")


def last_steps(stages: tuple[Stage, ...]) -> tuple[int, ...]:
    """Give, for each stage, how many steps are done when it ends: its named checkpoint."""
    ends, done = [], 0
    for stage in stages:
        done += stage.num_steps
        ends.append(done)
    return tuple(ends)


def ends_by_name(stages: tuple[Stage, ...]) -> dict[str, int]:
    """Name the ends of stages, as steps done: by the stage, and the last of a length by that, as "4K" or "512"."""
    ends = dict(zip(stages, last_steps(stages), strict=True))
    by_length = {_length(stage.context_length): end for stage, end in ends.items()}
    return by_length | {stage.name: end for stage, end in ends.items()}


def _length(tokens: int) -> str:
    return f"{tokens // 1_024}K" if tokens % 1_024 == 0 else str(tokens)


def plan_lines(stages: tuple[Stage, ...]) -> list[str]:
    """Tell the rule by which budgets are rounded, and what it makes of each."""
    width = max(len(stage.name) for stage in stages)
    return [
        "  a stage trains the whole number of batches that is nearest to its budget, one at least:",
        *(
            f"  stage {stage.name:<{width}}  context {stage.context_length:>6,}  {stage.tokens:,} tokens in batches of "
            f"{stage.batch_tokens:,}: {stage.num_steps:,} steps, {stage.trained_tokens:,} tokens "
            f"({stage.trained_tokens - stage.tokens:+,})"
            for stage in stages
        ),
    ]


def steps_every(stages: tuple[Stage, ...], tokens: int) -> tuple[int, ...]:
    """Give the numbers of done steps at which another `tokens` tokens have been trained; none for 0."""
    if not tokens:
        return ()
    marks, done, seen = [], 0, 0
    for stage in stages:
        for mark in range(seen // tokens + 1, (seen + stage.trained_tokens) // tokens + 1):
            marks.append(done - (seen - mark * tokens) // stage.batch_tokens)
        done, seen = done + stage.num_steps, seen + stage.trained_tokens
    return tuple(sorted(set(marks)))
