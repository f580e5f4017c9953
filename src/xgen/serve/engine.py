"""A model that is ready to be asked: `score`, `generate` and `window` (core/protocols.py), and a stream of tokens.

Prompts of a batch are padded on the right to a common power of two, so that few programs are compiled; what padding
leaves in the cache lies at later positions and is overwritten before it can be seen. Shape letters: B rows, L
positions, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from xgen.core.errors import UserError
from xgen.core.types import Generation
from xgen.model.cache import Cache, empty
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Params
from xgen.model.transformer import hidden_with_cache, logits
from xgen.serve import scoring
from xgen.serve.config import Sampling
from xgen.serve.sampler import row_keys, sample
from xgen.tokenizer.specials import END_OF_TEXT, NUM_TOKENS

SHORTEST_BUCKET = 16


class _Chosen(NamedTuple):
    tokens_B: jax.Array
    logprobs_B: jax.Array


@partial(jax.jit, static_argnames=("config", "compute"), donate_argnames="cache")
def _prefill(
    params: Params, tokens_BL: jax.Array, lengths_B: jax.Array, cache: Cache, config: ModelConfig, compute: Compute
) -> tuple[jax.Array, Cache]:
    """Read the prompts; return the logits after each row's last token."""
    positions_BL = jnp.broadcast_to(jnp.arange(tokens_BL.shape[1], dtype=jnp.int32), tokens_BL.shape)
    h_BLD, cache = hidden_with_cache(params, tokens_BL, positions_BL, cache, config, compute)
    last_B1D = jnp.take_along_axis(h_BLD, (lengths_B - 1)[:, None, None], axis=1)
    return logits(params, last_B1D, compute)[:, 0], cache


@partial(jax.jit, static_argnames=("config", "compute"), donate_argnames="cache")
def _decode(
    params: Params, tokens_B: jax.Array, positions_B: jax.Array, cache: Cache, config: ModelConfig, compute: Compute
) -> tuple[jax.Array, Cache]:
    """Read one token of each row; return the logits after it."""
    h_B1D, cache = hidden_with_cache(params, tokens_B[:, None], positions_B[:, None], cache, config, compute)
    return logits(params, h_B1D, compute)[:, 0], cache


_sample = jax.jit(sample, static_argnames="num_tokens")


class Engine:
    """Weights on their devices, with the three calls of `LanguageModel`."""

    def __init__(self, name: str, params: Params, config: ModelConfig, compute: Compute, context_length: int) -> None:
        self.name, self.context_length = name, context_length
        self._params, self._config, self._compute = params, config, compute

    def stream(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[list[tuple[int, float] | None]]:
        """Yield, step by step, each row's next (token, log-probability), the end token included; None once it ended.

        A row ends after <|endoftext|>, after `max_new_tokens`, or where the context is full.
        """
        lengths_B = np.array([self._check(prompt) for prompt in prompts], np.int32)
        tokens_BL = np.zeros((len(prompts), self._bucket(int(lengths_B.max()))), np.int32)
        for row, prompt in enumerate(prompts):
            tokens_BL[row, : len(prompt)] = prompt
        cache = empty(self._config, len(prompts), self.context_length)
        logits_BV, cache = _prefill(self._params, tokens_BL, lengths_B, cache, self._config, self._compute)
        keys_B, positions_B = row_keys(sampling.seed, len(prompts)), lengths_B.copy()
        running_B = np.ones(len(prompts), bool)
        for _ in range(sampling.max_new_tokens):
            chosen = _Chosen(
                *_sample(
                    logits_BV,
                    keys_B,
                    jnp.asarray(positions_B),
                    jnp.float32(sampling.temperature),
                    jnp.float32(sampling.top_p),
                    num_tokens=NUM_TOKENS,
                )
            )
            new_B, logprobs_B = np.asarray(chosen.tokens_B), np.asarray(chosen.logprobs_B)
            yield [
                (int(token), float(logprob)) if running else None
                for token, logprob, running in zip(new_B, logprobs_B, running_B, strict=True)
            ]
            running_B &= (new_B != END_OF_TEXT) & (positions_B < self.context_length - 1)
            if not running_B.any():
                return
            logits_BV, cache = _decode(
                self._params, jnp.asarray(new_B), jnp.asarray(positions_B), cache, self._config, self._compute
            )
            positions_B += running_B

    def sample(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Continue each prompt as `sampling` says."""
        found: list[list[tuple[int, float]]] = [[] for _ in prompts]
        for step in self.stream(prompts, sampling):
            for row, new in zip(found, step, strict=True):
                if new is not None:
                    row.append(new)
        return [_generation(row) for row in found]

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, seed: int) -> list[Generation]:
        """Continue each prompt greedily, as an evaluation asks for it."""
        return self.sample(prompts, Sampling(temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens, seed=seed))

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
        """Give log p(continuation | context) of each request, in request order."""
        for context, continuation in requests:
            self._check([*context, *continuation][:-1])
        return scoring.score(self._params, requests, self._config, self._compute, self._bucket)

    def window(self, rows: Int32[np.ndarray, "N L"]) -> Float32[np.ndarray, "N L-1"]:
        """Give the log-probability of every token of full rows given the tokens before it, except the first."""
        return scoring.window(self._params, rows, self._config, self._compute)

    def _bucket(self, length: int) -> int:
        power = max(SHORTEST_BUCKET, 1 << (length - 1).bit_length())
        return min(power, self.context_length)

    def _check(self, prompt: Sequence[int]) -> int:
        if not 0 < len(prompt) < self.context_length:
            raise UserError(
                f"a prompt of {len(prompt):,} tokens",
                f"1 to {self.context_length - 1:,}, the context of {self.name} less one new token",
                "Shorten the prompt.",
            )
        return len(prompt)


def _generation(row: list[tuple[int, float]]) -> Generation:
    stopped = bool(row) and row[-1][0] == END_OF_TEXT
    kept = row[:-1] if stopped else row
    return Generation(
        tuple(token for token, _ in kept), tuple(logprob for _, logprob in kept), "stop" if stopped else "length"
    )
