"""What an evaluation may ask of a model, whoever computes it: three calls, token ids in, numbers or ids out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32

from xgen.core.types import Decoding, Generation, Likelihood


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model with a fixed context; answers come in the order of the questions, however batched.

    `score`     log p(continuation | context) of each request; context and continuation hold at least a token each, and
                together at most `context_length` + 1, since the last one is only predicted.
    `generate`  continuations of each prompt, the samples of one prompt side by side, without what stopped them.
    `window`    the log-probability of every token of full rows given the tokens before it.
    """

    name: str
    context_length: int

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]: ...

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, seed: int, decoding: Decoding = ...
    ) -> list[Generation]: ...

    def window(self, rows: Int32[np.ndarray, "N L"]) -> Float32[np.ndarray, "N L-1"]: ...


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back, as the model was trained; `end_of_text` begins what has no context."""

    end_of_text: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...
