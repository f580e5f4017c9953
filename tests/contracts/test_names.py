"""Names say one thing, and habits that hide mistakes or bind us to one machine stay out of the tree."""

import ast
import re

import pytest

from contracts.tree import ROOT, SOURCE, modules, parsed, shown, written_files

DRAWERS = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
# Written in pieces, so that this file does not contain what it forbids.
LOCAL = {
    "a path of one machine": re.compile("|".join((r"(?<![\w.])/" + "work/", "/" + "root/", "/" + r"home/\w"))),
    "a package registry": re.compile("|".join(("pypi" + r"\.org", "python" + "hosted", "index" + "-url"))),
    "an address in a network": re.compile(r"(?<![\w.])(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?::\d+|/)"),
}


def test_no_name_is_a_kitchen_drawer():
    parts = {
        (shown(path), part)
        for path in (*modules(), *modules(ROOT / "tests"))
        for name in path.relative_to(ROOT).with_suffix("").parts
        for part in name.split("_")
    }
    assert [name for name, part in sorted(parts) if part in DRAWERS] == []


def test_nobody_asks_an_object_what_it_has():
    calls = [
        f"{shown(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Name) and node.id == "hasattr"
    ]
    assert calls == []


def test_every_except_names_what_it_catches():
    bare = [
        f"{shown(path)}:{node.lineno}"
        for path in (*modules(), *modules(ROOT / "tests"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_no_class_of_ours_is_subclassed():
    ours = {node.name for path in modules() for node in parsed(path).body if isinstance(node, ast.ClassDef)}
    heirs = [
        f"{shown(path)}: {node.name}"
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in ours for b in node.bases)
    ]
    assert heirs == []


def test_weights_are_named_in_the_table_and_in_the_proof_alone():
    names = re.compile(r"[qkvo]_proj|(gate|up|down)_proj|input_layernorm|embed_tokens|lm_head")
    naming = {path.relative_to(SOURCE).as_posix() for path in modules() if names.search(path.read_text())}
    assert naming == {"model/params.py", "export/verify.py"}


@pytest.mark.parametrize("what", LOCAL)
def test_nothing_committed_names_one_machine(what):
    found = []
    for path in written_files():
        if SOURCE / "sources" / "corpus" in path.parents or path.suffix in (".gz", ".zst", ".png"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if LOCAL[what].search(line):
                found.append(f"{shown(path)}:{number}: {line.strip()[:80]}")
    assert found == []
