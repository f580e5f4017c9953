"""Chunked prefill and cached decoding against transformers, for prompts of 1, 19 and 8,192 tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, params_of
from model.test_parity import hugging_face
from xgen.model.cache import empty
from xgen.model.config import ModelConfig
from xgen.model.params import unstack
from xgen.model.transformer import hidden_with_cache, logits

CONFIG = ModelConfig(
    num_layers=2, dim=64, num_heads=2, ffn_dim=128, vocab_size=1_024, norm_eps=1e-6, rope_base=10_000.0, init_std=0.1
)
NUM_NEW = 3


def cached_logits(params, tokens: np.ndarray, chunk: int) -> np.ndarray:
    """Read all but the last tokens in chunks, those one by one, and give the logits of each."""
    weights = unstack(params, CONFIG)

    @jax.jit
    def read(part_BL, first, cache):
        positions_BL = first + jnp.arange(part_BL.shape[1], dtype=jnp.int32)[None]
        h_BLD, cache = hidden_with_cache(weights, part_BL, positions_BL, cache, CONFIG, FLOAT32)
        return logits(weights.whole, h_BLD, FLOAT32)[0], cache

    cache = empty(CONFIG, 1, len(tokens) + chunk, "float32", None)
    prompt, found = len(tokens) - NUM_NEW, []
    for first in range(0, prompt, chunk):
        part = np.zeros((1, chunk), np.int32)
        part[0, : min(chunk, prompt - first)] = tokens[first : min(first + chunk, prompt)]
        of_chunk, cache = read(part, jnp.int32(first), cache)
        found.append(np.asarray(of_chunk)[: prompt - first])
    for at in range(prompt, len(tokens)):
        of_one, cache = read(tokens[None, at : at + 1], jnp.int32(at), cache)
        found.append(np.asarray(of_one))
    return np.concatenate(found)


@pytest.mark.parity
@pytest.mark.parametrize("length", [1, 19, pytest.param(8_192, marks=pytest.mark.slow)])
def test_logits_of_a_prompt_in_chunks_and_of_each_token_after_it_are_those_of_transformers(length):
    params = params_of(CONFIG)
    tokens = np.random.default_rng(length).integers(0, CONFIG.vocab_size, length + NUM_NEW).astype(np.int32)
    torch, theirs = hugging_face(CONFIG, {name: np.asarray(value) for name, value in params.items()}, len(tokens))
    theirs.set_attn_implementation("sdpa")  # "eager" would hold all pairs of positions
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens[None], dtype=torch.long)).logits[0].numpy()
    found = cached_logits(params, tokens, chunk=8 if length < 512 else 512)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 5e-5
