"""Prepared data on disk: rows of each stage, held-out documents, and the manifest that is written last.

    manifest.json                      counts, and the size and sha256 of every file; present means complete
    rows/<stage number>/<number>.npy   uint16 [n, L], in the order of training; a .json beside it when it is complete
    held_out.npy                       uint16 [documents, longest context]
    fates/<source>.npy                 uint8, what became of each document that a piece kept (choice.FATES)
    plan.json, pieces/                 see pieces/: inputs, tokens, tables of documents
    snapshot/                          see sources/catalog.py
    held_out/, near/, streams/         what workers tell each other: copies.py, duplicates.py, packing.py
    audit.json                         what came of every document: composition.py; a page may be made of it afterwards
    choice.json                        what was chosen; present means that fates and streams are complete

Nothing is read before the manifest is there, and nothing but the page is written after it.
"""

import bisect
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from xgen.core.errors import UserError
from xgen.core.ledger import counted_beside, entry_of, read_json, sha256_of_file, write_json
from xgen.core.types import Document
from xgen.data.choice import FATES, KEPT
from xgen.pieces.make import read_ledger
from xgen.pieces.plan import read_plan
from xgen.pieces.store import open_store, read_table
from xgen.sources.config import Source
from xgen.tokenizer.encoding import decode

FORM = 3
"""Of the files; a reader of another form refuses them."""
WITH_LEDGER = ("pieces/*.json", "rows/*/*.json")
WITHOUT = (
    "snapshot/*",
    "plan.json",
    "near/*",
    "held_out/*",
    "held_out.npy",
    "fates/*",
    "streams/*",
    "audit.json",
    "choice.json",
)
READ_BY_TRAINING = ("rows/", "held_out.npy")
ANEW = "Repair it with xgen audit --verify, or delete the folder and run xgen prepare again."
ROW_FILE_TOKENS = 1 << 26
"""Ids of a file of rows, 128 MiB: a second of work, and what a damage costs."""
MAX_OPEN = 64


@dataclass(frozen=True)
class RowFile:
    """The rows `first` to `stop` of a stage as one file."""

    stage_index: int
    number: int
    first: int
    stop: int

    def path(self, folder: Path) -> Path:
        return folder / "rows" / str(self.stage_index) / f"{self.number:06}.npy"

    def is_complete(self, folder: Path) -> bool:
        """Tell whether its ledger is there, and the file in its full size."""
        path = self.path(folder)
        ledger = path.with_suffix(".json")
        return ledger.exists() and path.exists() and path.stat().st_size == next(iter(_files_of(ledger)))[1]["bytes"]


