"""How text is sampled: a value, free of JAX."""

from dataclasses import dataclass

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Sampling:
    """Greedy at temperature 0; else the smallest set of tokens that holds `top_p` of the probability."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            raise UserError(
                f"temperature {self.temperature}, top_p {self.top_p}, max_new_tokens {self.max_new_tokens}",
                "a temperature of at least 0, top_p in (0, 1], at least one new token",
                "Check the sampling values.",
            )
