"""Choose the next token of each row: greedy, or by temperature, top-k and top-p, with or without repetition.

Shape letters: B rows, V vocabulary, T places of a row.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, UInt32


class Knobs(NamedTuple):
    """The numbers of `Sampling` on the device, so that changing one compiles nothing."""

    temperature: jax.Array
    top_p: jax.Array
    top_k: jax.Array
    repetition_penalty: jax.Array


def row_keys(seed: int, names_B: UInt32[Array, "B"], numbers_B: UInt32[Array, "B"]) -> UInt32[Array, "B 2"]:
    """Give each row a random key from the seed, what it is called and its number among its likes; not its neighbors."""

    def key(name: jax.Array, number: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), name), number)

    return jax.random.key_data(jax.vmap(key)(names_B, numbers_B))


def sample(
    logits_BV: Float32[Array, "B V"],
    keys_B: UInt32[Array, "B 2"],
    tokens_BT: Int32[Array, "B T"],
    lengths_B: Int32[Array, "B"],
    knobs: Knobs,
    num_tokens: int,
) -> tuple[Int32[Array, "B"], Float32[Array, "B"]]:
    """Choose the token after the first `lengths_B` of each row and tell its log-probability.

    The log-probability is the model's, before penalty, temperature, top-k and top-p. Rows of the vocabulary from
    `num_tokens` on name no token and are never chosen. Temperature 0 takes the likeliest. The draw at a position
    depends on the row's key and the position alone.
    """
    named_BV = jnp.where(jnp.arange(logits_BV.shape[-1])[None, :] < num_tokens, logits_BV, -jnp.inf)
    named_BV = jax.lax.cond(
        knobs.repetition_penalty != 1,
        lambda named_BV: _penalized(named_BV, tokens_BT, lengths_B, knobs.repetition_penalty),
        lambda named_BV: named_BV,
        named_BV,
    )
    keys = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(keys_B), lengths_B)

    def draw(named_BV: jax.Array) -> jax.Array:
        scaled_BV = named_BV / knobs.temperature
        kept_BV = jnp.where(_in_nucleus(scaled_BV, knobs), scaled_BV, -jnp.inf)
        return jax.vmap(jax.random.categorical)(keys, kept_BV)

    chosen_B = jax.lax.cond(knobs.temperature > 0, draw, likeliest, named_BV).astype(jnp.int32)
    return chosen_B, logprobs_of(logits_BV, chosen_B)


def likeliest(logits: Float32[Array, "*rows V"]) -> Int32[Array, "*rows"]:
    """Take argmax, the first of equals, in two steps: a CPU finds a maximum ten times as fast as its place."""
    *rows, vocab = logits.shape
    size = next(size for size in range(math.isqrt(vocab), 0, -1) if vocab % size == 0)
    parts = logits.reshape(*rows, vocab // size, size)
    best = jnp.argmax(jnp.max(parts, axis=-1), axis=-1)
    part = jnp.take_along_axis(parts, best[..., None, None], axis=-2)[..., 0, :]
    return (best * size + jnp.argmax(part, axis=-1)).astype(jnp.int32)


def logprobs_of(logits: Float32[Array, "*rows V"], tokens: Int32[Array, "*rows"]) -> Float32[Array, "*rows"]:
    """Give log p of one token a row, without making those of the others."""
    return jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0] - jax.nn.logsumexp(logits, axis=-1)


def _penalized(logits_BV: jax.Array, tokens_BT: jax.Array, lengths_B: jax.Array, penalty: jax.Array) -> jax.Array:
    """Make every token that stands in the row less likely."""
    known_BT = jnp.arange(tokens_BT.shape[1])[None, :] < lengths_B[:, None]
    rows_B1 = jnp.arange(tokens_BT.shape[0])[:, None]
    seen_BV = jnp.zeros(logits_BV.shape, bool).at[rows_B1, tokens_BT].max(known_BT)
    return jnp.where(seen_BV, jnp.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty), logits_BV)


def _in_nucleus(logits_BV: jax.Array, knobs: Knobs) -> jax.Array:
    """Mark the `top_k` likeliest and of them those that hold `top_p` of all probability, with equals of the last."""
    sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    places_1V = jnp.arange(logits_BV.shape[-1])[None, :]
    sorted_BV = jnp.where((knobs.top_k == 0) | (places_1V < knobs.top_k), sorted_BV, -jnp.inf)
    probability_BV = jax.nn.softmax(sorted_BV, axis=-1)
    before_BV = jnp.cumsum(probability_BV, axis=-1) - probability_BV
    allowed_BV = (before_BV < knobs.top_p) & (sorted_BV > -jnp.inf)
    lowest_B1 = jnp.min(jnp.where(allowed_BV, sorted_BV, jnp.inf), axis=-1, keepdims=True)
    return logits_BV >= lowest_B1
