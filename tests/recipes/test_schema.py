"""Recipes as text: complete, stable, and identified by what changes a run's numbers."""

import dataclasses
import json
from pathlib import Path

import pytest

from xgen.core.errors import UserError
from xgen.recipes.catalog import RECIPES, recipe_named
from xgen.recipes.schema import data_fingerprint, from_plain, instruct_fingerprint, run_fingerprint, to_plain
from xgen.recipes.tuning import TUNINGS

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes"
TINY = RECIPES["tiny"]
TUNED = [f"xgen_7b+{name}" for name in TUNINGS]


@pytest.mark.parametrize("name", [*RECIPES, *TUNED])
def test_a_recipe_is_what_its_snapshot_says(name):
    """A difference shows what a change really changed; write the snapshots anew with tests/golden/write.py."""
    assert json.loads((GOLDEN / f"{name}.json").read_text()) == json.loads(json.dumps(to_plain(recipe_named(name))))


def test_a_tuning_says_what_is_read_and_the_recipe_in_which_sizes():
    general, short = recipe_named("xgen_7b+general"), recipe_named("xgen_7b+general_short")
    assert run_fingerprint(general) == run_fingerprint(short) == run_fingerprint(RECIPES["xgen_7b"]), "one base model"
    assert general.instruct.datasets[:4] == short.instruct.datasets
    long = general.instruct.datasets[4:]
    assert [(one.max_conversations, one.min_tokens) for one in long] == [(1_500, 4_000)] * 6, "section 4"
    small = recipe_named("tiny+general").instruct
    assert small.context_length == TINY.instruct.context_length and small.datasets[-1].min_tokens == 93
    with pytest.raises(UserError, match="Did you mean 'general'"):
        recipe_named("tiny+generl")
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        recipe_named("tiy+general")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_reads_back_from_its_text(name):
    assert from_plain(json.loads(json.dumps(to_plain(RECIPES[name])))) == RECIPES[name]


def test_an_unknown_field_is_refused_and_named():
    with pytest.raises(UserError, match="sead"):
        from_plain(to_plain(TINY) | {"sead": 1})


def test_execution_tuning_and_sampling_are_no_part_of_a_base_run():
    other = dataclasses.replace(
        TINY,
        execution=dataclasses.replace(TINY.execution, remat="full", data_axis=8),
        instruct=dataclasses.replace(TINY.instruct, epochs=2),
        sampling=dataclasses.replace(TINY.sampling, temperature=0.0),
    )
    assert run_fingerprint(other) == run_fingerprint(TINY)
    assert instruct_fingerprint(other, "base") != instruct_fingerprint(TINY, "base")
    assert instruct_fingerprint(TINY, "base") != instruct_fingerprint(TINY, "another base")


def test_whatever_changes_the_numbers_changes_the_fingerprint():
    changed = [
        dataclasses.replace(TINY, seed=1),
        dataclasses.replace(TINY, precision="bfloat16_matmuls"),
        dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, norm_eps=1e-5)),
        dataclasses.replace(TINY, optimizer=dataclasses.replace(TINY.optimizer, beta2=0.99)),
    ]
    assert len({run_fingerprint(recipe) for recipe in [TINY, *changed]}) == 5
    data = {data_fingerprint(recipe, "t") for recipe in [TINY, *changed]}
    assert len(data) == 2, "of these, only the seed is known to the data"
    assert data_fingerprint(TINY, "another tokenizer") not in data
