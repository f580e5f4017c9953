"""Who is judged in tests: a model of noise, a tokenizer of bytes, and where the real files lie."""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from xgen.core.types import Decoding, Generation, Likelihood
from xgen.evals.task import Candidate

REAL = Path(__file__).parents[2].parent / "shared" / "evaldata"


def real_files() -> Path:
    """Return the folder of real benchmark files, or skip where this machine lacks them."""
    if not REAL.is_dir():
        pytest.skip("the real evaluation files are not beside this checkout")
    return REAL


class Bytes:
    """A tokenizer whose ids are bytes: quick, and nothing is lost."""

    end_of_text = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


class Noise:
    """Likelihoods that depend on nothing but a hash of the request; `by_length` makes them grow with the answer."""

    name = "noise"

    def __init__(self, context_length: int = 100_000, by_length: bool = False) -> None:
        self.context_length, self._by_length, self.asked = context_length, by_length, 0

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        self.asked += len(requests)
        return [self._one(context, continuation) for context, continuation in requests]

    def _one(self, context: Sequence[int], continuation: Sequence[int]) -> Likelihood:
        assert context and continuation and len(context) + len(continuation) - 1 <= self.context_length
        text = np.asarray([*context, -1, *continuation], np.int32).tobytes()
        value = int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2**48
        return Likelihood(-value * (len(continuation) - 1 if self._by_length else 10), greedy=False)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        seed: int,
        decoding: Decoding = Decoding(),  # noqa: B008
    ) -> list[Generation]:
        """Write letters at random, the same for the same prompt and seed."""
        found = []
        for prompt in prompts:
            draw = random.Random(f"{list(prompt)} {seed}")
            for _ in range(decoding.num_samples):
                ids = tuple(draw.choices(range(97, 123), k=min(8, max_new_tokens)))
                found.append(Generation(ids, (-1.0,) * len(ids), "length"))
        return found

    def window(self, rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def noise(context_length: int = 100_000, by_length: bool = False) -> Candidate:
    return Candidate(Noise(context_length, by_length), Bytes(), {"model": "noise"})
