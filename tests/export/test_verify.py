"""The proof refuses every folder whose logits are not the model's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from xgen.core.errors import UserError
from xgen.export.verify import Proof, forward, verify

LAYER = "model.layers.1."


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    return shutil.copytree(exported.folder, tmp_path / "copy")


def interleaved(weight: np.ndarray) -> np.ndarray:
    """Rows in Meta's order of rotary pairs, for two heads."""
    return np.ascontiguousarray(weight.reshape(2, 2, -1, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape))


def swap(names: tuple[str, str]):
    def change(tensors: dict[str, np.ndarray]) -> None:
        a, b = (LAYER + name + ".weight" for name in names)
        tensors[a], tensors[b] = tensors[b], tensors[a]

    return change


def each(function, *names: str):
    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in names:
            tensors[name + ".weight"] = function(tensors[name + ".weight"])

    return change


TAMPERED = {
    "q and k swapped": swap(("self_attn.q_proj", "self_attn.k_proj")),
    "v and o swapped": swap(("self_attn.v_proj", "self_attn.o_proj")),
    "gate and up swapped": swap(("mlp.gate_proj", "mlp.up_proj")),
    "norms swapped": swap(("input_layernorm", "post_attention_layernorm")),
    "a norm dropped": each(np.ones_like, LAYER + "input_layernorm"),
    "the last norm dropped": each(np.ones_like, "model.norm"),
    "o transposed": each(lambda w: np.ascontiguousarray(w.T), LAYER + "self_attn.o_proj"),
    "pairs interleaved": each(interleaved, LAYER + "self_attn.q_proj", LAYER + "self_attn.k_proj"),
    "a row of the head lost": each(lambda w: np.where(np.arange(len(w))[:, None] == 51_000, 0, w), "lm_head"),
    "head tied": each(lambda w: w[::-1].copy(), "lm_head"),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_files_with_other_weights_are_refused(exported, copy, change):
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(UserError, match="differ from the model's by"):
        verify(copy, exported.proof)


@pytest.mark.parametrize(
    ("name", "value"), [("num_attention_heads", 4), ("rms_norm_eps", 0.1), ("num_hidden_layers", 1)]
)
def test_a_config_that_describes_another_network_is_refused(exported, copy, name, value):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(UserError, match="differ from the model's by"):
        verify(copy, exported.proof)


def test_the_rotary_base_counts_and_is_the_same_in_both_places(exported, copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rope_theta": 500.0}))
    with pytest.raises(UserError, match="one base"):
        verify(copy, exported.proof)
    config |= {"rope_theta": 500.0, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="differ from the model's by"):
        verify(copy, exported.proof)


def test_logits_that_are_not_numbers_prove_nothing(exported):
    proof = exported.proof
    broken = proof.logits.copy()
    broken[3, 5] = np.nan
    with pytest.raises(UserError, match="nan"):
        verify(exported.folder, Proof(proof.tokens, broken, proof.tolerance))


def test_the_true_folder_is_within_rounding_of_float32(exported):
    assert exported.difference < 1e-4
    assert np.abs(exported.proof.logits).max() > 1, "logits so small that any network would pass"


@pytest.mark.parity
def test_the_forward_equals_that_of_transformers(exported):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(exported.folder)
    with torch.no_grad():
        theirs = model(torch.tensor(exported.proof.tokens[None], dtype=torch.long)).logits[0].numpy()
    assert np.abs(theirs - forward(exported.folder, exported.proof.tokens)).max() < 1e-4
    assert np.abs(theirs - exported.proof.logits).max() < 1e-4
