"""A model that is ready to be asked: `score`, `generate` and `window` (core/protocols.py), samples and streams.

Rows, prompts and caches are filled up to powers of two, so that the number of compiled programs is bounded by the
logarithms of the largest; what padding leaves in the cache lies at later positions and is overwritten before it can be
seen. Shape letters: B rows, L positions, T places of a row, V vocabulary.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float32, Int32

from xgen.core.errors import UserError
from xgen.core.types import Decoding, Generation, Likelihood
from xgen.model.cache import empty
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Layered, Params
from xgen.serve import decoding, forest, scoring
from xgen.serve.config import MAX_STOP_IDS, Sampling, Stops
from xgen.serve.decoding import Ends, State
from xgen.serve.sampler import Knobs, row_keys
from xgen.serve.weights import Storage, stored
from xgen.tokenizer.encoding import decode

SHORTEST_BUCKET = 16
SHORTEST_CACHE = 128
PREFILL_CHUNK = 256
STREAM_CHUNK = 8
"""Steps between two looks of the host: while somebody reads along, and where texts may stop a row."""
UNTIL_DONE = 1 << 30


class _Batch:
    """Rows on the device and what the host knows of them; made by `Engine`, advanced in place."""

    def __init__(self, state: State, keys_B: Any, ends: Ends, prompt_lengths: list[int]) -> None:
        self.state, self.keys_B, self.ends, self.prompt_lengths = state, keys_B, ends, prompt_lengths

    def found(self) -> list[list[tuple[int, float]]]:
        """Fetch every row's new tokens with their log-probabilities."""
        tokens, logprobs, lengths = (
            np.asarray(x) for x in (self.state.tokens_BT, self.state.logprobs_BT, self.state.lengths_B)
        )
        return [
            list(
                zip(
                    tokens[row, first : lengths[row]].tolist(),
                    logprobs[row, first : lengths[row]].tolist(),
                    strict=True,
                )
            )
            for row, first in enumerate(self.prompt_lengths)
        ]


