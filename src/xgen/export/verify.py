"""Compute the logits of a finished Hugging Face folder a second way, and refuse the folder if they are not the model's.

The network is written here once more, in NumPy, to Hugging Face's conventions, and reads nothing but the files: a round
trip through our own reader would prove nothing. Shape letters: L positions, D dim, H heads, K size of a head, V
vocabulary.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (gives NumPy the type bfloat16, which safetensors answers with)
import numpy as np
from jaxtyping import Float, Float64, Integer
from safetensors import safe_open

from xgen.core.errors import UserError

Weight = Callable[[str], np.ndarray]


class Proof(NamedTuple):
    """What a folder must reproduce: the logits of one row of tokens, each within `tolerance`."""

    tokens: Integer[np.ndarray, "L"]
    logits: Float[np.ndarray, "L V"]
    tolerance: float


def verify(folder: Path, proof: Proof) -> float:
    """Return the largest absolute difference between the folder's logits and the model's; UserError above tolerance."""
    assert len(proof.tokens) > 1, "one token attends to itself alone: q, k and the rotary embedding would go unproved"
    logits_LV = forward(folder, proof.tokens)
    if logits_LV.shape != proof.logits.shape:
        raise UserError(
            f"the files give logits of shape {logits_LV.shape}",
            f"{proof.logits.shape}, as the model",
            "Report this as a defect: nothing was exported.",
        )
    difference = float(np.max(np.abs(logits_LV - proof.logits)))
    if not difference <= proof.tolerance:  # written so that NaN is refused too
        raise UserError(
            f"the logits of the exported files differ from the model's by {difference:.3g}",
            f"at most {proof.tolerance:.3g}",
            "Nothing was exported. If the model's own logits are finite, report this as a defect.",
        )
    return difference


def forward(folder: Path, tokens_L: Integer[np.ndarray, "L"]) -> Float64[np.ndarray, "L V"]:
    """Run LlamaForCausalLM as its files describe it, in float64, with one matrix in memory at a time."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weight = _reader(folder)
    heads = config["num_attention_heads"]
    rotary = _rotary(len(tokens_L), config["hidden_size"] // heads, _rope_theta(config))
    hidden_LD = weight("model.embed_tokens.weight")[tokens_L].astype(np.float64)
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        normed = _rms_norm(hidden_LD, weight(name + "input_layernorm.weight"), config["rms_norm_eps"])
        hidden_LD = hidden_LD + _attention(normed, name + "self_attn.", weight, heads, rotary)
        normed = _rms_norm(hidden_LD, weight(name + "post_attention_layernorm.weight"), config["rms_norm_eps"])
        hidden_LD = hidden_LD + _mlp(normed, name + "mlp.", weight)
    hidden_LD = _rms_norm(hidden_LD, weight("model.norm.weight"), config["rms_norm_eps"])
    return _linear(hidden_LD, weight("lm_head.weight"))


def _attention(x_LD: np.ndarray, name: str, weight: Weight, heads: int, rotary: np.ndarray) -> np.ndarray:
    length = len(x_LD)
    q_HLK, k_HLK, v_HLK = (
        _linear(x_LD, weight(f"{name}{kind}_proj.weight")).reshape(length, heads, -1).swapaxes(0, 1) for kind in "qkv"
    )
    q_HLK, k_HLK = _apply_rotary(q_HLK, rotary), _apply_rotary(k_HLK, rotary)
    scores_HLL = q_HLK @ k_HLK.swapaxes(1, 2) / np.sqrt(q_HLK.shape[-1])
    scores_HLL[:, np.triu(np.ones((length, length), bool), k=1)] = -np.inf
    exp_HLL = np.exp(scores_HLL - scores_HLL.max(axis=-1, keepdims=True))
    read_HLK = exp_HLL / exp_HLL.sum(axis=-1, keepdims=True) @ v_HLK
    return _linear(read_HLK.swapaxes(0, 1).reshape(length, -1), weight(name + "o_proj.weight"))


def _mlp(x_LD: np.ndarray, name: str, weight: Weight) -> np.ndarray:
    gate = _linear(x_LD, weight(name + "gate_proj.weight"))
    up = _linear(x_LD, weight(name + "up_proj.weight"))
    silu = gate * (1 + np.tanh(gate / 2)) / 2  # gate * sigmoid(gate), without overflow
    return _linear(silu * up, weight(name + "down_proj.weight"))


def _linear(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """torch.nn.Linear without a bias: its weight is (out, in)."""
    return x @ weight.astype(np.float64).T


def _rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return weight.astype(np.float64) * (x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps))


def _rotary(length: int, head_dim: int, theta: float) -> np.ndarray:
    inverse_frequencies = 1 / theta ** (np.arange(0, head_dim, 2) / head_dim)
    angles = np.outer(np.arange(length), inverse_frequencies)
    angles_LK = np.concatenate([angles, angles], axis=-1)
    return np.stack([np.cos(angles_LK), np.sin(angles_LK)])


def _apply_rotary(x_HLK: np.ndarray, rotary: np.ndarray) -> np.ndarray:
    """Compute x cos + rotate_half(x) sin."""
    half = x_HLK.shape[-1] // 2
    rotated = np.concatenate([-x_HLK[..., half:], x_HLK[..., :half]], axis=-1)
    return x_HLK * rotary[0] + rotated * rotary[1]


def _rope_theta(config: dict[str, Any]) -> float:
    """Read the base from both places that readers look at; they may not disagree."""
    old, new = config["rope_theta"], config["rope_parameters"]["rope_theta"]
    if old != new:
        raise UserError(
            f"config.json has rope_theta {old} and rope_parameters.rope_theta {new}",
            "one base",
            "Report this as a defect: nothing was exported.",
        )
    return float(new)


def _reader(folder: Path) -> Weight:
    index = folder / "model.safetensors.index.json"
    files = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index.exists() else {}

    def read(name: str) -> np.ndarray:
        file = files[name] if files else "model.safetensors"
        with safe_open(folder / file, framework="np") as tensors:
            return tensors.get_tensor(name)

    return read
