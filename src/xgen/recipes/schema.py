"""What a recipe is: one frozen value that describes a whole run, its text and its fingerprint."""

import dataclasses
from typing import Any, Literal

import cattrs

from xgen.core.errors import UserError
from xgen.core.ledger import fingerprint
from xgen.data.config import DataConfig
from xgen.model.config import Compute, ModelConfig, Precision
from xgen.serve.config import Sampling
from xgen.train.config import Execution, OptimizerConfig
from xgen.train.stages import Stage
from xgen.tune.config import InstructConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A whole run. `execution` is how it is carried out and no part of its identity."""

    name: str
    seed: int
    model: ModelConfig
    data: DataConfig
    stages: tuple[Stage, ...]
    optimizer: OptimizerConfig
    precision: Precision
    instruct: InstructConfig
    sampling: Sampling
    execution: Execution
    documents: Literal["together", "apart"] = "together"
    """Whether the documents of a row see each other, as in the report, or are kept apart."""

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) != len(names):
            raise UserError(f"stages named {names}", "at least one stage, names that differ", "Rename the stages.")
        for stage in self.stages:
            self.data.mixture(stage.mixture)
        lengths = [stage.context_length for stage in self.stages]
        if lengths != sorted(lengths):
            raise UserError(f"context lengths {lengths}", "stages of growing context", "Order the stages by length.")

    @property
    def context_length(self) -> int:
        """The longest context: what evaluation, generation and export take as theirs."""
        return self.stages[-1].context_length

    @property
    def compute(self) -> Compute:
        """What the model's functions need to know of `precision` and `execution`."""
        ours = self.execution
        return Compute(self.precision, ours.attention, ours.attention_block, ours.loss_chunk, ours.remat)


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """Turn a recipe into JSON-like values, the text that the run folder keeps."""
    return cattrs.Converter().unstructure(recipe)


def from_plain(plain: dict[str, Any]) -> Recipe:
    """Read a recipe back; a field that this version does not know is an error, not ignored."""
    try:
        return cattrs.Converter(forbid_extra_keys=True).structure(plain, Recipe)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(cattrs.transform_error(error))
        raise UserError(
            f"a recipe that this version cannot read ({reasons})",
            "a recipe of the same version of xgen",
            "Use the version that wrote the folder (environment.json names it).",
        ) from None


def run_fingerprint(recipe: Recipe) -> str:
    """Identify the base run: all that changes its numbers, so neither how it is executed nor what follows it."""
    identity = to_plain(recipe)
    for later in ("execution", "instruct", "sampling"):
        del identity[later]
    return fingerprint(identity)


def data_fingerprint(recipe: Recipe, tokenizer: str) -> str:
    """Identify prepared data: sources, mixtures, tokenizer, stages and seed."""
    plain = to_plain(recipe)
    return fingerprint({key: plain[key] for key in ("seed", "data", "stages")} | {"tokenizer": tokenizer})


def instruct_fingerprint(recipe: Recipe, parent: str) -> str:
    """Identify a tuning run: its own values and the run that it starts from."""
    return fingerprint({"instruct": to_plain(recipe)["instruct"], "seed": recipe.seed, "parent": parent})
