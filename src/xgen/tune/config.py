"""How a base model is tuned on conversations: a value (section 4 of the report)."""

from dataclasses import dataclass

from xgen.core.errors import UserError
from xgen.train.config import OptimizerConfig


@dataclass(frozen=True)
class InstructConfig:
    """One tuning run; the optimizer's warm-up counts the tokens of padded rows."""

    dataset: str
    """An entry of DATASETS in tune/datasets.py."""
    template: str
    """An entry of TEMPLATES in tokenizer/chat.py."""
    context_length: int
    batch_conversations: int
    epochs: int
    max_conversations: int
    """Conversations kept, by the order of the shuffle; 0 keeps all."""
    optimizer: OptimizerConfig
    location: str = ""
    """The file that the dataset reads; empty for one that is made from the run's own sources."""

    def __post_init__(self) -> None:
        if min(self.context_length, self.batch_conversations, self.epochs) < 1 or self.max_conversations < 0:
            raise UserError(
                f"an instruct recipe with a count below one ({self})",
                "positive counts",
                "Check context-length, batch-conversations, epochs and max-conversations.",
            )
