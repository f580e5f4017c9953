"""The files that the contracts judge: what is written by hand and committed, found without asking git."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "xgen"
CORPUS = SOURCE / "sources" / "corpus"
FOLDERS = ("src", "tests", "docs", "bench", "examples", ".ci")
GENERATED = {"__pycache__", "xgen.egg-info"}


def written_files() -> list[Path]:
    """List the repository's own files, in the order of their paths."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    found = [path for path in (*ROOT.iterdir(), *inside) if path.is_file() and not GENERATED & set(path.parts)]
    return sorted(path for path in found if path.name != ".git")


def pages() -> list[Path]:
    """List the pages of documentation; the corpus is text to train on."""
    return [path for path in written_files() if path.suffix == ".md" and CORPUS not in path.parents]


def modules(folder: Path = SOURCE) -> list[Path]:
    """List the Python files under a folder that hold code, so not the empty `__init__.py` and not the corpus."""
    return sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py" and CORPUS not in path.parents)


def parsed(path: Path) -> ast.Module:
    """Read a Python file as a tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """Name a file as a reader would."""
    return str(path.relative_to(ROOT))
