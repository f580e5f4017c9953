"""What an evaluation may ask of a model, whoever computes it: three calls, token ids in, numbers or ids out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32

from xgen.core.types import Generation


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model with a fixed context.

    `score`     log p(continuation | context) of each request, in request order.
    `generate`  a continuation of each prompt, in prompt order.
    `window`    the log-probability of every token of full rows given the tokens before it.
    """

    name: str
    context_length: int

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]: ...

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, seed: int) -> list[Generation]: ...

    def window(self, rows: Int32[np.ndarray, "N L"]) -> Float32[np.ndarray, "N L-1"]: ...
