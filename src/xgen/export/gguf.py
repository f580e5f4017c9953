"""A GGUF file for llama.cpp and what is built on it, straight from a model's weights; needs the extra `gguf`.

llama.cpp turns neighboring pairs of a head where Hugging Face turns its halves, so the rows of q and k are put in that
order; without it nothing fails and every answer is wrong. Runs of whitespace are ordinary tokens with their merges.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xgen.core.errors import UserError
from xgen.core.ledger import locked, require_space
from xgen.export.chat_template import jinja
from xgen.export.tokenizer_json import tokenizer_json
from xgen.model.config import ModelConfig
from xgen.model.params import count, table
from xgen.tokenizer.chat import template_named
from xgen.tokenizer.specials import END_OF_TEXT, NUM_ROWS, SPECIALS

GgufType = Literal["f32", "f16", "bf16", "q8_0"]
BYTES = {"f32": 4, "f16": 2, "bf16": 2, "q8_0": 34 / 32}
"""Bytes of one element of a matrix."""

NAMES = {
    "embed": "token_embd",
    "attention_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "final_norm": "output_norm",
    "head": "output",
}
"""Our name of a weight and llama.cpp's."""


def write_gguf(
    path: Path,
    config: ModelConfig,
    params: Mapping[str, np.ndarray],
    context_length: int,
    kind: GgufType,
    template: str = "",
) -> None:
    """Write one file beside `path` and rename it; norms stay float32, as llama.cpp asks.

    `params` are float32 and stacked, by the names of the parameter table; `template` is the entry of TEMPLATES that a
    tuned model is asked in. UserError without the package `gguf`, or for rows that the kind cannot divide.
    """
    gguf = _library()
    _require_rows(config, kind)
    path = path.absolute()
    beside = path.with_name(f".{path.name}.partial")
    with locked(beside):
        require_space(path.parent, int(count(config) * BYTES[kind]))
        writer = gguf.GGUFWriter(beside / path.name, "llama")
        _add_shape(writer, gguf, config, context_length, path.stem, kind)
        _add_tokenizer(writer, gguf, template)
        for name, row, array in _tensors(config, params):
            stored = kind if row.decayed else "f32"
            number_type = gguf.GGMLQuantizationType[stored.upper()]
            data = gguf.quants.quantize(np.ascontiguousarray(array, np.float32), number_type)
            writer.add_tensor(name, data, raw_dtype=number_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with (beside / path.name).open("rb") as file:
            os.fsync(file.fileno())
        (beside / path.name).replace(path)
        shutil.rmtree(beside)


def interleaved(weight_ED: np.ndarray, num_heads: int) -> np.ndarray:
    """Put the rows of q or k so that each pair (i, i + K/2) of a head becomes the neighbors (2i, 2i + 1)."""
    halves = weight_ED.reshape(num_heads, 2, -1, weight_ED.shape[-1])
    return halves.swapaxes(1, 2).reshape(weight_ED.shape)


def _tensors(config: ModelConfig, params: Mapping[str, np.ndarray]) -> Any:
    for row in table(config):
        for layer in range(config.num_layers) if row.stacked else (slice(None),):
            array = params[row.name][layer]
            if row.name in ("q", "k"):
                array = interleaved(array, config.num_heads)
            prefix = f"blk.{layer}." if row.stacked else ""
            yield f"{prefix}{NAMES[row.name]}.weight", row, array


def _add_shape(writer: Any, gguf: Any, config: ModelConfig, context_length: int, name: str, kind: GgufType) -> None:
    file_types = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[file_types[kind]])
    if kind == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(context_length)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.num_layers)
    writer.add_feed_forward_length(config.ffn_dim)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: Any, gguf: Any, template: str) -> None:
    plain = tokenizer_json()
    names = {token: name for name, token in plain["model"]["vocab"].items()}
    names |= {entry["id"]: entry["content"] for entry in plain["added_tokens"]}
    special = {entry["id"] for entry in plain["added_tokens"]}
    assert len(names) == NUM_ROWS and set(SPECIALS.values()) <= special
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([names[token] for token in range(NUM_ROWS)])
    writer.add_token_types([control if token in special else normal for token in range(NUM_ROWS)])
    writer.add_token_merges(plain["model"]["merges"])
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(END_OF_TEXT)
    writer.add_add_bos_token(value=False)
    if template:
        writer.add_chat_template(jinja(template_named(template)))


def _require_rows(config: ModelConfig, kind: GgufType) -> None:
    inputs = {row: size for row, size in (("dim", config.dim), ("ffn_dim", config.ffn_dim)) if size % 32}
    if kind == "q8_0" and inputs:
        raise UserError(
            f"a model with {' and '.join(f'{name} {size}' for name, size in inputs.items())}",
            "multiples of 32, the block of q8_0",
            "Write f16 or bf16.",
        )


def _library() -> Any:
    try:
        import gguf
    except ModuleNotFoundError:
        raise UserError(
            "the package gguf is not installed", "it, to write GGUF files", "pip install 'xgen[gguf]'"
        ) from None
    return gguf
