"""Find the tensors of a Hugging Face folder, whichever files hold them: by name, with a shape and a reader."""

from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes  # noqa: F401  (gives NumPy the type bfloat16, which safetensors answers with)
import numpy as np
from safetensors import SafetensorError, safe_open

from xgen.core.errors import UserError
from xgen.core.ledger import read_json
from xgen.export import torch_archive
from xgen.export.torch_archive import StoredTensor

READ_TYPES = {"F32", "F16", "BF16"}


def find(folder: Path) -> dict[str, StoredTensor]:
    """Describe every tensor; safetensors before .bin where both are there. UserError for what cannot be read."""
    for stem, describe in (("model.safetensors", _safetensors), ("pytorch_model.bin", torch_archive.tensors)):
        if (folder / f"{stem}.index.json").exists():
            return _of_shards(folder, folder / f"{stem}.index.json", describe)
        if (folder / stem).exists():
            return dict(describe(folder / stem))
    raise UserError(
        f"{folder} holds no weights",
        "model.safetensors or pytorch_model.bin, whole or with an index",
        "Check the path, or download the folder again.",
    )


def _of_shards(
    folder: Path, index: Path, describe: Callable[[Path], Mapping[str, StoredTensor]]
) -> dict[str, StoredTensor]:
    plain = read_json(index)
    weight_map = plain.get("weight_map") if isinstance(plain, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise UserError(f"{index} has no weight_map", "an index of shards", "Download the file again.")
    found: dict[str, StoredTensor] = {}
    for file in sorted(set(weight_map.values())):
        if Path(file).name != file or not (folder / file).is_file():
            raise UserError(
                f"{index} names '{file}', which is not in the folder",
                "every shard beside its index",
                "Download the missing file.",
            )
        described = describe(folder / file)
        if twice := sorted(found.keys() & described):
            raise UserError(f"{twice[0]} is in two files of {folder}", "each tensor once", "Download the folder again.")
        found |= described
    return found


def _safetensors(path: Path) -> dict[str, StoredTensor]:
    def reader(name: str) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            with safe_open(path, framework="np") as file:
                return file.get_tensor(name)

        return read

    try:
        with safe_open(path, framework="np") as file:
            described = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            types = {name: part.get_dtype() for name, part in described.items()}
            shapes = {name: tuple(part.get_shape()) for name, part in described.items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error})", "a whole safetensors file", "Download it again.") from None
    if other := [name for name, kind in types.items() if kind not in READ_TYPES]:
        raise UserError(
            f"{other[0]} in {path} has numbers of type {types[other[0]]}",
            f"one of {', '.join(sorted(READ_TYPES))}",
            "Take a checkpoint that is not quantized.",
        )
    return {name: StoredTensor(shape, reader(name)) for name, shape in shapes.items()}
