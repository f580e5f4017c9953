"""Read the tensors of a PyTorch file (.bin) as data: its pickle is interpreted here, and nothing in it is ever called.

Such a file is an uncompressed zip: `<name>/data.pkl` describes the tensors, `<name>/data/<key>` are the numbers. A
pickle is a program; the few instructions that describe tensors are carried out below, any other is refused by name.
"""

import pickletools
import zipfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from xgen.core.errors import UserError


class StoredTensor(NamedTuple):
    """A tensor that is described but not read yet; `read` gives it in the type of the file."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


class _Name(str):
    """A global of the pickle, kept as its name."""


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    num_elements: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_DTYPES = {
    "torch FloatStorage": np.dtype(np.float32),
    "torch HalfStorage": np.dtype(np.float16),
    "torch BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
}
BROKEN = (ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError)
"""What zipfile, pickletools and the stack below raise for bytes that torch.save never wrote (a test looks for more)."""
_TENSOR = "torch._utils _rebuild_tensor_v2"
_DICT = "collections OrderedDict"
_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
}


class _RefusedError(Exception):
    """What the file asks for and a checkpoint never needs."""


def tensors(path: Path) -> Mapping[str, StoredTensor]:
    """Describe the tensors of one file by name; UserError for a file that is cut, of another format, or hostile."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = _sizes(archive, path)
            [pickled] = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
            root = pickled.removesuffix("data.pkl")
            if root + "byteorder" in sizes and archive.read(root + "byteorder") != b"little":
                raise _RefusedError("numbers in big-endian order")
            state = _interpret(archive.read(pickled))
    except _RefusedError as refused:
        raise UserError(
            f"{path} asks for {refused}",
            "a file of float tensors and nothing else",
            "Do not load it elsewhere if you do not know its author; convert it to safetensors.",
        ) from None
    except zipfile.BadZipFile:
        raise _not_an_archive(path) from None
    except BROKEN:
        raise _damaged(path) from None
    if not isinstance(state, dict):
        raise _damaged(path)
    return {
        name: StoredTensor(view.shape, _reader(path, root, view, sizes))
        for name, view in state.items()
        if isinstance(view, _View)
    }


def _sizes(archive: zipfile.ZipFile, path: Path) -> dict[str, int]:
    """List the entries that PyTorch can have written: plain bytes that the file is long enough to hold."""
    total = path.stat().st_size
    return {
        entry.filename: entry.file_size
        for entry in archive.infolist()
        if entry.compress_type == zipfile.ZIP_STORED
        and not entry.flag_bits & 1
        and 0 <= entry.header_offset <= total - entry.file_size
    }


def _interpret(pickled: bytes) -> Any:
    """Carry out the instructions that describe tensors, on a stack of plain values."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, arg, _ in pickletools.genops(pickled):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case name if name in _LITERALS:
                stack.append(arg)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name]())
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "TUPLE":
                stack.append(tuple(_pop_from(stack, marks.pop())))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_pop_from(stack, len(stack) - int(opcode.name[-1]))))
            case "SETITEM" | "SETITEMS":
                items = _pop_from(stack, len(stack) - 2 if opcode.name == "SETITEM" else marks.pop())
                _set_items(stack[-1], items)
            case "APPEND" | "APPENDS":
                items = _pop_from(stack, len(stack) - 1 if opcode.name == "APPEND" else marks.pop())
                stack[-1].extend(items)
            case "GLOBAL":
                stack.append(_global(str(arg)))
            case "STACK_GLOBAL":
                stack.append(_global(" ".join(_pop_from(stack, len(stack) - 2))))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_reduce(stack.pop(), arguments))
            case "BUILD":
                stack.pop()  # attributes, such as the version numbers of a state dict: no tensors
            case name:
                raise _RefusedError(f"the pickle instruction {name} {arg if isinstance(arg, str) else ''}".rstrip())
    raise ValueError("no STOP")


def _pop_from(stack: list[Any], start: int) -> list[Any]:
    if start < 0:
        raise IndexError(start)
    items = stack[start:]
    del stack[start:]
    return items


def _set_items(target: dict[str, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str):
            raise TypeError(type(key))
        target[key] = value


def _global(name: str) -> _Name:
    if name not in (*_DTYPES, _TENSOR, _DICT):
        raise _RefusedError(f"the name {name.replace(' ', '.')}, which loading it the usual way would run")
    return _Name(name)


def _storage(persistent: tuple[Any, ...]) -> _Storage:
    kind, storage, key, _location, num_elements = persistent
    if kind != "storage" or not isinstance(storage, _Name) or not isinstance(key, str) or type(num_elements) is not int:
        raise TypeError(type(storage))
    return _Storage(_DTYPES[storage], key, num_elements)


def _reduce(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Build what the call would have built; only two calls describe tensors."""
    if not isinstance(function, _Name):
        raise TypeError(type(function))
    if function == _DICT and arguments == ():
        return {}
    if function != _TENSOR:
        raise _RefusedError(f"a call of {function.replace(' ', '.')}")
    storage, offset, shape, stride, *_ = arguments
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in (offset, *shape, *stride)):
        raise TypeError(type(storage))
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if prod(shape) and last >= storage.num_elements:
        raise ValueError(shape)
    return _View(storage, offset, tuple(shape), tuple(stride))


def _reader(path: Path, root: str, view: _View, sizes: Mapping[str, int]) -> Callable[[], np.ndarray]:
    """Check now that the numbers are there, read them when asked."""
    dtype, entry = view.storage.dtype, f"{root}data/{view.storage.key}"
    if sizes.get(entry, -1) < view.storage.num_elements * dtype.itemsize:
        raise _damaged(path)

    def read() -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive:
                flat = np.frombuffer(archive.read(entry), dtype, view.storage.num_elements)
        except (zipfile.BadZipFile, *BROKEN):
            raise _damaged(path) from None
        strides = tuple(step * dtype.itemsize for step in view.stride)
        return np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, strides, writeable=False)

    return read


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged", "a whole file written by torch.save", "Copy or download it again.")


def _not_an_archive(path: Path) -> UserError:
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return UserError(f"{path} is cut short", "a whole zip archive", "Copy or download it again.")
    return UserError(
        f"{path} is no zip archive, as PyTorch writes since 1.6",
        "a zip archive or safetensors",
        "Load it where you trust it with torch.load(..., weights_only=True) and save it as safetensors.",
    )
