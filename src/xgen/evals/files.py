"""Where the questions come from: files below a folder that a person names, in the layouts of their authors, or the hub.

The one place of evaluations that reaches for a network, and only where no folder is named.
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError

Row = dict[str, Any]


@dataclass(frozen=True)
class DataSet:
    """One split of a public data set: patterns of its files, the first that matches counts, and its name on the hub."""

    patterns: tuple[str, ...]
    hub: str
    config: str | None
    split: str


def read(data: DataSet, folder: Path | None) -> tuple[list[Row], dict[str, str]]:
    """Return all rows and their origin: file and checksum, or the name on the hub."""
    if folder is None:
        return from_hub(data.hub, data.config, data.split), {"hub": f"{data.hub} {data.config or ''} {data.split}"}
    path = find(folder, data.patterns)
    return rows_of(path), origin_of([path], folder)


def find(folder: Path, patterns: Iterable[str]) -> Path:
    """Find the first file, in the order of the patterns and then of paths."""
    for pattern in patterns:
        if found := sorted(path for path in folder.rglob(pattern) if path.is_file()):
            return found[0]
    raise UserError(
        f"no file below '{folder}' is called {' or '.join(patterns)}",
        "the data set in the layout of its authors",
        "Put it there, or leave --data out to fetch it from the hub.",
    )


def origin_of(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    """Name files below a folder, and identify their content."""
    paths = list(paths)
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
    first = paths[0].relative_to(folder).as_posix()
    return {"files": first if len(paths) == 1 else f"{first} and {len(paths) - 1} more", "sha256": digest}


def identify(folder: Path) -> str:
    """Name a Hugging Face folder by its network and its weights: their sizes and how each file begins."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(1 << 20))
    return digest.hexdigest()[:10]


def rows_of(path: Path) -> list[Row]:
    """Read a file of rows: .jsonl, .json, .csv with a header, .arrow or .parquet; .gz around the first three."""
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith((".arrow", ".parquet")):
            return _columnar(path)
        raw = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
        text = raw.decode("utf-8-sig")
        if name.endswith(".csv"):
            return list(csv.DictReader(io.StringIO(text, newline="")))
        if name.endswith(".json"):
            return json.loads(text)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error})", "a whole file of the data set", "Fetch the file again."
        ) from None


def _columnar(path: Path) -> list[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path.name} needs pyarrow, which is not installed", "pyarrow", "pip install 'xgen[data]'"
        ) from None
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path).to_pylist()
        with pyarrow.memory_map(str(path)) as source:
            return pyarrow.ipc.open_stream(source).read_all().to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise ValueError(error) from None


def from_hub(name: str, config: str | None, split: str) -> list[Row]:
    """Fetch one split from the Hugging Face hub, or from its cache on this machine."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"fetching {name} needs the library datasets, which is not installed",
            "data on this machine or the library",
            "Name a folder with --data, or: pip install 'xgen[eval]'",
        ) from None
    try:
        return [dict(row) for row in datasets.load_dataset(name, config, split=split)]
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{name} could not be fetched from the hub ({type(error).__name__}: {reason})",
            "the hub, or the data set in its cache",
            "Try again with a network, or name a folder with --data.",
        ) from None
