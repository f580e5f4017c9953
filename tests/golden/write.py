"""Write the snapshots of all recipes and docs/cli.md anew: python tests/golden/write.py, then read the difference."""

import json
from pathlib import Path

from cli_page import PAGE, page

from xgen.recipes.catalog import RECIPES, recipe_named
from xgen.recipes.schema import to_plain
from xgen.recipes.tuning import TUNINGS

if __name__ == "__main__":
    for name in (*RECIPES, *(f"xgen_7b+{tuning}" for tuning in TUNINGS)):
        path = Path(__file__).parent / "recipes" / f"{name}.json"
        path.write_text(json.dumps(to_plain(recipe_named(name)), indent=1) + "\n")
    PAGE.write_text(page(), encoding="utf-8")
