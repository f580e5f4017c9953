"""What survives a program: files written beside and renamed, the run folder, its metrics and its markers.

runs/<recipe>-<fingerprint>/
recipe.json          the resolved recipe; its fingerprint names the folder
environment.json     versions, devices, commit; one entry for each start
metrics.jsonl        one line a step
checkpoints/         written by train/checkpoint.py
results/<name>.json  what an evaluation, the samples or an export found; present means complete
evaluations/<which>/ a suite's results for one checkpoint, written by evals/runner.py
judged/<model>/      what the scores of the suite `instruct` were made of
parent.json          for a tuned or imported run: where it comes from
"""

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from xgen.core.errors import UserError


def fingerprint(value: Any) -> str:
    """Name a JSON-like value by ten hexadecimal digits that depend on nothing but its content."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:10]


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under `path` complete and on disk, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}.tmp")  # hosts may share a disk
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


class Counted:
    """A file that is being written, with the count and the checksum of what was written so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sha256, self.num_bytes = file, hashlib.sha256(), 0

    def write(self, raw: bytes) -> None:
        self._file.write(raw)
        self._sha256.update(raw)
        self.num_bytes += len(raw)

    def entry(self) -> dict[str, Any]:
        """Return what a ledger keeps of a file: "bytes" and "sha256"."""
        return {"bytes": self.num_bytes, "sha256": self._sha256.hexdigest()}


@contextlib.contextmanager
def counted_beside(path: Path) -> Iterator[Counted]:
    """Do as `written_beside`, and know size and checksum without reading the file again."""
    with written_beside(path) as file:
        yield Counted(file)


def entry_of(path: Path) -> dict[str, Any]:
    """Read a file for what a ledger keeps of it."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a whole array as .npy, complete or not at all."""
    with written_beside(path) as file:
        np.save(file, array)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, complete or not at all."""
    with written_beside(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, complete or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is the user's to repair."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"there is no file {path}", "a complete folder", "Check the path, or make it anew.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error})",
            "a file that xgen wrote",
            "Restore the file, or delete the folder that holds it and run again.",
        ) from None


def require_space(folder: Path, num_bytes: int) -> None:
    """Refuse before writing `num_bytes` to a disk that cannot hold them, so that nothing is left half written."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UserError(
            f"{free / 1e9:.2f} GB are free where {folder} lies",
            f"at least {num_bytes / 1e9:.2f} GB",
            "Free some space and run the same command again: it continues where it was.",
        )


@contextlib.contextmanager
def locked(folder: Path, name: str = ".lock", shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold `folder` for this process alone, or `shared` with others; it ends with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UserError(
                f"another xgen process is writing to {folder}",
                "one writer at a time",
                "Wait for it to end, or stop it.",
            ) from None
        yield


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class MetricsLog:
    """metrics.jsonl: one JSON object a line, each with an integer `step` (steps done), never two for one step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return the complete lines; what a kill left of a last one is not a line."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def cut_after(self, step: int) -> None:
        """Forget what was logged after `step`, the step of the restored checkpoint."""
        kept = [line for line in self.read() if line["step"] <= step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def sync(self) -> None:
        """Bring every line to the disk; called before the checkpoint that relies on them."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())


class Journal:
    """A file of JSON lines that only grows: each is on disk before `append` returns, whichever thread calls it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._whole = False

    def read(self) -> list[dict[str, Any]]:
        """Return the complete lines; what a kill left of a last one is not a line."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        return [_json_line(line, self.path, number) for number, line in enumerate(lines, start=1) if line.strip()]

    def append(self, line: dict[str, Any]) -> None:
        """Add a line, after cutting off what a kill left of a last one."""
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if not self._whole:
                    file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
                    self._whole = True
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[Any]:
    """Read one JSON value a line, plain or .gz; a missing or broken file is the user's to repair."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error})", "a file of JSON lines", "Check the path.") from None
    return [_json_line(line, path, number) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one JSON value a line, complete or not at all."""
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def _json_line(line: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"line {number} of {path} is not valid JSON ({error})",
            "one JSON value a line",
            "Restore or remove the line.",
        ) from None


class RunFolder:
    """One run on disk. `create` makes or reopens it, `open` only reads what is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = MetricsLog(path / "metrics.jsonl")
        self.checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: Path, recipe: dict[str, Any], parent: dict[str, Any] | None = None) -> "RunFolder":
        """Make the folder, or reopen it as it is: its name says which recipe it holds."""
        if not (path / "recipe.json").exists():
            if parent is not None:
                write_json(path / "parent.json", parent)
            write_json(path / "recipe.json", recipe)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        if not (path / "recipe.json").exists():
            raise UserError(f"{path} has no recipe.json", "a run folder", "List the folders under runs/.")
        return cls(path)

    def recipe(self) -> dict[str, Any]:
        return read_json(self.path / "recipe.json")

    def parent(self) -> dict[str, Any] | None:
        path = self.path / "parent.json"
        return read_json(path) if path.exists() else None

    def add_environment(self, entry: dict[str, Any]) -> None:
        """Remember one start of a program on this folder: versions, devices, commit, time."""
        write_json(self.path / "environment.json", [*self.environments(), entry])

    def environments(self) -> list[dict[str, Any]]:
        path = self.path / "environment.json"
        return read_json(path) if path.exists() else []

    def write_result(self, name: str, value: Any) -> None:
        write_json(self.path / "results" / f"{name}.json", value)

    def read_result(self, name: str) -> Any | None:
        """Return a result, or None where that part has not run yet."""
        path = self.path / "results" / f"{name}.json"
        return read_json(path) if path.exists() else None

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """Return what suites found, by checkpoint and by task."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.path / "evaluations").glob("*/*.json")):
            found.setdefault(path.parent.name, {})[path.stem] = read_json(path)
        return found

    def results(self) -> list[str]:
        return sorted(path.stem for path in (self.path / "results").glob("*.json"))
