"""The map from the report to the code names every table and figure of both, and what it says of a file is so."""

import ast
import re

from contracts.tree import ROOT, SOURCE, parsed

MAP = (ROOT / "docs" / "report-map.md").read_text(encoding="utf-8")


def functions_returning(module: str, kind: str) -> set[str]:
    """List the public functions of a module of report/ whose return type mentions `kind`."""
    return {
        node.name
        for node in parsed(SOURCE / "report" / f"{module}.py").body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns is not None
        and re.search(rf"\b{kind}\b", ast.unparse(node.returns))
    }


def rows_under(title: str) -> list[list[str]]:
    section = MAP.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_figure_that_we_draw_is_named():
    drawn = functions_returning("figures", "str")
    assert drawn
    assert {name for name in drawn if f"`report/figures.py:{name}`" not in MAP} == set()


def test_every_table_that_we_make_is_named():
    made = functions_returning("tables", "Table")
    assert made
    assert {name for name in made if f"`report/tables.py:{name}`" not in MAP} == set()


def test_every_figure_and_table_of_the_report_has_a_row():
    assert [row[0] for row in rows_under("Figures")] == ["1", "2", "3"]
    assert [row[0] for row in rows_under("Tables")] == [str(number) for number in range(1, 14)]


def test_a_row_names_the_code_or_admits_that_there_is_none():
    rows = [*rows_under("Figures"), *rows_under("Tables"), *rows_under("Claims")]
    silent = [
        row[:2]
        for row in rows
        if not re.search(r"`[\w/]+\.py", " ".join(row)) and "the same" not in row and "not yet" not in row[-1]
    ]
    assert silent == []
