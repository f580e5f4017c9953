"""The loop on the device: what it must not change, what stops it, how many programs it needs, what they hold."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, params_of
from xgen.core.errors import UserError
from xgen.model.config import ModelConfig
from xgen.model.params import table
from xgen.model.products import PRODUCTS, quantized
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import layout_named, sharding
from xgen.serve import decoding
from xgen.serve.config import Sampling, Stops
from xgen.serve.engine import Engine
from xgen.tokenizer.encoding import decode, encode

CONFIG = ModelConfig(
    num_layers=2, dim=64, num_heads=8, ffn_dim=128, vocab_size=1_024, norm_eps=1e-6, rope_base=10_000.0, init_std=0.2
)
CONTEXT = 600
PROMPTS = [[5, 9, 2], list(range(20, 40)), [77], [int(i) for i in np.arange(300) * 7 % 1_000]]
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=20, seed=0)
WARM = dataclasses.replace(GREEDY, temperature=1.0, top_p=0.9)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("loop", params_of(CONFIG), CONFIG, FLOAT32, CONTEXT)


def tokens(found):
    return [one.tokens for one in found]


def test_a_prompt_read_in_chunks_is_continued_as_one_read_at_once(engine, monkeypatch):
    expected = tokens(engine.sample(PROMPTS, GREEDY))
    for chunk in (16, 64):
        monkeypatch.setattr("xgen.serve.engine.PREFILL_CHUNK", chunk)
        assert tokens(engine.sample(PROMPTS, GREEDY)) == expected


def test_a_row_is_sampled_alike_wherever_it_stands_and_however_it_is_read(engine):
    together = tokens(engine.sample(PROMPTS, WARM))
    assert tokens(engine.sample(PROMPTS[::-1], WARM)) == together[::-1]
    streamed = [step[0] for step in engine.stream(PROMPTS, WARM)]
    assert tuple(new[0] for new in streamed if new) == together[0]


def test_samples_of_one_prompt_differ_and_are_those_of_its_copies(engine):
    found = tokens(engine.sample(PROMPTS[:2], WARM, num_samples=3))
    assert len(set(found[:3])) == 3
    assert found[3:] == tokens(engine.sample([PROMPTS[1]] * 3, WARM))


def test_a_row_stops_at_its_own_tokens_and_texts():
    engine = Engine("stops", params_of(CONFIG), CONFIG, FLOAT32, CONTEXT)
    [plain] = engine.sample(PROMPTS[:1], GREEDY)
    [stopped, other] = engine.sample(PROMPTS[:2], GREEDY, Stops(ids=(plain.tokens[4],)))
    first = plain.tokens.index(plain.tokens[4])
    assert (stopped.tokens, stopped.finish) == (plain.tokens[:first], "stop")
    assert len(other.tokens) in range(21)
    text = decode(list(plain.tokens))
    wanted = decode(list(plain.tokens[9:11]))
    [stopped, _] = engine.sample(PROMPTS[:2], GREEDY, Stops(texts=(wanted,)))
    assert stopped.finish == "stop"
    assert text.startswith(decode(list(stopped.tokens)))
    assert wanted not in decode(list(stopped.tokens))
    assert len(stopped.tokens) <= 9
    with pytest.raises(UserError, match="no empty text"):
        Stops(texts=("",))


def test_prompt_lookup_gives_the_greedy_tokens_in_fewer_passes(engine):
    long = dataclasses.replace(GREEDY, max_new_tokens=120)
    quoting = [[3, 4, 5, 6, 7, 8] * 10, PROMPTS[1], PROMPTS[3]]
    expected = engine.sample(quoting, long)
    found, passes = engine.by_lookup(quoting, 120)
    assert tokens(found) == tokens(expected)
    np.testing.assert_allclose(found[1].logprobs, expected[1].logprobs, atol=1e-4)
    assert passes <= 120


def test_prompt_lookup_takes_few_passes_where_a_row_repeats_itself():
    params = params_of(CONFIG)
    # A network whose next token is one more than the last, modulo 32.
    head = jnp.zeros_like(params["head"]).at[:32].set(jnp.roll(params["embed"][:32], 1, axis=0))
    params = params | {"head": head, "o": params["o"] * 0, "down": params["down"] * 0}
    engine = Engine("circle", params, CONFIG, FLOAT32, CONTEXT)
    found, passes = engine.by_lookup([[5], [7, 8]], 120)
    assert found[0].tokens == tuple((6 + i) % 32 for i in range(120))
    assert passes < 60


def test_the_number_of_programs_is_that_of_the_buckets_not_of_the_lengths():
    engine = Engine("buckets", params_of(CONFIG), CONFIG, FLOAT32, CONTEXT)
    decoding.decode.clear_cache()
    decoding.prefill.clear_cache()
    for length in range(1, 60, 3):
        sampling = dataclasses.replace(WARM, max_new_tokens=length, temperature=length / 10, top_k=length)
        engine.sample([[1] * length], sampling)
    assert decoding.decode._cache_size() == 1
    assert decoding.prefill._cache_size() == 3


def test_eight_devices_give_the_tokens_of_one(engine):
    params = params_of(CONFIG)
    mesh, layout = make_mesh(1, 8), layout_named("data_and_model")
    spread = {row.name: jax.device_put(params[row.name], sharding(mesh, layout, row.meanings)) for row in table(CONFIG)}
    parallel = Engine("spread", spread, CONFIG, FLOAT32, CONTEXT)
    for sampling in (GREEDY, WARM):
        assert tokens(parallel.sample(PROMPTS, sampling)) == tokens(engine.sample(PROMPTS, sampling))
    batch = parallel._start(PROMPTS, GREEDY, Stops(), 1)
    parallel._advance(batch, GREEDY, 4)
    assert batch.state.cache.keys[0].addressable_shards[0].data.shape[1] == 1, "a device holds one of eight heads"


def test_bfloat16_products_choose_nearly_what_float32_chooses(engine):
    rounded = dataclasses.replace(FLOAT32, precision="bfloat16_matmuls")
    half = Engine("half", params_of(CONFIG), CONFIG, rounded, CONTEXT, storage="bfloat16")
    (expected,), (found,) = engine.sample(PROMPTS[3:], GREEDY), half.sample(PROMPTS[3:], GREEDY)
    assert found.logprobs[0] == pytest.approx(expected.logprobs[0], abs=0.2)


def test_an_int8_product_is_the_product_of_the_rounded_matrix():
    random = np.random.default_rng(0)
    weight, x = random.normal(size=(96, 64)).astype(np.float32), random.normal(size=(2, 3, 64)).astype(np.float32)
    stored = quantized(jnp.asarray(weight))
    rounded = np.asarray(stored.values_OI, np.float64) * np.asarray(stored.scales_O, np.float64)[:, None]
    assert np.abs(rounded - weight).max() <= np.abs(weight).max() / 254 * 1.001
    found = PRODUCTS["float32"]("BLD,ED->BLE", jnp.asarray(x), stored)
    np.testing.assert_allclose(found, x @ rounded.T, atol=1e-4)


def test_the_compiled_int8_loop_holds_no_float_matrix_larger_than_a_block(monkeypatch):
    """On a CPU, which must widen to multiply, no float buffer is as large as the smallest matrix of the layers."""
    block = 2_048
    monkeypatch.setattr("xgen.model.products.INT8_BLOCK", block)
    decoding.decode.clear_cache()
    engine = Engine("int8", params_of(CONFIG), CONFIG, FLOAT32, 128, storage="int8")
    batch = engine._start([[1, 2, 3]], GREEDY, Stops(), 1)
    engine._advance(batch, GREEDY, 2)
    knobs = decoding.Knobs(jnp.float32(0), jnp.float32(1), jnp.int32(0), jnp.float32(1))
    arguments = (engine._weights, batch.state, batch.keys_B, knobs, batch.ends, jnp.int32(2), CONFIG, FLOAT32)
    text = decoding.decode.lower(*arguments).compile().as_text()
    decoding.decode.clear_cache()
    sizes = {
        shape: int(np.prod([int(size) for size in shape.split(",")]))
        for shape in re.findall(r"(?:f32|bf16)\[([\d,]+)\]", text)
    }
    cache = sorted(batch.state.cache.keys[0].shape[1:])
    large = {shape for shape, size in sizes.items() if size >= CONFIG.dim**2}
    embedding = f"{CONFIG.vocab_size},{CONFIG.dim}"
    matrices = {shape for shape in large if sorted(int(n) for n in shape.split(",") if n != "1") != cache} - {embedding}
    assert matrices == set(), "a float buffer of the size of a weight"
    assert re.search(r"s8\[128,64\]", text), "the weights themselves are int8"


def test_int8_generation_is_near_the_model_it_was_rounded_from(engine):
    small = Engine("int8", params_of(CONFIG), CONFIG, FLOAT32, CONTEXT, storage="int8")
    (expected,), (found,) = engine.sample(PROMPTS[3:], GREEDY), small.sample(PROMPTS[3:], GREEDY)
    assert found.logprobs[0] == pytest.approx(expected.logprobs[0], abs=0.3)


def test_text_of_a_prompt_is_not_what_stops_its_row(engine):
    prompt = encode("stop here").tolist()
    prompt = [token % 1_000 for token in prompt]
    [found] = engine.sample([prompt], GREEDY, Stops(texts=(decode(prompt),)))
    assert found.tokens
