"""The page of the command line, docs/cli.md, made of the verbs, their options and the values of a recipe."""

import ast
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xgen.cli import EPILOGUE, VERBS
from xgen.recipes.tiny import TINY

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = "| flag | values | default | |\n|---|---|---|---|\n"


def page() -> str:
    """Render the whole page."""
    verbs = "".join(f"| [`xgen {verb}`](#xgen-{verb}) | {summary} |\n" for verb, summary in VERBS.items())
    sections = "".join(_section(verb) for verb in VERBS)
    recipe = "".join(_row(*row) for row in rows(TINY))
    return (
        "# The command line\n\n"
        "Written by `tests/golden/write.py` from the code. `xgen <verb> [target] --help` shows the same in the\n"
        "terminal, with the values of the target's own recipe as defaults.\n\n"
        f"```\n{EPILOGUE}\n```\n\n| verb | |\n|---|---|\n{verbs}\n{sections}"
        "## Values of a recipe\n\n"
        "Every verb takes them; the defaults shown are those of `tiny`. A number inside a flag counts from 0: the\n"
        f"third stage is `--stages.2`.\n\n{HEAD}{recipe}"
    )


def _section(verb: str) -> str:
    options = importlib.import_module(f"xgen.pipelines.{'import_' if verb == 'import' else verb}").Options
    table = "".join(_row(*row) for row in rows(options()))
    return f"## xgen {verb}\n\n{VERBS[verb].capitalize()}.\n\n{HEAD}{table}\n"


def _row(flag: str, annotation: str, default: Any, help_text: str) -> str:
    cells = f"`--{flag}`", f"`{annotation}`", f"`{default}`" if str(default) else "", help_text
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def rows(value: Any, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """List (flag, values, default, help) of every leaf of a config; of like entries in a row only the first."""
    described = descriptions(type(value))
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        flag = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(inner):
            spread = "name=''" in described[field.name][0]  # tyro.conf.arg(name=""): its fields stand with the others
            yield from rows(inner, prefix if spread else f"{flag}.")
        elif isinstance(inner, tuple) and inner and dataclasses.is_dataclass(inner[0]):
            yield from rows(inner[0], f"{flag}.0.")
        else:
            annotation, text = described[field.name]
            yield flag, annotation, _plain(inner), text


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def descriptions(owner: type) -> dict[str, tuple[str, str]]:
    """Read annotation and docstring of each field from the source of a dataclass."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for statement, follower in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = ""
            if isinstance(follower, ast.Expr) and isinstance(follower.value, ast.Constant):
                text = " ".join(str(follower.value.value).split())
            found[statement.target.id] = ast.unparse(statement.annotation), text
    return found
