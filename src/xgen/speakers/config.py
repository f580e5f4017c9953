"""How an OpenAI-compatible endpoint is asked: a value, checked where it is made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Endpoint:
    """One model behind one address. Prices are in US dollars per million tokens."""

    url: str = ""
    """The address up to and with /v1; empty is no endpoint."""
    model: str = ""
    """The name under which the server knows it."""
    key_file: Path = Path()
    """A file with the key. Without one the client's OPENAI_API_KEY is sent, and no key where that is not set either."""
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float = 0.0
    """US dollars that may be spent on all of it, earlier runs included; 0 sets no limit."""
    concurrency: int = 4
    """Requests that are under way at once."""
    attempts: int = 6
    """How often one request is sent before the run stops."""
    backoff: float = 1.0
    """Seconds before the second attempt; they double from then on, up to a minute, unless the server asks for more."""
    timeout: float = 120.0
    """Seconds to wait for one reply."""
    context_length: int = 8_192
    """Tokens that the model reads and writes, as far as documents are cut for it."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the limit of a reply."""

    def __post_init__(self) -> None:
        if bool(self.url) != bool(self.model):
            raise UserError(
                f"an endpoint with the address '{self.url}' and the model '{self.model}'",
                "both or neither",
                "Name the server and the model that it serves.",
            )
        if min(self.price_in, self.price_out, self.budget, self.backoff) < 0 or self.timeout <= 0:
            raise UserError(
                f"prices {self.price_in} and {self.price_out}, budget {self.budget}, backoff {self.backoff}, timeout "
                f"{self.timeout}",
                "none below 0, and some time to wait for a reply",
                "Check the values of the endpoint.",
            )
        if self.budget > 0 and self.price_in == self.price_out == 0:
            raise UserError(
                f"a budget of ${self.budget:g} without prices",
                "what a million tokens cost",
                "Set price-in and price-out from the price list of the service.",
            )
        if min(self.concurrency, self.attempts) < 1 or self.context_length < 128:
            raise UserError(
                f"concurrency {self.concurrency}, attempts {self.attempts}, context length {self.context_length}",
                "at least 1, 1 and 128",
                "Check the values of the endpoint.",
            )

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Price one exchange in US dollars."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6
