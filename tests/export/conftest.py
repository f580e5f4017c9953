"""A small model with random weights, norms included, and the folder that it was exported to."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from xgen.export import huggingface
from xgen.export.huggingface import Release, write_folder
from xgen.export.verify import Proof
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import shape_of, table
from xgen.model.transformer import forward

CONFIG = ModelConfig(
    num_layers=2, dim=16, num_heads=2, ffn_dim=24, vocab_size=51_200, norm_eps=1e-6, rope_base=10_000.0, init_std=0.02
)
RELEASE = Release(context_length=64, card="# a model\n", template="")
COMPUTE = Compute(precision="float32", attention="definition", attention_block=8, loss_chunk=16, remat="none")


class Exported(NamedTuple):
    folder: Path
    params: dict[str, np.ndarray]
    proof: Proof
    difference: float


def random_params(config: ModelConfig) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {
        row.name: (
            random.uniform(0.5, 1.5, shape_of(row, config))
            if row.start == "ones"
            else random.normal(0, 0.3, shape_of(row, config))
        ).astype(np.float32)
        for row in table(config)
    }


def proof_of(params: dict[str, np.ndarray], config: ModelConfig, tolerance: float = 1e-4) -> Proof:
    """The logits of our JAX model for 24 tokens."""
    tokens = np.random.default_rng(1).integers(0, config.vocab_size, 24).astype(np.int32)
    jax_params: dict[str, Any] = {name: jnp.asarray(value) for name, value in params.items()}
    return Proof(tokens, np.asarray(forward(jax_params, jnp.asarray(tokens[None]), config, COMPUTE)[0]), tolerance)


@pytest.fixture(scope="session", autouse=True)
def _tokenizer_built_once() -> Iterator[None]:
    """Building tokenizer.json takes a second, and test_tokenizer_json.py looks at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface, "tokenizer_json", functools.cache(huggingface.tokenizer_json))
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Written once; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("export") / "model"
    params = random_params(CONFIG)
    proof = proof_of(params, CONFIG)
    return Exported(folder, params, proof, write_folder(folder, CONFIG, params, RELEASE, proof))
