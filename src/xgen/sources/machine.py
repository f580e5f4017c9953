"""Read the text that every machine with Python has: its library as code, its documentation as prose; no download.

What is there differs between machines, so both readers are only ever read once, into the snapshot. Files are taken in
the order of a hash of their keys until a limit of bytes: a uniform sample, and preparing stays a matter of seconds.
"""

import ast
import gzip
import hashlib
import importlib.metadata
import os
import re
import string
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from xgen.core.types import Document
from xgen.filters.code import why_no_code
from xgen.filters.licences import COPYLEFT, is_permissive, licence_of
from xgen.sources.config import Source
from xgen.sources.intake import Intake

CODE_BYTES = 14_000_000
"""More than 4 million tokens; the standard library comes first, installed packages fill up what is left."""
DOCSTRING_SOURCE_BYTES = 9_000_000
"""Of source that is parsed for docstrings, which is the slowest part: some 3 MB a second."""
SYSTEM_DOC_BYTES = 4_000_000
LARGEST_FILE = 32_000
"""Bytes; a longer one would be most of what a laptop reads in a stage."""

PYTHON_LICENCE = "PSF-2.0"
SYSTEM_LICENCE = "stated by the system's package"
SYSTEM_DOCS = Path("/usr/share/doc")
SYSTEM_DOC_NAME = re.compile(r"(README|NEWS|FAQ|HOWTO|INTRO)[^/]*|[^/]+\.(txt|md|rst)(\.gz)?", re.IGNORECASE)
LICENCE_NAME = re.compile(r"(LICEN[CS]E|COPYING|NOTICE)[^/]*", re.IGNORECASE)
TESTS = {"test", "tests", "idle_test"}
FOREIGN = {"_vendor", "vendor", "vendored", "third_party", "extern", "externals", "node_modules"}
"""Folders whose files may be under another licence than the distribution that carries them."""
NOT_LETTERS = bytes(set(range(128)) - set(string.ascii_letters.encode()))

Files = dict[str, tuple[Path, str]]
"""From a key to a path and its licence."""


def read_python_code(source: Source, intake: Intake) -> Iterator[Document]:
    """Yield Python files: the standard library, then installed packages under permissive licences."""
    left = CODE_BYTES
    for key, licence, raw in _in_turn(intake):
        if left <= 0:
            return
        if reason := _why_no_code(raw):
            intake.skip(reason)
        elif (text := _decoded(raw, intake)) is not None:
            left -= len(raw)
            yield Document(source.name, key, text, licence)


def read_machine_prose(source: Source, intake: Intake) -> Iterator[Document]:
    """Yield texts for people: descriptions of packages, Python's topics, docstrings, licences, system documents."""
    texts = (_descriptions, _topics, _docstrings, _licence_texts, _system_documents)
    for key, licence, text in (found for texts_of in texts for found in texts_of(intake)):
        if len(text.split()) < 20:
            intake.skip("under 20 words")
        else:
            yield Document(source.name, key, text.encode("utf-8", "replace").decode(), licence)


def _why_no_code(raw: bytes) -> str:
    """Name the rule that a file breaks, or nothing: a limit of its own, the code rules, and one on its header."""
    if len(raw) > LARGEST_FILE:
        return f"a file over {LARGEST_FILE:,} bytes"
    return why_no_code(raw) or ("a copyleft header" if COPYLEFT.search(raw, 0, 4000) else "")


def _library() -> Files:
    root = Path(sysconfig.get_path("stdlib"))
    return {
        f"python/{path.relative_to(root).as_posix()}": (path, PYTHON_LICENCE)
        for path in _walk(root)
        if path.suffix == ".py"
    }


def _packages() -> Files:
    files: Files = {}
    for name, distribution in _distributions().items():
        licence = licence_of(distribution)
        for file in (distribution.files or []) if is_permissive(licence) else []:
            parts = set(file.parts)
            if file.suffix == ".py" and ".." not in parts and not parts & FOREIGN:
                files[f"{name}/{file.as_posix()}"] = (Path(str(file.locate())), licence)
    return files


def _distributions() -> dict[str, Distribution]:
    """Map names to what is installed; of two with one name the first on the path, which is what Python imports."""
    found: dict[str, Distribution] = {}
    for distribution in importlib.metadata.distributions():
        if distribution.read_text("METADATA") or distribution.read_text("PKG-INFO"):
            found.setdefault(re.sub(r"[-_.]+", "-", distribution.name).lower(), distribution)
    found.pop("xgen", None)  # its files change with every edit
    return dict(sorted(found.items()))


