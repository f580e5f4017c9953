"""How a base model is tuned on conversations: values (section 4 of the report)."""

from dataclasses import dataclass, field
from typing import Literal

from xgen.core.errors import UserError
from xgen.model.config import Lora
from xgen.train.config import OptimizerConfig


@dataclass(frozen=True)
class InstructionSet:
    """A named set of conversations: a layout, where it reads, and which of it is taken."""

    name: str
    layout: str
    """An entry of LAYOUTS in tune/layouts.py, or "tasks_from_source", which asks about the run's own sources."""
    location: str
    """A file, a folder or an address; empty for a set that is made from the run's own sources."""
    licence: str
    max_conversations: int = 0
    """Conversations kept, by the order of a shuffle; 0 keeps all."""
    min_tokens: int = 0
    """Shorter conversations are left out: section 4 takes long examples alone from SCROLLS."""
    when_long: Literal["drop", "cut_turns", "cut_prompt"] = "drop"
    """What becomes of a conversation that is longer than a row: left out, the exchanges that fit, or its longest
    question without its end."""
    ask: str = ""
    """What is asked about a text that comes without a question."""
    filters: tuple[str, ...] = ()
    """Entries of FILTERS in filters/catalog.py that judge each conversation as one text, in this order."""

    def __post_init__(self) -> None:
        if min(self.max_conversations, self.min_tokens) < 0 or not self.name:
            raise UserError(
                f"an instruction set with an empty name or a negative count ({self})",
                "a name, counts of at least 0",
                "Check instruct.datasets.",
            )


@dataclass(frozen=True)
class InstructConfig:
    """One tuning run; the optimizer's warm-up counts the positions of rows, padding too."""

    name: str
    datasets: tuple[InstructionSet, ...]
    template: str
    """An entry of TEMPLATES in tokenizer/chat.py."""
    context_length: int
    batch_conversations: int
    epochs: int
    optimizer: OptimizerConfig
    rows: Literal["single", "packed"] = "single"
    """One conversation a row, as in the report, or as many as fit, which do not see each other."""
    lora: Lora = field(default_factory=Lora)
    """With a rank, low-rank rows are trained beside the base model, which stays as it is; 0 trains all of it."""

    def __post_init__(self) -> None:
        if min(self.context_length, self.batch_conversations, self.epochs) < 1:
            raise UserError(
                f"an instruct recipe with a count below one ({self})",
                "positive counts",
                "Check context-length, batch-conversations and epochs.",
            )
        names = [each.name for each in self.datasets]
        if not names or len(set(names)) != len(names):
            raise UserError(
                f"instruction sets named {names}", "at least one, names that differ", "Check instruct.datasets."
            )
