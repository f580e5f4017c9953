"""What a base model may be tuned on, by name: the two settings of section 4, and one of them without long examples.

Sizes, template and optimizer are those of the base model's recipe; here stands what is read.
"""

import dataclasses

from xgen.core.errors import UserError, suggest
from xgen.recipes.schema import Recipe
from xgen.tune.config import InstructionSet

ROW = 8_192
"""Tokens of a row in section 4; where rows are shorter, what counts as long is shorter in proportion."""

# "WizardLM-196K": 143,000 conversations as they were published; the rest is ShareGPT's, which its authors left out.
WIZARDLM = (InstructionSet("wizardlm", "evol_instruct", "tuning/wizardlm", "not stated", when_long="cut_turns"),)

SHORT = (
    InstructionSet("oasst1", "oasst_trees", "tuning/oasst1", "Apache-2.0", when_long="cut_turns"),
    InstructionSet("baize", "baize", "tuning/baize", "research only", when_long="cut_turns"),
    InstructionSet("dolly2", "dolly", "tuning/dolly2", "CC-BY-SA-3.0"),
    InstructionSet("sharegpt", "sharegpt", "tuning/sharegpt", "not stated", when_long="cut_turns"),
)


def _scrolls(name: str, licence: str, ask: str = "") -> InstructionSet:
    """Section 4: about 1,500 examples of each, of at least 4,000 tokens."""
    return InstructionSet(
        f"scrolls-{name.replace('_', '-')}",
        "scrolls",
        f"tuning/scrolls/{name}/train.jsonl",
        licence,
        max_conversations=1_500,
        min_tokens=4_000,
        when_long="cut_prompt",
        ask=ask,
    )


LONG = (
    _scrolls("gov_report", "not stated", "Summarize the following report."),
    _scrolls("summ_screen_fd", "not stated", "Summarize the following episode of a television series."),
    _scrolls("qmsum", "MIT"),
    _scrolls("narrative_qa", "Apache-2.0"),
    _scrolls("qasper", "CC-BY-4.0"),
    _scrolls("quality", "CC-BY-4.0"),
)

TUNINGS: dict[str, tuple[InstructionSet, ...]] = {"wizardlm": WIZARDLM, "general": SHORT + LONG, "general_short": SHORT}
"""`general` and `general_short` are the report's question about the impact of long contexts."""


def tuned_on(recipe: Recipe, name: str) -> Recipe:
    """Let a recipe tune on what a name stands for."""
    if name not in TUNINGS:
        raise UserError(f"there is no tuning '{name}'", "an entry of recipes/tuning.py", suggest(name, TUNINGS))
    length = min(recipe.instruct.context_length, ROW)
    datasets = tuple(dataclasses.replace(one, min_tokens=one.min_tokens * length // ROW) for one in TUNINGS[name])
    return dataclasses.replace(recipe, instruct=dataclasses.replace(recipe.instruct, name=name, datasets=datasets))
