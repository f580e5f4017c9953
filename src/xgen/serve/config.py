"""How text is sampled and where it stops: values, free of JAX."""

from dataclasses import dataclass

from xgen.core.errors import UserError
from xgen.tokenizer.specials import END_OF_TEXT

MAX_STOP_IDS = 8


@dataclass(frozen=True)
class Sampling:
    """Greedy at temperature 0; else the smallest set of tokens that holds `top_p` of the probability."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    top_k: int = 0
    """Only so many of the likeliest tokens may be drawn; 0 is no limit."""
    repetition_penalty: float = 1.0
    """Divides a positive logit, and multiplies a negative one, of every token that the row already holds."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            raise UserError(
                f"temperature {self.temperature}, top_p {self.top_p}, max_new_tokens {self.max_new_tokens}",
                "a temperature of at least 0, top_p in (0, 1], at least one new token",
                "Check the sampling values.",
            )
        if self.top_k < 0 or self.repetition_penalty <= 0:
            raise UserError(
                f"top_k {self.top_k}, repetition_penalty {self.repetition_penalty}",
                "a top_k of at least 0, a penalty above 0",
                "Check the sampling values; 0 and 1.0 leave both out.",
            )


@dataclass(frozen=True)
class Stops:
    """What ends a row besides its length: tokens, and texts that its continuation comes to hold."""

    ids: tuple[int, ...] = (END_OF_TEXT,)
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ids) > MAX_STOP_IDS or "" in self.texts:
            raise UserError(
                f"{len(self.ids)} stop tokens and {len(self.texts)} stop texts",
                f"at most {MAX_STOP_IDS} tokens, and no empty text",
                "Stop at fewer.",
            )
