"""The compiled programs of generation: prefill in chunks, and a loop on the device that the host never interrupts.

A row's prompt is read up to its last token; the loop reads that token, chooses the next, and so on, so that the two
programs share nothing but the state. Shape letters: B rows, T places of a row, L positions of a chunk, G guesses.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from xgen.model.cache import Cache
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import Layered
from xgen.model.transformer import hidden_with_cache, logits
from xgen.serve.sampler import Knobs, likeliest, logprobs_of, sample
from xgen.tokenizer.specials import NUM_TOKENS

GUESSES, MATCHED = 7, 2
"""Prompt lookup: so many tokens are guessed, after the latest place where so many equal the last ones."""


class State(NamedTuple):
    """Rows in the making. The last token of each is known and not read yet."""

    cache: Cache
    tokens_BT: jax.Array
    logprobs_BT: jax.Array
    lengths_B: jax.Array
    done_B: jax.Array


class Ends(NamedTuple):
    """Where rows end: at a length (prompt included) or after a token of `stop_ids`, which is filled up with -1."""

    lengths_B: jax.Array
    stop_ids: jax.Array


@partial(jax.jit, static_argnames=("config", "compute"), donate_argnames="cache")
def prefill(
    weights: Layered, tokens_BL: jax.Array, first: jax.Array, cache: Cache, config: ModelConfig, compute: Compute
) -> Cache:
    """Read one chunk of every prompt, from position `first` on."""
    positions_BL = jnp.broadcast_to(first + jnp.arange(tokens_BL.shape[1], dtype=jnp.int32), tokens_BL.shape)
    return hidden_with_cache(weights, tokens_BL, positions_BL, cache, config, compute)[1]


@partial(jax.jit, static_argnames=("times", "num_rows"))
def repeat(cache: Cache, times: int, num_rows: int) -> Cache:
    """Give each prompt's cache to `times` rows beside each other, and fill up to `num_rows`."""

    def repeated(array_BHTK: jax.Array) -> jax.Array:
        rows_B = jnp.minimum(jnp.arange(num_rows) // times, array_BHTK.shape[0] - 1)
        return array_BHTK[rows_B]

    return jax.tree.map(repeated, cache)


@partial(jax.jit, static_argnames=("config", "compute"), donate_argnames="state")
def decode(
    weights: Layered,
    state: State,
    keys_B: jax.Array,
    knobs: Knobs,
    ends: Ends,
    num_steps: jax.Array,
    config: ModelConfig,
    compute: Compute,
) -> State:
    """Continue every row by up to `num_steps` tokens, or until all are done."""

    def going(carry: tuple[State, jax.Array]) -> jax.Array:
        state, step = carry
        return (step < num_steps) & ~jnp.all(state.done_B)

    def one(carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, step = carry
        at_B1 = state.lengths_B[:, None] - 1
        last_B1 = jnp.take_along_axis(state.tokens_BT, at_B1, axis=1)
        h_B1D, cache = hidden_with_cache(weights, last_B1, at_B1, state.cache, config, compute)
        logits_BV = logits(weights.whole, h_B1D, compute)[:, 0]
        new_B, logprobs_B = sample(logits_BV, keys_B, state.tokens_BT, state.lengths_B, knobs, NUM_TOKENS)
        state = _appended(state._replace(cache=cache), new_B[:, None], logprobs_B[:, None], ~state.done_B, ends)
        return state, step + 1

    return jax.lax.while_loop(going, one, (state, jnp.int32(0)))[0]


@partial(jax.jit, static_argnames=("config", "compute"), donate_argnames="state")
def decode_by_lookup(
    weights: Layered, state: State, ends: Ends, num_steps: jax.Array, config: ModelConfig, compute: Compute
) -> tuple[State, jax.Array]:
    """Continue greedily, and read in one pass what the row itself suggests: the tokens after an earlier likeness.

    A guess is kept while it is what the model would have chosen, so the tokens are those of `decode` at temperature
    0. Returns the state and the number of passes.
    """

    def going(carry: tuple[State, jax.Array]) -> jax.Array:
        state, step = carry
        return (step < num_steps) & ~jnp.all(state.done_B)

    def one(carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, step = carry
        offsets_1G = jnp.arange(GUESSES + 1, dtype=jnp.int32)[None, :]
        positions_BG = state.lengths_B[:, None] - 1 + offsets_1G
        guesses_BG = jax.vmap(_looked_up)(state.tokens_BT, state.lengths_B)
        h_BGD, cache = hidden_with_cache(weights, guesses_BG, positions_BG, state.cache, config, compute)
        logits_BGV = logits(weights.whole, h_BGD, compute)
        named_BGV = jnp.where(jnp.arange(logits_BGV.shape[-1])[None, None, :] < NUM_TOKENS, logits_BGV, -jnp.inf)
        best_BG = likeliest(named_BGV)
        logprobs_BG = logprobs_of(logits_BGV, best_BG)
        right_BG = jnp.cumprod(guesses_BG[:, 1:] == best_BG[:, :-1], axis=1)
        num_B = jnp.where(state.done_B, 0, 1 + right_BG.sum(axis=1))
        return _appended(state._replace(cache=cache), best_BG, logprobs_BG, num_B, ends), step + 1

    return jax.lax.while_loop(going, one, (state, jnp.int32(0)))


def _looked_up(tokens_T: jax.Array, length: jax.Array) -> jax.Array:
    """Give the last token, and what followed the latest earlier place where the last MATCHED tokens stand."""
    places_T = jnp.arange(tokens_T.shape[0])
    alike_T = places_T < length - 1
    for back in range(MATCHED):
        alike_T &= (places_T >= back) & (jnp.roll(tokens_T, back) == tokens_T[length - 1 - back])
    follows = jnp.max(jnp.where(alike_T, places_T, -1)) + 1
    guesses = tokens_T[jnp.minimum(follows + jnp.arange(GUESSES), tokens_T.shape[0] - 1)]
    return jnp.concatenate((tokens_T[length - 1][None], guesses))


def _appended(state: State, new_BG: jax.Array, logprobs_BG: jax.Array, num_B: jax.Array, ends: Ends) -> State:
    """Append the first `num_B` new tokens of each row, as far as it goes on; one that ends it is kept."""
    num_B = jnp.minimum(num_B.astype(jnp.int32), ends.lengths_B - state.lengths_B)
    offsets_1G = jnp.arange(new_BG.shape[1])[None, :]
    stops_BG = (new_BG[:, :, None] == ends.stop_ids[None, None, :]).any(axis=-1) & (offsets_1G < num_B[:, None])
    until_B = jnp.where(stops_BG.any(axis=1), jnp.argmax(stops_BG, axis=1) + 1, num_B)
    rows_B1, beyond = jnp.arange(new_BG.shape[0])[:, None], state.tokens_BT.shape[1]
    places_BG = jnp.where(offsets_1G < until_B[:, None], state.lengths_B[:, None] + offsets_1G, beyond)
    lengths_B = state.lengths_B + until_B
    return state._replace(
        tokens_BT=state.tokens_BT.at[rows_B1, places_BG].set(new_BG, mode="drop"),
        logprobs_BT=state.logprobs_BT.at[rows_B1, places_BG].set(logprobs_BG, mode="drop"),
        lengths_B=lengths_B,
        done_B=state.done_B | stops_BG.any(axis=1) | (lengths_B >= ends.lengths_B),
    )
