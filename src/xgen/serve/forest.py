"""Log-probabilities of many continuations, laid out as trees of tokens, so that each shared beginning is read once.

Sequences in the order of their tokens are the leaves of a trie, walked depth first. A row takes as many as it holds;
where one begins anew, it repeats the beginning of its first sequence and nothing else. Five examples before each
question, four answers to one question and a question asked twice all cost what they differ in. Shape letters: B rows
of a batch, L places of a row, D dim, R places that are read out, M targets.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from xgen.core.types import Likelihood
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Layered
from xgen.model.transformer import hidden_of_forest, logits

ROW, SHORTEST_ROW = 1_024, 64
"""Places of a row; a longer sequence gets a row of the next power of two."""
BATCH_TOKENS = 8_192
READS = 256
"""Places whose logits are made at a time."""
ATTENTION_BLOCK = 256

NOTHING_YET = Likelihood(logprob=0.0, greedy=True)

Request = tuple[Sequence[int], Sequence[int]]


class Trees(NamedTuple):
    """One row: tokens, their depths, where the descendants of each end, and the place of every token of a request."""

    tokens: list[int]
    positions: list[int]
    ends: list[int]
    places: dict[int, list[int]]
    """For each request, the places whose next token is one of its continuation's."""


@partial(jax.jit, static_argnames=("config", "compute"))
def _hidden(
    weights: Layered,
    tokens_BL: jax.Array,
    positions_BL: jax.Array,
    ends_BL: jax.Array,
    config: ModelConfig,
    compute: Compute,
) -> jax.Array:
    block = min(ATTENTION_BLOCK, tokens_BL.shape[1])
    h_BLD = hidden_of_forest(weights, tokens_BL, positions_BL, ends_BL, block, config, compute)
    return h_BLD.reshape(-1, h_BLD.shape[-1])


@partial(jax.jit, static_argnames=("compute",))
def _read(
    weights: Layered, h_ND: jax.Array, places_R: jax.Array, rows_M: jax.Array, targets_M: jax.Array, compute: Compute
) -> tuple[jax.Array, jax.Array]:
    """Give the log-probability of each target at its place, and whether it is the likeliest token there."""
    logits_RV = logits(weights.whole, h_ND[places_R][None], compute)[0]
    top_R, total_R = jnp.max(logits_RV, axis=-1), jax.nn.logsumexp(logits_RV, axis=-1)
    picked_M = logits_RV[rows_M, targets_M]
    return picked_M - total_R[rows_M], picked_M >= top_R[rows_M]


def score(weights: Layered, requests: Sequence[Request], config: ModelConfig, compute: Compute) -> list[Likelihood]:
    """Score each continuation after its context; the order of requests changes nothing but the last bits."""
    found: list[Likelihood | None] = [None] * len(requests)
    for length, rows in _rows_by_length(requests).items():
        batch = max(1, min(len(rows), BATCH_TOKENS // length))
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            arrays = [_filled(part, field, batch, length) for field in ("tokens", "positions", "ends")]
            h_ND = _hidden(weights, *arrays, config, compute)
            for index, likelihood in _read_out(weights, h_ND, part, length, requests, compute).items():
                found[index] = likelihood
    assert all(likelihood is not None for likelihood in found)
    return [likelihood for likelihood in found if likelihood is not None]


def lay_out(requests: Sequence[Request], indexes: Sequence[int], length: int) -> list[Trees]:
    """Put the requests of `indexes` into as few rows of `length` places as their order of tokens gives.

    Each request is its context and its continuation but the last token; none is longer than `length`.
    """
    sequences = {index: tuple((*requests[index][0], *requests[index][1])[:-1]) for index in indexes}
    rows: list[Trees] = []
    path: list[int] = []  # the places of the tokens of the sequence before
    last: tuple[int, ...] = ()
    for index in sorted(sequences, key=lambda index: sequences[index]):
        sequence = sequences[index]
        shared = _shared(last, sequence)
        if not rows or len(rows[-1].tokens) + len(sequence) - shared > length:
            _close(rows, path, 0)
            rows.append(Trees([], [], [], {}))
            path, shared = [], 0
        row = rows[-1]
        _close(rows, path, shared)
        path = path[:shared] + list(range(len(row.tokens), len(row.tokens) + len(sequence) - shared))
        row.tokens.extend(sequence[shared:])
        row.positions.extend(range(shared, len(sequence)))
        row.ends.extend([0] * (len(sequence) - shared))
        row.places[index] = path[len(requests[index][0]) - 1 :]
        last = sequence
    _close(rows, path, 0)
    return rows


def _close(rows: list[Trees], path: list[int], shared: int) -> None:
    """End the part of a path that the next sequence does not share."""
    for place in path[shared:]:
        rows[-1].ends[place] = len(rows[-1].tokens)


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Count the tokens that both begin with."""
    same = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        same += 1
    return same


def _rows_by_length(requests: Sequence[Request]) -> dict[int, list[Trees]]:
    lengths = [len(context) + len(continuation) - 1 for context, continuation in requests]
    by_length: dict[int, list[int]] = {}
    usual = min(ROW, max(SHORTEST_ROW, _power(sum(lengths))))
    for index, length in enumerate(lengths):
        by_length.setdefault(max(usual, _power(length)), []).append(index)
    return {length: lay_out(requests, indexes, length) for length, indexes in sorted(by_length.items())}


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _filled(rows: Sequence[Trees], field: str, batch: int, length: int) -> Int32[np.ndarray, "B L"]:
    """Fill up with tokens that nothing sees: each is a tree of its own, and has itself to attend to."""
    array = np.zeros((batch, length), np.int32)
    if field == "ends":
        array[:] = np.arange(1, length + 1)
    for row, trees in zip(array, rows, strict=False):
        values = getattr(trees, field)
        row[: len(values)] = values
    return array


def _read_out(
    weights: Layered, h_ND: jax.Array, rows: Sequence[Trees], length: int, requests: Sequence[Request], compute: Compute
) -> dict[int, Likelihood]:
    """Sum the log-probabilities of each request's targets; every place is read out once, whoever asks for it."""
    asked = [
        (number * length + place, token, index)
        for number, trees in enumerate(rows)
        for index, places in trees.places.items()
        for place, token in zip(places, requests[index][1], strict=True)
    ]
    targets = sorted({(place, token) for place, token, _ in asked})
    known: dict[tuple[int, int], tuple[float, bool]] = {}
    while targets:
        part, places = [], []
        for place, token in targets[: 4 * READS]:
            if not places or places[-1] != place:
                if len(places) == READS:
                    break
                places.append(place)
            part.append((len(places) - 1, token))
        num, targets_now = len(part), targets[: len(part)]
        rows_M, targets_M = np.zeros((2, 4 * READS), np.int32)
        rows_M[:num], targets_M[:num] = zip(*part, strict=True)
        places_R = np.zeros(READS, np.int32)
        places_R[: len(places)] = places
        logprobs, tops = _read(weights, h_ND, places_R, rows_M, targets_M, compute)
        known |= dict(
            zip(targets_now, zip(np.asarray(logprobs)[:num], np.asarray(tops)[:num], strict=True), strict=True)
        )
        targets = targets[num:]
    sums: dict[int, Likelihood] = {}
    for place, token, index in asked:
        logprob, top = known[place, token]
        before = sums.get(index, NOTHING_YET)
        sums[index] = Likelihood(before.logprob + float(logprob), before.greedy and bool(top))
    return sums
