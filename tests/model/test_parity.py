"""The network against a second implementation in NumPy and against transformers: logits, loss and every gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model import reference
from xgen.model.config import Compute, ModelConfig
from xgen.model.loss import cross_entropy
from xgen.model.params import shape_of, table
from xgen.model.transformer import forward, hidden, logits

TOLERANCE = 1e-4  # of the largest value
COMPUTE = Compute(precision="float32", attention="blockwise", attention_block=8, loss_chunk=16, remat="full")


def model(num_layers: int, dim: int, num_heads: int, ffn_dim: int, vocab_size: int, **other: float) -> ModelConfig:
    values = {"norm_eps": 1e-6, "rope_base": 10_000.0, "init_std": 0.1} | other
    return ModelConfig(num_layers, dim, num_heads, ffn_dim, vocab_size, **values)


SHAPES = {
    "one head": (model(1, 8, 1, 20, 31), 2, 9),
    "pairs only": (model(2, 8, 4, 12, 17), 1, 13),
    "three layers": (model(3, 24, 3, 40, 97), 3, 16),
    "wide": (model(2, 64, 4, 176, 211, init_std=0.05), 2, 21),
    "another base and epsilon": (model(2, 32, 2, 88, 53, rope_base=500.0, norm_eps=1e-2), 2, 18),
}
SHAPED = pytest.mark.parametrize(("config", "batch", "length"), SHAPES.values(), ids=SHAPES.keys())


def random_params(config: ModelConfig) -> dict[str, np.ndarray]:
    """Weights far from their start: norms too, which all ones would hide."""
    random = np.random.default_rng(config.dim)
    return {
        row.name: (
            random.uniform(0.5, 1.5, shape_of(row, config))
            if row.start == "ones"
            else random.normal(0, 2 * config.init_std, shape_of(row, config))
        ).astype(np.float32)
        for row in table(config)
    }


def random_tokens(config: ModelConfig, batch: int, length: int) -> np.ndarray:
    return np.random.default_rng(length).integers(0, config.vocab_size, (batch, length)).astype(np.int32)


def assert_near(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= TOLERANCE, f"{what} differs by {error:.2g} of its largest value"


@SHAPED
@pytest.mark.parametrize("attention", ["definition", "blockwise"])
def test_logits_equal_those_of_the_second_implementation(config, batch, length, attention):
    params, tokens_BL = random_params(config), random_tokens(config, batch, length)
    compute = dataclasses.replace(COMPUTE, attention=attention)
    found = jax.jit(forward, static_argnums=(2, 3))(params, jnp.asarray(tokens_BL), config, compute)
    for b in range(batch):
        expected = reference.logits(params, tokens_BL[b], range(length), [0] * length, config)
        assert_near(found[b], expected, f"row {b}")


def test_segments_and_positions_of_a_packed_row_are_those_of_the_second_implementation():
    config, length = SHAPES["three layers"][0], 29
    params, tokens_BL = random_params(config), random_tokens(config, 2, length)
    random = np.random.default_rng(5)
    segments_BL = np.sort(random.integers(0, 4, (2, length)), axis=1).astype(np.int32)
    positions_BL = np.sort(random.integers(0, 300, (2, length)), axis=1).astype(np.int32)
    for attention in ("definition", "blockwise"):
        compute = dataclasses.replace(COMPUTE, attention=attention)
        jax_params = jax.tree.map(jnp.asarray, params)
        h_BLD = hidden(
            jax_params, jnp.asarray(tokens_BL), jnp.asarray(positions_BL), jnp.asarray(segments_BL), config, compute
        )
        found = logits(jax_params, h_BLD, compute)
        for b in range(2):
            expected = reference.logits(params, tokens_BL[b], positions_BL[b], segments_BL[b], config)
            assert_near(found[b], expected, f"row {b} with {attention}")


def hugging_face(config: ModelConfig, params: dict[str, np.ndarray], length: int):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.dim,
            intermediate_size=config.ffn_dim,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            max_position_embeddings=length,
            rms_norm_eps=config.norm_eps,
            rope_theta=config.rope_base,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation="eager",
        )
    )
    state = {}
    for row in table(config):
        if row.stacked:
            state |= {row.hf_name.format(layer=i): torch.tensor(params[row.name][i]) for i in range(config.num_layers)}
        else:
            state[row.hf_name] = torch.tensor(params[row.name])
    model.load_state_dict(state, strict=True)
    return torch, model


@pytest.mark.parity
@SHAPED
def test_logits_loss_and_the_gradient_of_each_weight_equal_those_of_transformers(config, batch, length):
    params, tokens_BL = random_params(config), random_tokens(config, batch, length)
    torch, theirs = hugging_face(config, params, length)
    theirs_BL = torch.tensor(tokens_BL, dtype=torch.long)
    answer = theirs(input_ids=theirs_BL, labels=theirs_BL)
    answer.loss.backward()

    def loss_and_logits(params):
        inputs = jnp.asarray(tokens_BL)
        positions_BL = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), inputs.shape)
        h_BLD = hidden(params, inputs, positions_BL, jnp.zeros_like(inputs), config, COMPUTE)
        targets_BL = jnp.roll(inputs, -1, axis=1)
        weights_BL = jnp.ones(inputs.shape, jnp.float32).at[:, -1].set(0.0)
        loss = cross_entropy(h_BLD, params["head"], targets_BL, weights_BL, COMPUTE) / weights_BL.sum()
        return loss, logits(params, h_BLD, COMPUTE)

    (loss, found), gradients = jax.jit(jax.value_and_grad(loss_and_logits, has_aux=True))(params)
    assert_near(found, answer.logits.detach().numpy(), "logits")
    assert_near(loss, answer.loss.detach().numpy(), "loss")
    assert len(gradients) == 12
    by_name = dict(theirs.named_parameters())
    for row in table(config):
        names = [row.hf_name.format(layer=i) for i in range(config.num_layers)] if row.stacked else [row.hf_name]
        expected = np.stack([by_name[name].grad.numpy() for name in names])
        assert_near(gradients[row.name], expected if row.stacked else expected[0], f"the gradient of {row.name}")
