"""Prepared data on disk: rows of each stage, held-out documents, and the manifest that is written last.

    manifest.json              counts, and the size and sha256 of every file; present means complete
    rows/<stage number>.npy    uint16 [N, L], in the order of training
    held_out.npy               uint16 [documents, longest context]
    fates/<source>.npy         uint8, what became of each document of the token store (choice.FATES)
    snapshot/, tokens/         see sources.py and tokens.py

Nothing is read before the manifest is there, and nothing is written after it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from xgen.core.errors import UserError
from xgen.core.ledger import read_json, sha256_of_file, write_json, written_beside
from xgen.core.types import Document
from xgen.data.choice import FATES, KEPT
from xgen.filters.catalog import Screen
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop
from xgen.sources.catalog import read_snapshot
from xgen.sources.config import Source

FORM = 2
"""Of the files; a reader of another form refuses them."""
PARTS = ("snapshot/*", "tokens/*", "fates/*", "rows/*", "held_out.npy")
ANEW = "Repair it with xgen audit --verify, or delete the folder and run xgen prepare again."


@dataclass(frozen=True)
class Prepared:
    """A complete folder of prepared data. N rows of L ids, H held-out documents of the longest context C."""

    folder: Path
    manifest: dict[str, Any]

    def rows(self, stage_name: str) -> UInt16[np.ndarray, "N L"]:
        """Return the rows of a stage, memory-mapped."""
        names = [stage["name"] for stage in self.manifest["stages"]]
        if stage_name not in names:
            raise UserError(f"{self.folder} has no stage '{stage_name}'", f"one of {names}", "Prepare the data anew.")
        return np.load(rows_path(self.folder, names.index(stage_name)), mmap_mode="r")

    def held_out(self) -> UInt16[np.ndarray, "H C"]:
        """Return the first ids of every held-out document, as many as the longest context."""
        return np.load(self.folder / "held_out.npy")

    def documents(self, source: Source, config: FilterConfig) -> Iterator[Document]:
        """Yield the documents of a source that may be trained on, as its filters left them, none that was held out."""
        keys = read_json(self.folder / "tokens" / f"{source.name}.keys.json")
        fates = np.load(self.folder / "fates" / f"{source.name}.npy")
        kept = {keys[index] for index in np.flatnonzero(fates == FATES.index(KEPT))}
        screen = Screen(source.filters, config)
        judged = (screen(document) for document in read_snapshot(self.folder, source.name) if document.key in kept)
        return (document for document in judged if not isinstance(document, Drop))


def rows_path(folder: Path, stage_index: int) -> Path:
    return folder / "rows" / f"{stage_index}.npy"


def write_rows(path: Path, shape: tuple[int, int], chunks: Iterable[UInt16[np.ndarray, "_ L"]]) -> None:
    """Write rows as they come; the file appears when all of them are there."""
    num_rows = 0
    with written_beside(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": shape})
        for rows in chunks:
            assert rows.shape[1] == shape[1]
            file.write(rows.astype("<u2").tobytes())
            num_rows += len(rows)
        assert num_rows == shape[0], f"{num_rows} rows of {shape[0]}"


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a whole array, complete or not at all."""
    with written_beside(path) as file:
        np.save(file, array)


def write_manifest(folder: Path, counts: dict[str, Any]) -> None:
    """Complete the folder: name every file with its size and checksum."""
    paths = sorted(path for part in PARTS for path in folder.glob(part) if not path.name.startswith("."))
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in paths
    }
    write_json(folder / "manifest.json", {"form": FORM, **counts, "files": files})


def is_complete(folder: Path) -> bool:
    return (folder / "manifest.json").exists()


def open_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of complete data of this version's form, whatever became of the files since."""
    if not is_complete(folder):
        raise UserError(
            f"{folder} has no manifest.json", "complete prepared data", "Run xgen prepare: it continues where it was."
        )
    manifest = read_json(folder / "manifest.json")
    if manifest.get("form") != FORM:
        raise UserError(f"{folder} is in form {manifest.get('form')}", f"form {FORM} of this version of xgen", ANEW)
    return manifest


def open_prepared(folder: Path) -> Prepared:
    """Open complete data; every file must be there in its full size (`verify` reads them, too)."""
    manifest = open_manifest(folder)
    for name, entry in manifest["files"].items():
        path = folder / name
        found = path.stat().st_size if path.exists() else None
        if found != entry["bytes"]:
            raise UserError(
                f"{path} is missing" if found is None else f"{path} has {found:,} bytes",
                f"the {entry['bytes']:,} bytes that were written",
                ANEW,
            )
    return Prepared(folder, manifest)


def verify(folder: Path) -> Prepared:
    """Open prepared data and compare the checksum of every file."""
    prepared = open_prepared(folder)
    for name, entry in prepared.manifest["files"].items():
        if sha256_of_file(folder / name) != entry["sha256"]:
            raise UserError(f"{folder / name} has changed since it was written", f"sha256 {entry['sha256']}", ANEW)
    return prepared
