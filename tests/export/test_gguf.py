"""A GGUF file against transformers, which reads the format with code of its own, and against the gguf package."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import proof_of, random_params
from tokenizer.texts import mixed_texts
from xgen.core.errors import UserError
from xgen.export import gguf as ours
from xgen.export.gguf import write_gguf
from xgen.model.config import ModelConfig
from xgen.tokenizer.encoding import encode

gguf = pytest.importorskip("gguf")
CONFIG = ModelConfig(
    num_layers=2, dim=64, num_heads=2, ffn_dim=96, vocab_size=51_200, norm_eps=1e-6, rope_base=500_000.0, init_std=0.02
)


@pytest.fixture(scope="module")
def params() -> dict[str, np.ndarray]:
    return random_params(CONFIG)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, params: dict[str, np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(path, CONFIG, params, 64, "f32", template="report")
    return path


def logits_in_transformers(path: Path, tokens: np.ndarray) -> np.ndarray:
    pytest.importorskip("accelerate")
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        return model(torch.tensor(tokens[None], dtype=torch.long)).logits[0].numpy()


@pytest.mark.parity
def test_transformers_computes_our_logits_from_the_file_also_with_another_base_of_rotation(written, params):
    proof = proof_of(params, CONFIG)
    assert np.abs(logits_in_transformers(written, proof.tokens) - proof.logits).max() <= 5e-5


@pytest.mark.parity
def test_rows_of_q_and_k_in_the_order_of_hugging_face_would_be_wrong(tmp_path, params, monkeypatch):
    monkeypatch.setattr(ours, "interleaved", lambda weight, num_heads: weight)
    write_gguf(tmp_path / "wrong.gguf", CONFIG, params, 64, "f32")
    proof = proof_of(params, CONFIG)
    assert np.abs(logits_in_transformers(tmp_path / "wrong.gguf", proof.tokens) - proof.logits).max() > 0.5


@pytest.mark.parametrize(("kind", "relative"), [("f16", 1e-3), ("bf16", 8e-3), ("q8_0", 2e-2)])
def test_each_kind_reads_back_as_near_as_it_stores(tmp_path, params, kind, relative):
    write_gguf(tmp_path / "model.gguf", CONFIG, params, 64, kind)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert len(found) == 3 + 9 * CONFIG.num_layers
    down = gguf.quants.dequantize(found["blk.1.ffn_down.weight"].data, found["blk.1.ffn_down.weight"].tensor_type)
    expected = params["down"][1]
    assert 0 < np.abs(down - expected).max() <= relative * np.abs(expected).max()
    assert found["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    np.testing.assert_array_equal(found["output_norm.weight"].data, params["final_norm"])


def test_the_file_holds_our_tokenizer_with_whitespace_as_ordinary_tokens(written):
    tokenizers = pytest.importorskip("tokenizers")
    fields = gguf.GGUFReader(written).fields

    def content(name: str) -> Any:
        return fields[name].contents()

    tokens, merges = content("tokenizer.ggml.tokens"), content("tokenizer.ggml.merges")
    types = np.asarray(content("tokenizer.ggml.token_type"))
    assert (types[:50_256] == gguf.TokenType.NORMAL).all() and (types[50_257:50_295] == gguf.TokenType.NORMAL).all()
    assert (types[50_295:] == gguf.TokenType.CONTROL).all() and types[50_256] == gguf.TokenType.CONTROL
    assert (content("tokenizer.ggml.pre"), content("tokenizer.ggml.add_bos_token")) == ("gpt-2", False)
    assert "### Human" in content("tokenizer.chat_template")
    model = tokenizers.models.BPE(
        vocab={token: place for place, token in enumerate(tokens)}, merges=[tuple(merge.split(" ")) for merge in merges]
    )
    rebuilt = tokenizers.Tokenizer(model)
    rebuilt.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in [*mixed_texts(100), *(" " * n + "x" for n in range(70)), *("\n" + "\t" * n for n in range(20))]:
        assert rebuilt.encode(text).ids == encode(text).tolist()


def test_a_width_that_q8_0_cannot_divide_is_refused_and_nothing_is_left(tmp_path):
    narrow = ModelConfig(1, 40, 2, 48, 51_200, 1e-6, 10_000.0, 0.02)
    with pytest.raises(UserError, match="dim 40 and ffn_dim 48; expected multiples of 32"):
        write_gguf(tmp_path / "model.gguf", narrow, random_params(narrow), 64, "q8_0")
    assert list(tmp_path.iterdir()) == []