def _walk(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in ("site-packages", "dist-packages", "__pycache__")]
        yield from (Path(folder, name) for name in names)


def _in_turn(intake: Intake) -> Iterator[tuple[str, str, bytes]]:
    """Yield the library's files, then the packages', which are only listed when the library was not enough."""
    yield from _sample(_library(), intake)
    yield from _sample(_packages(), intake)


def _sample(files: Files, intake: Intake) -> Iterator[tuple[str, str, bytes]]:
    """Yield key, licence and content of files in the order of a hash of their keys."""
    for key in sorted(files, key=lambda key: hashlib.blake2b(key.encode()).digest()):
        path, licence = files[key]
        try:
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError) as error:
            intake.skip(f"a file that cannot be read ({type(error).__name__})")
            continue
        yield key, licence, raw


def _decoded(raw: bytes, intake: Intake) -> str | None:
    """Decode UTF-8; what is not is left out by rule, also in a strict run: nobody can repair another's package."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        intake.skip("invalid UTF-8")
        return None


def _descriptions(intake: Intake) -> Iterator[tuple[str, str, str]]:
    for name, distribution in _distributions().items():
        if description := distribution.metadata.json.get("description"):
            yield f"description/{name}", licence_of(distribution), str(description)


def _topics(intake: Intake) -> Iterator[tuple[str, str, str]]:
    try:
        from pydoc_data.topics import topics  # late: 0.7 MB of text that nothing else needs
    except ModuleNotFoundError:
        intake.skip("Python's topics, which this system leaves out")
        return
    for name in sorted(topics):
        yield f"topic/{name}", PYTHON_LICENCE, topics[name]


def _docstrings(intake: Intake) -> Iterator[tuple[str, str, str]]:
    """Join the docstrings of each module: the library's first, then packages' up to the limit."""
    left = DOCSTRING_SOURCE_BYTES
    for key, licence, raw in _in_turn(Intake(intake.source, strict=False)):  # what is left out is no prose: not counted
        if left <= 0:
            return
        if b'"""' not in raw or TESTS.intersection(key.split("/")) or _why_no_code(raw):
            continue
        if (text := _decoded(raw, intake)) is not None:
            left -= len(raw)
            yield f"docstrings/{key}", licence, "\n\n".join(_docstrings_in(text))


def _docstrings_in(text: str) -> Iterable[str]:
    with warnings.catch_warnings(action="ignore"):  # Python's own remarks on other people's escapes
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # templates, deliberately broken modules
            return
    nodes: list[ast.AST] = [tree]
    while nodes:  # not ast.walk, which visits every expression and takes longer than the parser
        node = nodes.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if docstring := ast.get_docstring(node):
                yield docstring
            nodes.extend(reversed(node.body))


def _licence_texts(intake: Intake) -> Iterator[tuple[str, str, str]]:
    for name, distribution in _distributions().items():
        files = {
            f"licence/{name}/{file.as_posix()}": (Path(str(file.locate())), licence_of(distribution))
            for file in distribution.files or []
            if LICENCE_NAME.fullmatch(file.name) and file.suffix != ".py" and ".." not in file.parts
        }
        yield from _prose(files, LARGEST_FILE, intake)


def _system_documents(intake: Intake) -> Iterator[tuple[str, str, str]]:
    """Read what Linux distributions install for people; changelogs and lists of copyright holders are no prose."""
    found = {
        f"doc/{path.relative_to(SYSTEM_DOCS).as_posix()}": path
        for path in _walk(SYSTEM_DOCS)
        if SYSTEM_DOC_NAME.fullmatch(path.name) and not path.name.lower().startswith("changelog")
    }
    yield from _prose({key: (path, SYSTEM_LICENCE) for key, path in found.items()}, SYSTEM_DOC_BYTES, intake)


def _prose(files: Files, limit: int, intake: Intake) -> Iterator[tuple[str, str, str]]:
    """Yield files that are mostly letters and of a size that a person may have written."""
    for key, licence, raw in _sample(files, intake):
        if limit <= 0:
            return
        if len(raw) > LARGEST_FILE:
            intake.skip(f"a file over {LARGEST_FILE:,} bytes")
        elif len(raw.translate(None, NOT_LETTERS)) < 0.6 * len(raw):
            intake.skip("under three fifths letters")
        elif (text := _decoded(raw, intake)) is not None:
            limit -= len(raw)
            yield key, licence, text
