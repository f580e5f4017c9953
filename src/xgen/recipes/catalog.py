"""Recipes by name; `tiny+general` is the recipe `tiny`, tuned as recipes/tuning.py says under `general`."""

from xgen.core.errors import UserError, suggest
from xgen.recipes.micro import MICRO
from xgen.recipes.schema import Recipe
from xgen.recipes.small import SMALL, XGEN_1B, XGEN_3B
from xgen.recipes.tiny import TINY
from xgen.recipes.tuning import tuned_on
from xgen.recipes.xgen_7b import XGEN_7B

RECIPES = {recipe.name: recipe for recipe in (MICRO, TINY, SMALL, XGEN_1B, XGEN_3B, XGEN_7B)}


def recipe_named(name: str) -> Recipe:
    """Return a recipe, perhaps with a tuning, or name the nearest one that exists."""
    base, plus, tuning = name.rpartition("+")
    if plus:
        return tuned_on(recipe_named(base), tuning)
    if name not in RECIPES:
        raise UserError(
            f"there is no recipe '{name}'", "a recipe, a run folder or a Hugging Face folder", suggest(name, RECIPES)
        )
    return RECIPES[name]
