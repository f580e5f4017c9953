"""The documentation says what is there: files, names, links and numbers of decisions, compared with the tree."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.tree import ROOT, SOURCE, modules, pages, parsed, shown
from golden import cli_page
from xgen.cli import VERBS
from xgen.parallel.launch import Hosts
from xgen.pipelines import judge
from xgen.recipes.schema import to_plain
from xgen.recipes.tiny import TINY

PAGES = pages()
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`")
NAME = re.compile(r"`([\w.-]+(?:/[\w.-]+)*\.py):([\w.]+)`")


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ +(.+?) *$", without_fences(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def located(path: str) -> Path | None:
    """Find a file that a page names from the repository's root, from the package or from its own folder of tests."""
    found = [place / path for place in (ROOT, SOURCE, ROOT / "tests") if (place / path).is_file()]
    return found[0] if found else None


def names_in(body: list[ast.stmt]) -> set[str]:
    """List what a body of statements defines: functions, classes, constants and fields."""
    names = set()
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def defined(path: Path) -> set[str]:
    """List what a module defines, with the methods and fields of its classes as Class.name."""
    body = parsed(path).body
    inner = {f"{node.name}.{name}" for node in body if isinstance(node, ast.ClassDef) for name in names_in(node.body)}
    return names_in(body) | inner


def code_map() -> set[str]:
    """Read the files of the code map in ARCHITECTURE.md, each as its path below src/xgen."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    files, folders = set(), []
    for line in next(block for block in blocks if "|-- core/" in block).splitlines():
        if entry := re.match(r"((?:[|]   )*)[|]-- (\w+)/ ", line):
            folders[len(entry[1]) // 4 :] = [entry[2]]
        elif re.match(r"[|]-- \w+\.py", line):
            folders = []
        files |= {"/".join((*folders, name)) for name in re.findall(r"\b\w+\.py\b", line)}
    return files


def test_the_code_map_lists_exactly_the_modules_that_exist():
    assert code_map() == {str(path.relative_to(SOURCE)) for path in modules()}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page):
    broken = []
    for target in LINK.findall(without_fences(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place.read_text())):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_files_that_a_page_names_exist(page):
    assert [name for name in FILE.findall(page.read_text()) if located(name) is None] == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_names_that_a_page_quotes_are_defined_where_it_says(page):
    missing = []
    for path, name in NAME.findall(page.read_text()):
        place = located(path)
        if place is None or name not in defined(place):
            missing.append(f"{path}:{name}")
    assert missing == []


def test_the_tour_quotes_names():
    assert len(NAME.findall((ROOT / "docs" / "tour.md").read_text())) > 20


def test_the_readme_lists_every_verb():
    listed = re.findall(r"^\| `xgen (\w+)` \|", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(VERBS)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_overrides_that_a_page_shows_are_values_of_the_recipe(page):
    unknown = []
    for flag in re.findall(r"--([a-z]+(?:\.[a-z0-9-]+)+)", page.read_text()):
        options = {"hosts": dataclasses.asdict(Hosts())} | dataclasses.asdict(judge.Options())
        value: Any = to_plain(TINY) | options  # those of pretrain and evaluate
        for part in flag.split("."):
            try:
                value = value[int(part)] if part.isdigit() else value[part.replace("-", "_")]
            except (KeyError, IndexError, TypeError):
                unknown.append(flag)
                break
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_targets_of_make_that_a_page_names_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", page.read_text(), flags=re.MULTILINE)) - targets == set()


def test_the_page_of_the_command_line_is_what_the_code_says():
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.page(), "python tests/golden/write.py writes it anew"


def test_decisions_are_numbered_without_gaps():
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]
    assert DECISIONS


@pytest.mark.parametrize("record", DECISIONS, ids=shown)
def test_a_decision_says_its_context_itself_and_its_consequences(record):
    text = record.read_text()
    assert re.match(rf"# {int(record.name[:4])}\. \S", text)
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 80, "a decision fits on one page"


def test_every_file_says_its_one_idea_first():
    silent = []
    for path in (*modules(), *modules(ROOT / "tests"), *modules(ROOT / "bench"), *modules(ROOT / "examples")):
        first = path.read_text(encoding="utf-8").split("\n", 1)[0]
        if not re.match(r'"""\S.{15,}', first):
            silent.append(f"{shown(path)}: {first}")
    assert silent == []


def speaks_for_itself(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Three lines may let their name and types speak; a verb's Options are described by their file's first line."""
    return (node.end_lineno or 0) - node.body[0].lineno < 3 or node.name == "Options"


def test_public_functions_classes_and_methods_say_what_they_are_for():
    silent = []
    for path in modules():
        public = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        methods = [
            inner
            for node in public
            if isinstance(node, ast.ClassDef)
            for inner in node.body
            if isinstance(inner, ast.FunctionDef)
        ]
        silent += [
            f"{shown(path)}: {node.name}"
            for node in (*public, *methods)
            if not node.name.startswith("_") and not ast.get_docstring(node) and not speaks_for_itself(node)
        ]
    assert silent == []
