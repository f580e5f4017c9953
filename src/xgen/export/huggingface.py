"""A folder that LlamaForCausalLM.from_pretrained loads, both directions; one is finished only when it is proved.

Holds   config.json, generation_config.json     the network
        model.safetensors                       its weights; or shards of them and model.safetensors.index.json
        tokenizer.json, tokenizer_config.json   the tokenizer, which needs no code of ours
        chat_template.jinja                     how a tuned model is asked
        README.md                               the model card
        xgen.json                               what wrote the folder and how near its logits are
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from xgen import __version__
from xgen.core.errors import UserError
from xgen.core.ledger import locked, read_json, require_space, write_json, write_text
from xgen.core.progress import track
from xgen.export import weights
from xgen.export.chat_template import jinja
from xgen.export.llama_config import StorageType, config_json, generation_config_json, read_config
from xgen.export.tokenizer_json import tokenizer_config, tokenizer_json
from xgen.export.torch_archive import StoredTensor
from xgen.export.verify import Proof, verify
from xgen.model.config import ModelConfig
from xgen.model.params import Row, count, shape_of, table
from xgen.tokenizer.chat import template_named

MARKER = "xgen.json"
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
IGNORED = "rotary_emb.inv_freq"
"""Tensors that end so are no weights: old versions of transformers saved the rotary frequencies."""

Stacked = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Release:
    """What a folder says besides the weights."""

    context_length: int
    card: str
    """README.md."""
    template: str
    """The entry of TEMPLATES in tokenizer/chat.py that the model was tuned with; empty for a base model."""
    dtype: StorageType = "float32"
    max_shard_bytes: int = 5_000_000_000
    extra: Mapping[str, str] = field(default_factory=dict)
    """More text files by name, such as notices."""


def as_stored(params: Stacked, dtype: StorageType) -> dict[str, np.ndarray]:
    """Round float32 parameters to what a folder of `dtype` holds; the proof's logits must come from these."""
    return {name: value.astype(DTYPES[dtype]).astype(np.float32) for name, value in params.items()}


def write_folder(folder: Path, config: ModelConfig, params: Stacked, release: Release, proof: Proof) -> float:
    """Write and prove a folder beside `folder`, then give it that name; an earlier export of ours is replaced.

    `params` are float32 and stacked, by the names of the parameter table. Returns the largest difference of the
    proof. UserError, and nothing under `folder`, for a proof that fails, a full disk, or a folder that is not ours.
    """
    plain = config_json(config, release.context_length, release.dtype)
    folder = folder.absolute()
    beside, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "old"))
    with locked(beside):
        if (old / MARKER).exists() and not folder.exists():
            old.replace(folder)  # a kill came between the two renamings below
        _remove(old)
        try:
            _require_ours(folder)
            _empty(beside)
            require_space(beside, count(config) * DTYPES[release.dtype].itemsize)
            write_json(beside / "config.json", plain)
            _write_weights(beside, config, params, release)
            _write_texts(beside, release)
            difference = verify(beside, proof)
            write_json(
                beside / MARKER,
                {
                    "xgen": __version__,
                    "largest_logit_difference": difference,
                    "tolerance": proof.tolerance,
                    "proof_tokens": len(proof.tokens),
                },
            )
            _to_disk(beside)
        except BaseException:
            shutil.rmtree(beside)
            raise
        (beside / ".lock").unlink()
        if folder.exists():
            folder.replace(old)
        beside.replace(folder)
        _remove(old)
    return difference


class Opened(NamedTuple):
    """A LLaMA-shaped folder whose weights are checked by name and shape and not read yet."""

    config: ModelConfig
    context_length: int
    tensors: Mapping[str, StoredTensor]

    def weights(self) -> Iterator[tuple[str, int | None, np.ndarray]]:
        """Read one weight after another: its name in the table, its layer (None for those of no layer), its values."""
        places = dict(_places(self.config))
        for name, (row, layer) in track(places.items(), "read", len(places)):
            yield row.name, layer if isinstance(layer, int) else None, self.tensors[name].read()


def read_folder(folder: Path) -> tuple[ModelConfig, dict[str, np.ndarray], int]:
    """Read a LLaMA-shaped folder: its shape, its float32 parameters stacked as the table says, its context length."""
    opened = open_folder(folder)
    params = {row.name: np.empty(shape_of(row, opened.config), np.float32) for row in table(opened.config)}
    for name, layer, value in opened.weights():
        params[name][slice(None) if layer is None else layer] = value
    return opened.config, params, opened.context_length


