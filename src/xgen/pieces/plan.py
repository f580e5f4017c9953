"""The plan of a preparation: its inputs as they were found, cut into pieces; what changes afterwards is refused.

plan.json says what the data are made of: the recipe's part, the tokenizer, the versions of what decides about bytes,
every input with its size and mark, and the pieces. It is written once and read by every worker on every machine.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import read_json, write_json
from xgen.filters.config import FilterConfig
from xgen.sources.addresses import File, list_files
from xgen.sources.catalog import snapshot_path
from xgen.sources.config import Source
from xgen.sources.files import FILE_READERS, FileReader
from xgen.sources.rows import JSON_LINES, kind_of, row_group_bytes
from xgen.sources.streams import COMPRESSED

FORM = 2
"""Of the pieces: raised where the same input would give other bytes than before."""
DECIDES = ("license-expression", "orjson", "py3langid", "pyarrow", "rensa", "tiktoken")
"""Packages whose version may change what a piece holds."""
PIECE_BYTES = 32 << 20
"""Of input, as it lies there: seconds to a minute of work, which is what a kill can cost."""
MAX_PIECES = 1 << 14
"""Where there are more inputs than that many pieces of PIECE_BYTES hold, pieces grow."""


@dataclass(frozen=True)
class Piece:
    """What is done in one go: files of one source, or the part of one that its `start` and `stop` say."""

    number: int
    source: str
    files: tuple[File, ...]

    @property
    def num_bytes(self) -> int:
        """The size of the input, as far as it is known."""
        return sum((file.num_bytes if file.stop is None else file.stop) - file.start for file in self.files)

    def __str__(self) -> str:
        first, last = self.files[0], self.files[-1]
        what = first.address + (f" to {last.key}" if len(self.files) > 1 else "")
        return what if first.stop is None else f"{what} (from {first.start:,} to {first.stop:,})"


@dataclass(frozen=True)
class Plan:
    """`made_of` is all besides inputs that the data depend on; `asides` are files that filters and readers use."""

    made_of: dict[str, Any]
    inputs: dict[str, list[File]]
    asides: list[File]
    pieces: list[Piece]


def packages() -> dict[str, str]:
    """Name the versions of the packages that decide about bytes, as far as they are installed."""
    found = {}
    for name in DECIDES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def list_inputs(
    folder: Path, sources: Sequence[Source], filters: FilterConfig
) -> tuple[dict[str, list[File]], list[File]]:
    """List inputs and asides as they are now; the snapshots of sources that need one must be there."""
    inputs = {source.name: _inputs(folder, source) for source in sources}
    places = dict.fromkeys(
        [source.licences for source in sources]
        + [filters.evaluations if any("decontamination" in source.filters for source in sources) else ""]
        + [filters.word_list if any("toxicity" in source.filters for source in sources) else ""]
    )
    return inputs, [file for place in places if place for file in list_files(Source("aside", "files", place, "", 0))]


def make_plan(folder: Path, sources: Sequence[Source], filters: FilterConfig, made_of: dict[str, Any]) -> Plan:
    """Cut the inputs, as they are now, into pieces."""
    inputs, asides = list_inputs(folder, sources, filters)
    total = sum(max(0, file.num_bytes) for files in inputs.values() for file in files)
    size = max(PIECE_BYTES, -(-total // MAX_PIECES))
    pieces: list[Piece] = []
    for source in sources:
        splits = not needs_snapshot(source) and reader_of(source).reads_rows
        for files in _grouped(_parts(inputs[source.name], size, splits), size):
            pieces.append(Piece(len(pieces), source.name, files))
    return Plan(_whole(made_of), inputs, asides, pieces)


def _whole(made_of: dict[str, Any]) -> dict[str, Any]:
    return {"form": FORM, "packages": packages(), **made_of}


def needs_snapshot(source: Source) -> bool:
    """Tell whether a source is no list of files: what it reads is kept, since nobody can name it again."""
    return source.reader not in FILE_READERS


def reader_of(source: Source) -> FileReader:
    return FILE_READERS[source.reader]


def _inputs(folder: Path, source: Source) -> list[File]:
    if not needs_snapshot(source):
        return reader_of(source).list_files(source)
    path = snapshot_path(folder, source.name)
    return [File(path.name, path.relative_to(folder).as_posix(), path.stat().st_size, source.licence)]


def _parts(files: Sequence[File], size: int, splits: bool) -> Iterator[File]:
    """Cut what is larger than a piece and can be read in parts."""
    for file in files:
        if not splits or file.num_bytes <= size:
            yield file
        elif kind_of(file) == "parquet":
            yield from _row_groups(file, size)
        elif kind_of(file) in JSON_LINES and not file.key.endswith(COMPRESSED):
            starts = range(0, file.num_bytes, size)
            yield from (replace(file, start=start, stop=min(start + size, file.num_bytes)) for start in starts)
        else:
            yield file


def _row_groups(file: File, size: int) -> Iterator[File]:
    start, held = 0, 0
    groups = row_group_bytes(file)
    for number, num_bytes in enumerate(groups):
        held += num_bytes
        if held >= size and number + 1 < len(groups):
            yield replace(file, start=start, stop=number + 1)
            start, held = number + 1, 0
    yield replace(file, start=start, stop=len(groups)) if start else file


def _grouped(parts: Iterator[File], size: int) -> Iterator[tuple[File, ...]]:
    """Join whole files that follow each other until they fill a piece; a part is a piece of its own."""
    group: list[File] = []
    held = 0
    for part in parts:
        is_cut = part.start > 0 or part.stop is not None
        if group and (is_cut or held + part.num_bytes > size):
            yield tuple(group)
            group, held = [], 0
        if is_cut:
            yield (part,)
        else:
            group.append(part)
            held += max(0, part.num_bytes)
    if group:
        yield tuple(group)


def plan_path(folder: Path) -> Path:
    return folder / "plan.json"


def write_plan(folder: Path, plan: Plan) -> None:
    """Write plan.json: a list of inputs, and pieces as numbers of inputs with the parts of them."""
    numbers = {(source, file.key): number for number, (source, file) in enumerate(_all(plan.inputs))}
    value = {
        "made_of": plan.made_of,
        "inputs": [{"source": source, **_plain(file)} for source, file in _all(plan.inputs)],
        "asides": [_plain(file) for file in plan.asides],
        "pieces": [
            {
                "source": piece.source,
                "files": [[numbers[piece.source, file.key], file.start, file.stop] for file in piece.files],
            }
            for piece in plan.pieces
        ],
    }
    write_json(plan_path(folder), value)


def read_plan(folder: Path) -> Plan:
    """Read the plan back."""
    value = read_json(plan_path(folder))
    files = [File(**{key: found for key, found in entry.items() if key != "source"}) for entry in value["inputs"]]
    inputs: dict[str, list[File]] = {}
    for entry, file in zip(value["inputs"], files, strict=True):
        inputs.setdefault(entry["source"], []).append(file)
    pieces = [
        Piece(
            number,
            piece["source"],
            tuple(
                files[at] if (start, stop) == (0, None) else replace(files[at], start=start, stop=stop)
                for at, start, stop in piece["files"]
            ),
        )
        for number, piece in enumerate(value["pieces"])
    ]
    return Plan(value["made_of"], inputs, [File(**entry) for entry in value["asides"]], pieces)


def _all(inputs: Mapping[str, Sequence[File]]) -> Iterator[tuple[str, File]]:
    return ((source, file) for source, files in inputs.items() for file in files)


def _plain(file: File) -> dict[str, Any]:
    return {key: value for key, value in asdict(file).items() if key not in ("start", "stop")}


def refuse_another_recipe(folder: Path, plan: Plan, made_of: dict[str, Any]) -> None:
    """Compare what a plan was made of with what it would be made of now."""
    if found := _difference(plan.made_of, _whole(made_of)):
        raise UserError(
            f"{folder} was begun with {found}",
            "the recipe and the versions that began it, since its parts would not fit together",
            "Go back to them, or delete the folder and run xgen prepare again.",
        )


def _difference(before: Any, now: Any, place: str = "") -> str:
    """Name the first value that differs, by its place."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (*before, *(key for key in now if key not in before)):
            if found := _difference(before.get(key), now.get(key), f"{place}.{key}" if place else str(key)):
                return found
        return ""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return next((found for at, (a, b) in pairs if (found := _difference(a, b, f"{place}.{at}"))), "")
    return "" if before == now else f"{place} {before}, which is now {now}"


