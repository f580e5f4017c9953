"""Where files lie: on this machine, or at an address that fsspec opens; listed in one order, opened alike.

    ~/texts   s3://bucket/texts   gs://bucket/texts   https://host/texts.jsonl.gz   hf://datasets/owner/name

Only what the user named as a source is ever opened, and the packages that do it are imported when it is.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from xgen.core.errors import UserError
from xgen.sources.config import Source

NEEDED = {"hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}
"""What the extra `data` installs for a protocol, besides fsspec."""
FAULTS = {"aiohttp": "ClientError", "httpx": "HTTPError", "httpx2": "HTTPError", "requests": "RequestException"}
"""Errors of clients that are no OSError; looked up where the client was imported."""

MARKS = ("ETag", "etag", "blob_id", "md5Hash", "mtime", "LastModified", "last_modified")
"""Where file systems of fsspec tell what changes with a file, the surest first."""


@dataclass(frozen=True)
class File:
    """One file of a source."""

    key: str
    """The path below the source's location: the same on every machine, and the beginning of its documents' keys."""
    address: str
    """A path, or what fsspec opens."""
    num_bytes: int
    """As it lies there, compressed or not; -1 where the address does not tell."""
    licence: str
    """Of the source, unless the file's repository states its own."""
    mark: str = ""
    """Changes when the file does: its time here, its tag or digest at an address; empty where that tells none."""
    start: int = 0
    stop: int | None = None
    """The part that is read, to the end without `stop`: bytes where a line begins in JSON lines, Parquet row groups."""


def list_files(source: Source) -> list[File]:
    """List the files of a source, sorted by key; below a folder hidden ones are left alone."""
    assert not source.folders, f"the folders of '{source.name}' are sources: DataConfig.unfolded"
    files = sorted(_far(source) if "://" in source.location else _here(source), key=lambda file: file.key)
    if not files:
        raise UserError(
            f"source '{source.name}' reads {source.location}, which holds no files",
            "JSONL, Parquet or text files",
            "Put documents there, or set the location of the source.",
        )
    return files


def _here(source: Source) -> list[File]:
    location = Path(source.location).expanduser()
    if not source.location or not location.exists():
        raise UserError(
            f"source '{source.name}' reads '{source.location}', which does not exist",
            "a file or a folder",
            "Set the location of the source.",
        )
    if location.is_file():
        paths = {location.name: location}
    else:
        inside = {path.relative_to(location).as_posix(): path for path in location.rglob("*") if path.is_file()}
        paths = {key: path for key, path in inside.items() if not _is_hidden(key)}
    states = {key: path.stat() for key, path in paths.items()}
    return [
        File(key, str(paths[key]), state.st_size, source.licence, str(state.st_mtime_ns))
        for key, state in states.items()
    ]


def _far(source: Source) -> list[File]:
    location = source.location
    with _reached(location):
        system, root = _fsspec(location).core.url_to_fs(location)
        if not location.endswith("/") and (info := system.info(root))["type"] == "file":
            found, root = {root: info}, root.rpartition("/")[0]
        else:
            found = _found_below(system, root)
        return [
            File(key, system.unstrip_protocol(name), _far_size(info), source.licence, _far_mark(info))
            for name, info in found.items()
            if not _is_hidden(key := name.removeprefix(root).strip("/").partition("?")[0])
        ]


def state_of(address: str) -> tuple[int, str]:
    """Return the size and the mark of a file as they are now; FileNotFoundError where there is none."""
    if "://" not in address:
        state = Path(address).stat()
        return state.st_size, str(state.st_mtime_ns)
    with _reached(address):
        system, name = _fsspec(address).core.url_to_fs(address)
        system.invalidate_cache()
        info = system.info(name)
    return _far_size(info), _far_mark(info)


def _far_size(info: dict[str, Any]) -> int:
    return -1 if (size := info.get("size")) is None else size


def _far_mark(info: dict[str, Any]) -> str:
    return next((str(info[name]) for name in MARKS if info.get(name)), "")


def _found_below(system: Any, root: str) -> dict[str, dict[str, Any]]:
    """Map the names of all files below a folder to what is known of them.

    Not by fsspec's own find and walk, which leave out in silence the folders below that they cannot list.
    """
    found, folders, seen = {}, [root], set[str]()
    while folders:
        folder = folders.pop().rstrip("/")
        seen.add(folder)
        for info in system.ls(f"{folder}/" if "://" in folder else folder, detail=True):  # a page needs its slash
            name = info["name"].rstrip("/")
            if info["type"] != "directory":
                found[info["name"]] = info
            elif name not in seen and name.startswith(root.rstrip("/")):
                folders.append(name)
    return found


def _is_hidden(key: str) -> bool:
    return any(part.startswith(".") for part in key.split("/"))


def opened(address: str) -> contextlib.AbstractContextManager[Any]:
    """Open a file for reading bytes; what fails at a far address is a UserError, for it says nothing of the file."""
    if "://" not in address:
        return Path(address).open("rb")
    with _reached(address):
        return contextlib.closing(_Far(_fsspec(address).open(address, "rb").open(), address))


class _Far:
    """A file at a far address, for those who read it and for pyarrow."""

    def __init__(self, file: Any, address: str) -> None:
        self.file, self.address = file, address

    def read(self, num_bytes: int = -1) -> bytes:
        with _reached(self.address):
            return self.file.read(num_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _reached(self.address):
            return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()

    @property
    def closed(self) -> bool:
        return self.file.closed


def _fsspec(address: str) -> ModuleType:
    try:
        if needed := NEEDED.get(address.partition("://")[0]):
            importlib.import_module(needed)
        return importlib.import_module("fsspec")
    except ModuleNotFoundError as error:
        raise UserError(
            f"{address} needs the package {error.name}, which is not installed",
            "the extra that reads far addresses",
            "Install it with: pip install 'xgen[data]'",
        ) from None


@contextlib.contextmanager
def _reached(address: str) -> Iterator[None]:
    """Turn what a client raises into one sentence; the run continues where it was when the address answers again."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{address} cannot be opened ({error})", "fsspec's client for it", "Install the package that is named."
        ) from None
    except UserError:
        raise
    except (OSError, ValueError, *_faults()) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"{address} cannot be read ({type(error).__name__}: {said})",
            "a file or a folder that can be read from here",
            "Check the address and the access to it, and run the same command again.",
        ) from None


def _faults() -> list[type[BaseException]]:
    return [getattr(sys.modules[name], fault) for name, fault in FAULTS.items() if name in sys.modules]