def row_files(stage_index: int, num_rows: int, context_length: int) -> list[RowFile]:
    """Cut the rows of a stage into files of a fixed number of rows."""
    rows = max(1, ROW_FILE_TOKENS // context_length)
    return [
        RowFile(stage_index, number, first, min(first + rows, num_rows))
        for number, first in enumerate(range(0, num_rows, rows))
    ]


class Rows:
    """The N rows of L ids of a stage, as if they were one array; the files stay on the disk, memory-mapped."""

    def __init__(self, paths: Iterable[Path], firsts: list[int], shape: tuple[int, int]) -> None:
        self.paths, self.firsts, self.shape = list(paths), firsts, shape
        self._file = functools.lru_cache(MAX_OPEN)(lambda number: np.load(self.paths[number], mmap_mode="r"))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, span: slice) -> UInt16[np.ndarray, "n L"]:
        """Return the rows of a slice, whichever files they lie in."""
        start, stop, step = span.indices(len(self))
        assert step == 1
        parts, number = [np.zeros((0, self.shape[1]), np.uint16)], bisect.bisect_right(self.firsts, start) - 1
        while start < stop:
            first, rows = self.firsts[number], self._file(number)
            parts.append(rows[start - first : stop - first])
            start, number = first + len(rows), number + 1
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class Prepared:
    """A complete folder of prepared data. H held-out documents of the longest context C."""

    folder: Path
    manifest: dict[str, Any]

    def rows(self, stage_name: str) -> Rows:
        """Return the rows of a stage, which stay on the disk."""
        names = [stage["name"] for stage in self.manifest["stages"]]
        if stage_name not in names:
            raise UserError(f"{self.folder} has no stage '{stage_name}'", f"one of {names}", "Prepare the data anew.")
        index = names.index(stage_name)
        shape = (self.manifest["stages"][index]["rows"], self.manifest["stages"][index]["context_length"])
        files = row_files(index, *shape)
        return Rows([file.path(self.folder) for file in files], [file.first for file in files], shape)

    def held_out(self) -> UInt16[np.ndarray, "H C"]:
        """Return the first ids of every held-out document, as many as the longest context."""
        return np.load(self.folder / "held_out.npy")

    def documents(self, source: Source) -> Iterator[Document]:
        """Yield the documents of a source that may be trained on, as its filters left them, none that was held out.

        They come from their ids, so the input may be gone; the hash of its key is what is left of a document's name.
        """
        plan = read_plan(self.folder)
        store = open_store(self.folder, plan, source.name)
        fates = np.load(self.folder / "fates" / f"{source.name}.npy")
        first = 0
        for piece in plan.pieces:
            if piece.source == source.name:
                ledger, table = read_ledger(self.folder, piece.number), read_table(self.folder, piece.number)
                assert ledger is not None, "the folder is complete"
                licences, languages = list(ledger["licences"]), ledger["languages"]
                for index, row in enumerate(table[table["fate"] == 0], first):
                    if fates[index] == FATES.index(KEPT):
                        text, key = decode(store.document(index)), row["id"].tobytes().hex()
                        yield Document(source.name, key, text, licences[row["licence"]], languages[row["language"]])
                first += int(np.count_nonzero(table["fate"] == 0))


def write_rows(path: Path, shape: tuple[int, int], chunks: Iterable[UInt16[np.ndarray, "_ L"]]) -> None:
    """Write rows as they come; the file appears when all of them are there, and then its ledger."""
    num_rows = 0
    with counted_beside(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": shape})
        for rows in chunks:
            assert rows.shape[1] == shape[1]
            file.write(rows.astype("<u2").tobytes())
            num_rows += len(rows)
        assert num_rows == shape[0], f"{num_rows} rows of {shape[0]}"
    write_json(path.with_suffix(".json"), {"files": {f"rows/{path.parent.name}/{path.name}": file.entry()}})


def _files_of(ledger: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    return read_json(ledger)["files"].items()


def write_manifest(folder: Path, counts: dict[str, Any]) -> None:
    """Complete the folder: name every file with its size and checksum, as ledgers know them or as it is read."""
    ledgers = [path for pattern in WITH_LEDGER for path in folder.glob(pattern)]
    files = {name: entry for ledger in ledgers for name, entry in _files_of(ledger)}
    others = [path for pattern in WITHOUT for path in folder.glob(pattern) if not path.name.startswith(".")]
    files |= {path.relative_to(folder).as_posix(): entry_of(path) for path in [*ledgers, *others]}
    write_json(folder / "manifest.json", {"form": FORM, **counts, "files": dict(sorted(files.items()))})


def completed_by(name: str) -> str:
    """Name the file whose presence says that `name` is complete, and which goes with it where that is damaged."""
    folder, _, rest = name.partition("/")
    if folder in ("pieces", "rows"):
        return f"{folder}/{rest.partition('.')[0]}.json"
    return name if folder in ("snapshot", "plan.json") else "choice.json"


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
    """Open complete data; every file that training reads must be there in its full size (`verify` reads them all)."""
    manifest = open_manifest(folder)
    for name, entry in manifest["files"].items():
        if name.startswith(READ_BY_TRAINING):
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
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != entry["sha256"]:
            raise UserError(f"{path} has changed since it was written", f"sha256 {entry['sha256']}", ANEW)
    return prepared