def refuse_changed_inputs(folder: Path, plan: Plan, sources: Sequence[Source], filters: FilterConfig) -> None:
    """Compare the inputs of a plan that is under way with those that are there now."""
    inputs, asides = list_inputs(folder, sources, filters)
    changes = [
        change
        for source in plan.inputs
        for change in _changes(plan.inputs[source], inputs[source], f"source '{source}': ")
    ] + _changes(plan.asides, asides, "")
    if changes:
        more = f" (and {len(changes) - 3:,} more)" if len(changes) > 3 else ""
        raise UserError(
            f"the inputs of {folder} have changed since it was begun: {'; '.join(changes[:3])}{more}",
            "the files that its plan.json lists, as they were",
            "Restore them, or delete the folder and run xgen prepare again.",
        )


def _changes(before: Sequence[File], now: Sequence[File], whose: str) -> list[str]:
    old, new = ({file.address: file for file in files} for files in (before, now))
    found = [f"{whose}{address} is gone" for address in old if address not in new]
    found += [f"{whose}{address} is new" for address in new if address not in old]
    for address in old:
        if address in new and (change := change_of(old[address], (new[address].num_bytes, new[address].mark))):
            found.append(f"{whose}{address} {change}")
    return found


def change_of(file: File, state: tuple[int, str]) -> str:
    """Say how a file differs from what it was, or nothing."""
    num_bytes, mark = state
    if num_bytes != file.num_bytes:
        return f"had {file.num_bytes:,} bytes and has {num_bytes:,}"
    return "" if mark == file.mark else "was written again"
