"""Imports run one way, and what must stay light does: the contracts of pyproject.toml, and JAX stays outside."""

import subprocess
import sys

import pytest

from contracts.tree import ROOT, SOURCE, modules

LIGHT = ("core", "engine", "tokenizer", "pieces", "data", "evals", "judges", "stress", "report", "tune", "recipes")
LIGHT += ("peers", "sandbox", "speakers")
HEAVY = ("jax", "jaxlib", "optax", "orbax", "torch", "transformers")


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_import_contracts_hold():
    done = run("from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("room", LIGHT)
def test_a_light_room_never_loads_jax(room):
    names = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in modules(SOURCE / room)]
    assert names, f"{room} has modules"
    done = run(
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_init_files_are_empty():
    filled = [path for path in SOURCE.rglob("__init__.py") if path.read_text().strip() and path.parent != SOURCE]
    assert filled == []