def open_folder(folder: Path) -> Opened:
    """Look at a folder without reading its weights: safetensors or the .bin files of 2023, whole or in shards.

    UserError for another architecture, for weights that are missing, unexpected or of another shape, and for damaged
    files.
    """
    config, context_length = read_config(read_json(folder / "config.json"))
    found = {name: tensor for name, tensor in weights.find(folder).items() if not name.endswith(IGNORED)}
    places = dict(_places(config))
    if missing := [name for name in places if name not in found]:
        raise _mismatch(folder, f"lacks {missing[0]} and {len(missing) - 1} more", f"{len(places)} weights")
    if unexpected := sorted(found.keys() - places.keys()):
        raise _mismatch(folder, f"has {unexpected[0]} and {len(unexpected) - 1} more", "only LLaMA's weights")
    for name, (row, _) in places.items():
        shape = shape_of(row, config)[row.stacked :]
        if found[name].shape != shape:
            raise _mismatch(folder, f"has {name} of shape {list(found[name].shape)}", f"{list(shape)}")
    return Opened(config, context_length, found)


def _places(config: ModelConfig) -> Iterator[tuple[str, tuple[Row, int | slice]]]:
    """Give each Hugging Face name its row of the table and its index there, layer after layer."""
    rows = table(config)
    yield from ((row.hf_name, (row, slice(None))) for row in rows if not row.stacked)
    for layer in range(config.num_layers):
        yield from ((row.hf_name.format(layer=layer), (row, layer)) for row in rows if row.stacked)


def _shards(config: ModelConfig, release: Release) -> list[dict[str, tuple[Row, int | slice]]]:
    """Divide the weights into files of at most `max_shard_bytes`, or of one weight."""
    shards: list[dict[str, tuple[Row, int | slice]]] = []
    room = 0
    for name, (row, layer) in _places(config):
        size = prod(shape_of(row, config)[row.stacked :]) * DTYPES[release.dtype].itemsize
        if size > room or not shards:
            shards.append({})
            room = release.max_shard_bytes
        shards[-1][name] = row, layer
        room -= size
    return shards


def _write_weights(folder: Path, config: ModelConfig, params: Stacked, release: Release) -> None:
    shards = _shards(config, release)
    files = (
        ["model.safetensors"]
        if len(shards) == 1
        else [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    )
    total = 0
    for file, shard in track(zip(files, shards, strict=True), "export", len(shards)):
        arrays = {
            name: np.ascontiguousarray(params[row.name][layer]).astype(DTYPES[release.dtype], copy=False)
            for name, (row, layer) in shard.items()
        }
        save_file(arrays, folder / file, metadata={"format": "pt"})
        total += sum(array.nbytes for array in arrays.values())
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
        write_json(
            folder / "model.safetensors.index.json",
            {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))},
        )


def _write_texts(folder: Path, release: Release) -> None:
    write_json(folder / "generation_config.json", generation_config_json())
    write_json(folder / "tokenizer.json", tokenizer_json())
    write_json(folder / "tokenizer_config.json", tokenizer_config(release.context_length))
    texts = {"README.md": release.card, **release.extra}
    if release.template:
        texts["chat_template.jinja"] = jinja(template_named(release.template))
    for name, text in texts.items():
        write_text(folder / name, text)


def _require_ours(folder: Path) -> None:
    if folder.exists() and not (folder / MARKER).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"{folder} exists and is no export of xgen",
            "a new name, or an earlier export",
            "Name another folder, or move this one away.",
        )


def _empty(folder: Path) -> None:
    """Remove what an interrupted export left, except the lock that is held."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def _remove(old: Path) -> None:
    """Delete an export that was replaced; without its marker, what a kill leaves of it is never taken for one."""
    if old.exists():
        (old / MARKER).unlink(missing_ok=True)
        shutil.rmtree(old)


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _mismatch(folder: Path, found: str, expected: str) -> UserError:
    return UserError(f"{folder} {found}", expected, "The files do not belong to this config.json: download them again.")


def is_tuned(folder: Path) -> bool:
    """Tell whether a folder's model is asked in a chat template."""
    return (folder / "chat_template.jinja").exists()