class Engine:
    """Weights on their devices, with the three calls of `LanguageModel`."""

    def __init__(
        self,
        name: str,
        params: Params | Layered,
        config: ModelConfig,
        compute: Compute,
        context_length: int,
        storage: Storage = "float32",
    ) -> None:
        self.name, self.context_length = name, context_length
        """Hold `params` as told, and not as they came; weights that stand layer by layer are stored already."""
        self._config, self._compute = config, compute
        self._weights = params if isinstance(params, Layered) else stored(params, config, storage)
        placed = None if isinstance(params, Layered) else params["q"].sharding
        # Tensor-parallel: a cache holds the heads whose weights its device holds.
        self._cache_sharding = (
            NamedSharding(placed.mesh, PartitionSpec(None, placed.spec[1]))
            if isinstance(placed, NamedSharding)
            else None
        )

    def stream(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[list[tuple[int, float] | None]]:
        """Yield, step by step, each row's next (token, log-probability), the end token included; None once it ended.

        A row ends after <|endoftext|>, after `max_new_tokens`, or where the context is full. Tokens arrive in small
        chunks: the device makes STREAM_CHUNK of them between two looks.
        """
        batch = self._start(prompts, sampling, Stops(), num_samples=1)
        given = 0
        while True:
            self._advance(batch, sampling, STREAM_CHUNK)
            found = batch.found()
            for step in range(given, max(map(len, found))):
                yield [row[step] if step < len(row) else None for row in found]
            given = max(map(len, found))
            if np.asarray(batch.state.done_B).all():
                return

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        stops: Stops = Stops(),  # noqa: B008  (a frozen value)
        num_samples: int = 1,
    ) -> list[Generation]:
        """Continue each prompt as `sampling` says, `num_samples` times beside each other, each prompt read once."""
        batch = self._start(prompts, sampling, stops, num_samples)
        if not stops.texts:
            self._advance(batch, sampling, UNTIL_DONE)
            return [_generation(row, stops) for row in batch.found()]
        while not np.asarray(batch.state.done_B).all():
            self._advance(batch, sampling, STREAM_CHUNK)
            ended = [_text_stop(row, stops) is not None for row in batch.found()]
            ended += [True] * (batch.state.done_B.shape[0] - len(ended))
            batch.state = batch.state._replace(done_B=batch.state.done_B | jnp.asarray(ended))
        return [_generation(row, stops) for row in batch.found()]

    def by_lookup(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> tuple[list[Generation], int]:
        """Continue greedily with guesses from the rows themselves; also return how many passes it took.

        The tokens are those of `generate`; faster where a continuation quotes its prompt, as a summary does.
        """
        sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens, seed=0)
        batch = self._start(prompts, sampling, Stops(), num_samples=1)
        batch.state, passes = decoding.decode_by_lookup(
            self._weights, batch.state, batch.ends, jnp.int32(UNTIL_DONE), self._config, self._compute
        )
        return [_generation(row, Stops()) for row in batch.found()], int(passes)

    def _start(self, prompts: Sequence[Sequence[int]], sampling: Sampling, stops: Stops, num_samples: int) -> _Batch:
        """Read all of every prompt but its last token, and lay out the rows."""
        lengths = [self._check(prompt) for prompt in prompts]
        longest = max(lengths)
        ends = [min(length + sampling.max_new_tokens, self.context_length) for length in lengths]
        places = max(SHORTEST_CACHE, 1 << (max(ends) - 1).bit_length())
        cache = empty(self._config, _power(len(prompts)), places, self._compute.precision, self._cache_sharding)
        chunk = min(PREFILL_CHUNK, max(SHORTEST_BUCKET, _power(longest)))
        tokens_BT = np.zeros((_power(len(prompts)), places), np.int32)
        for row, prompt in enumerate(prompts):
            tokens_BT[row, : len(prompt)] = prompt
        for first in range(0, longest - 1, chunk):
            part = tokens_BT[:, first : first + chunk]
            cache = decoding.prefill(self._weights, part, jnp.int32(first), cache, self._config, self._compute)
        num_rows = _power(len(prompts) * num_samples)
        if num_samples > 1:
            cache = decoding.repeat(cache, num_samples, num_rows)
        rows = [min(row // num_samples, len(prompts) - 1) for row in range(num_rows)]
        done_B = np.arange(num_rows) >= len(prompts) * num_samples
        lengths_B, ends_B = np.array(lengths, np.int32)[rows], np.array(ends, np.int32)[rows]
        state = State(
            cache,
            jnp.asarray(tokens_BT[rows]),
            jnp.zeros((num_rows, places), jnp.float32),
            jnp.asarray(lengths_B),
            jnp.asarray(done_B | (lengths_B >= ends_B)),
        )
        stop_ids = np.full(MAX_STOP_IDS, -1, np.int32)
        stop_ids[: len(stops.ids)] = stops.ids
        keys_B = row_keys(sampling.seed, *_names([prompts[row] for row in rows]))
        known = [lengths[row // num_samples] for row in range(len(prompts) * num_samples)]
        return _Batch(state, keys_B, Ends(jnp.asarray(ends_B), jnp.asarray(stop_ids)), known)

    def _advance(self, batch: _Batch, sampling: Sampling, num_steps: int) -> None:
        knobs = Knobs(
            jnp.float32(sampling.temperature),
            jnp.float32(sampling.top_p),
            jnp.int32(sampling.top_k),
            jnp.float32(sampling.repetition_penalty),
        )
        batch.state = decoding.decode(
            self._weights,
            batch.state,
            batch.keys_B,
            knobs,
            batch.ends,
            jnp.int32(num_steps),
            self._config,
            self._compute,
        )

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        seed: int,
        decoding: Decoding = Decoding(),  # noqa: B008  (a frozen value)
    ) -> list[Generation]:
        """Continue each prompt as an evaluation asks for it: greedily, unless it says otherwise."""
        sampling = Sampling(decoding.temperature, decoding.top_p, max_new_tokens, seed)
        return self.sample(prompts, sampling, Stops(texts=decoding.stops), decoding.num_samples)

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        """Give log p(continuation | context) of each request, in request order, from the weights as they are stored."""
        for context, continuation in requests:
            if not context or not continuation or len(context) + len(continuation) - 1 > self.context_length:
                raise UserError(
                    f"a context of {len(context):,} and a continuation of {len(continuation):,} tokens",
                    f"at least one of each, and at most {self.context_length + 1:,} together for {self.name}",
                    "Shorten the context.",
                )
        return forest.score(self._weights, requests, self._config, self._compute)

    def window(self, rows: Int32[np.ndarray, "N L"]) -> Float32[np.ndarray, "N L-1"]:
        """Give the log-probability of every token of full rows given the tokens before it, except the first."""
        return scoring.window(self._weights, rows, self._config, self._compute)

    def _check(self, prompt: Sequence[int]) -> int:
        if not 0 < len(prompt) < self.context_length:
            raise UserError(
                f"a prompt of {len(prompt):,} tokens",
                f"1 to {self.context_length - 1:,}, the context of {self.name} less one new token",
                "Shorten the prompt.",
            )
        return len(prompt)


def _power(number: int) -> int:
    """Round up to a power of two."""
    return 1 << (number - 1).bit_length()


def _names(prompts: Sequence[Sequence[int]]) -> tuple[jax.Array, jax.Array]:
    """Name each row by its prompt and count its likes before it, so that a row's draws do not depend on the others."""
    names, numbers, met = [], [], Counter[int]()
    for prompt in prompts:
        name = zlib.crc32(np.asarray(prompt, np.int32).tobytes())
        names.append(name)
        numbers.append(met[name])
        met[name] += 1
    return jnp.asarray(np.array(names, np.uint32)), jnp.asarray(np.array(numbers, np.uint32))


def _text_stop(row: list[tuple[int, float]], stops: Stops) -> int | None:
    """Count the whole tokens before the first text that stops the row; None where there is none."""
    tokens = [token for token, _ in row]
    text = decode(tokens)
    starts = [text.find(stop) for stop in stops.texts if stop in text]
    if not starts:
        return None
    return next(num for num in range(len(tokens), -1, -1) if len(decode(tokens[:num])) <= min(starts))


def _generation(row: list[tuple[int, float]], stops: Stops) -> Generation:
    at = _text_stop(row, stops) if stops.texts else None
    if at is not None:
        kept, stopped = row[:at], True
    else:
        stopped = bool(row) and row[-1][0] in stops.ids
        kept = row[:-1] if stopped else row
    return Generation(
        tuple(token for token, _ in kept), tuple(logprob for _, logprob in kept), "stop" if stopped else "length"
    )
