"""The tables: counts that agree with the code that spends them, and numbers as people write them."""

import pytest

from report.conftest import TINY
from xgen.core.ledger import RunFolder
from xgen.recipes.catalog import RECIPES
from xgen.recipes.schema import to_plain
from xgen.report import numbers, tables


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_parameter_count_is_that_of_the_parameter_table(recipe) -> None:
    from xgen.model.params import count

    assert tables.parameters(to_plain(recipe)["model"]) == count(recipe.model)


def test_a_shape_that_the_formula_does_not_know_is_not_counted() -> None:
    assert tables.parameters(to_plain(TINY)["model"] | {"ffn": "gelu"}) is None


def test_the_stages_table_adds_up_to_the_run(complete: RunFolder) -> None:
    table = tables.stages(TINY.stages, complete.metrics.read())
    trained = [int(row[4].replace(",", "")) for row in table.rows]
    assert sum(trained) == complete.metrics.read()[-1]["tokens"]
    assert [row[0] for row in table.rows] == ["1a", "1b", "1c", "2"]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_last_loss_is_a_mean_over_the_last_tenth() -> None:
    lines = [{"loss": float(step)} for step in range(80)]
    assert tables.last_loss(lines) == (72 + 79) / 2
    assert tables.last_loss(lines[:20]) == 17.0, "five steps at least"
    assert tables.last_loss(lines[:3]) == 1.0, "or all there are"


def test_old_folders_with_fewer_notes_still_have_a_table() -> None:
    table = tables.environment(
        [{"time": "then", "devices": ["cpu 0", "cpu 1"]}, {"time": "2026-11-22T13:00:00+00:00", "memory_gb": 15.64}]
    )
    assert table.columns == ("Time", "Devices", "Memory (GB)")
    assert table.rows == (("then", "cpu 0, cpu 1", "–"), ("2026-11-22 13:00:00 UTC", "–", "15.6"))


def test_numbers_are_written_as_people_write_them() -> None:
    assert [numbers.short(value) for value in (0, 999, 1000, 411_648, 999_999, 174_520_000_000, 1.5e12)] == [
        "0",
        "999",
        "1k",
        "412k",
        "1M",
        "175B",
        "1.5T",
    ]
    assert [numbers.duration(value) for value in (0.24, 59, 59.7, 312, 12_000, 360_000)] == [
        "0.2 s",
        "59 s",
        "1 min 0 s",
        "5 min 12 s",
        "3 h 20 min",
        "4 d 4 h",
    ]
    assert [numbers.context(value) for value in (128, 512, 2048, 8192, 1000)] == ["128", "512", "2K", "8K", "1,000"]
    assert [numbers.figures(value) for value in (6.1264, 408.21, 1098.4, float("nan"))] == [
        "6.126",
        "408.2",
        "1,098",
        "nan",
    ]


def test_the_machine_is_named_by_what_computed() -> None:
    laptop = {"platform": "cpu", "devices": ["cpu 0"], "cores": 2, "cpu": "Xeon", "memory_gb": 15.6}
    assert tables.machine(laptop) == ("2 CPU cores", "Xeon, 16 GB")
    assert tables.machine({"platform": "tpu", "devices": ["TPU v4 0", "TPU v4 1"]}) == ("2 × TPU v4", "")


def test_tokens_are_accounted_for_by_source_and_stage(complete: RunFolder) -> None:
    tables_by_title = dict(tables.data(complete.read_result("data")))
    sources, stages = tables_by_title["Sources"], tables_by_title["Stages"]
    assert ("prose", "read", "900", "1,200,000") in sources.rows and sources.num_left == 2
    assert ("1a", "1,712 x 128", "prose", "part", "75.00", "75.00", "164,352", "321", "1.25") in stages.rows
    assert stages.num_left == 4, "words to the left, numbers to the right"
