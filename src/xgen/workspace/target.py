"""What a command is about: a recipe by name, a run folder, a folder of prepared data, or a Hugging Face folder.

Behind a recipe or a run may stand what to tune on: `tiny+general`, `runs/tiny-0123456789+wizardlm`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.data.shards import open_manifest
from xgen.recipes.catalog import RECIPES, recipe_named
from xgen.recipes.schema import Recipe, from_plain
from xgen.recipes.tuning import tuned_on


@dataclass(frozen=True)
class Target:
    """`recipe` gives the defaults of every override; `folder` is where a run or a Hugging Face folder lies."""

    text: str
    kind: Literal["recipe", "run", "huggingface", "data"]
    recipe: Recipe
    folder: Path | None


def resolve(text: str) -> Target:
    """Find out what `text` names; a recipe's name wins over a folder of the same name."""
    path = Path(text)
    named, plus, tuning = text.rpartition("+")
    if plus and not path.exists():
        target = resolve(named)
        return replace(target, text=text, recipe=tuned_on(target.recipe, tuning))
    if text in RECIPES:
        return Target(text, "recipe", RECIPES[text], None)
    if (path / "recipe.json").is_file():
        return Target(text, "run", from_plain(RunFolder.open(path).recipe()), path)
    if (path / "config.json").is_file():
        return Target(text, "huggingface", RECIPES["xgen_7b"], path)
    if (path / "manifest.json").is_file():
        return Target(text, "data", from_plain(open_manifest(path)["recipe"]), path)
    if path.is_dir():
        raise UserError(
            f"{text} is neither a run (no recipe.json) nor a Hugging Face folder (no config.json)",
            "a recipe, a run folder or a Hugging Face folder",
            "Name one of those.",
        )
    if path.parent != Path():
        raise UserError(
            f"there is no folder {text}",
            "a recipe, a run folder or a Hugging Face folder",
            "Check the path; runs lie under runs/.",
        )
    return Target(text, "recipe", recipe_named(text), None)


def require_runnable(target: Target, verb: str) -> None:
    """Refuse a Hugging Face folder, or one of prepared data, where a run is needed."""
    if target.kind == "data" and verb != "audit":
        raise UserError(
            f"{target.text} is prepared data",
            f"a recipe or a run folder for 'xgen {verb}'",
            f"Name the recipe that it was prepared for, say: xgen {verb} {target.recipe.name}",
        )
    if target.kind == "huggingface":
        raise UserError(
            f"{target.text} is a Hugging Face folder",
            f"a recipe or a run folder for 'xgen {verb}'",
            f"Make a run of it first: xgen import {target.text}",
        )
