"""Results of a suite stand beside the report's rows, with chance and errors, and a failure with its sentence."""

from typing import Any

from xgen.core.ledger import RunFolder, write_json
from xgen.report import benchmarks, figures, published
from xgen.report.build import build
from xgen.report.tables import as_text


def result(task: str, headline: str, **scores: float) -> dict[str, Any]:
    return {
        "task": task,
        "title": task.upper(),
        "headline": headline,
        "scores": {
            name: {"value": value, "standard_error": 0.01, "count": 900, "chance": 0.25}
            for name, value in scores.items()
        },
        "counts": {"shots_dropped": {"items": 3, "total": 5}},
    }


def mmlu(task: str, value: float, stem: int = 3018) -> dict[str, Any]:
    score = {"value": value, "standard_error": 0.004, "count": stem, "chance": 0.25}
    columns = published.MMLU_FIVE_SHOT.columns[:-1]
    return result(task, "acc", acc=value) | {"categories": {column: {"acc": score} for column in columns}}


RESULTS = {
    "mmlu": mmlu("mmlu", 0.363),
    "mmlu_zero_shot": mmlu("mmlu_zero_shot", 0.321),
    "mmlu_lm_eval": mmlu("mmlu_lm_eval", 0.35, stem=3153),
    "arc_challenge": result("arc_challenge", "acc_norm", acc=0.38, acc_norm=0.412),
    "piqa": {"task": "piqa", "title": "PIQA", "headline": "acc", "error": "no file; expected one. Fetch it."},
    "humaneval": result("humaneval", "pass@1", **{"pass@1": 0.142, "pass@10": 0.3}),
}


def by_title() -> dict[str, Any]:
    return dict(benchmarks.tables(RESULTS, "ours"))


def test_our_row_and_chance_stand_above_the_published_ones():
    tables = by_title()
    five = tables["Table 4 of the report: MMLU, five-shot accuracy"]
    assert five.rows[0] == ("ours (measured)", "36.3", "36.3", "36.3", "36.3", "36.3")
    assert five.rows[1] == ("chance", "25.0", "25.0", "25.0", "25.0", "25.0")
    assert five.rows[2] == ("XGen-7B", "33.8", "30.7", "40.0", "41.5", "36.3")
    six = tables["Table 6 of the report: Common sense and question answering, zero-shot"]
    assert six.rows[0][:3] == ("ours (measured)", "32.1", "41.2"), "MMLU's zero-shot average, and acc_norm"
    assert six.rows[0][7] == "–", "what failed has no number"
    assert len(six.rows) == 2 + len(published.COMMON_SENSE.rows)
    seven = tables["Table 7 of the report: HumanEval, pass@1"]
    assert seven.rows[:2] == (("ours (measured)", "14.2"), ("XGen-7B", "14.2"))


def test_every_metric_has_a_row_and_a_failure_its_sentence():
    rows = by_title()["Every task"].rows
    assert ("ARC_CHALLENGE", "acc_norm *", "41.2", "1.0", "25.0", "900", "shots dropped in 3") in rows
    assert ("PIQA", "not measured", "–", "–", "–", "–", "no file; expected one. Fetch it.") in rows


def test_the_two_ways_of_mmlu_are_compared():
    table = by_title()["MMLU: the original standard and lm-eval's flavor"]
    assert ("STEM", "36.3", "3,018", "35.0", "3,153", "-1.30") in table.rows


def test_a_table_as_text_is_a_table_of_markdown():
    lines = as_text(by_title()["Table 7 of the report: HumanEval, pass@1"]).splitlines()
    assert lines[0].startswith("|") and set(lines[1]) <= set("|-:") and lines[1].count("|") == lines[0].count("|") == 3
    assert len({len(line) for line in lines[:-1]}) == 1


CELLS = [
    {"kind": "needle", "depth": depth, "tokens": tokens, "found": found, "texts": 4}
    for depth in (0.0, 0.5, 1.0)
    for tokens, found in ((512, 1.0), (1_024, 0.25))
]


def test_the_heat_map_writes_a_number_into_every_cell():
    svg = figures.retrieval([*CELLS, {"kind": "needles", "depth": -1.0, "tokens": 512, "found": 0.5, "texts": 4}])
    assert svg.count(">100</text>") == 3 and svg.count(">25</text>") == 3 and svg.count(">50</text>") == 1
    for label in ("needle, 0% deep", "needle, 100% deep", "needles", "1,024"):
        assert f">{label}</text>" in svg


def test_the_page_shows_what_a_suite_found(complete: RunFolder):
    before = build(complete, None)
    assert "xgen evaluate --suite base" in before
    for name, found in (RESULTS | {"retrieval": result("retrieval", "needle", needle=0.5) | {"cells": CELLS}}).items():
        write_json(complete.path / "evaluations" / "201" / f"{name}.json", found)
    page = build(complete, None)
    assert f"{complete.path.name}, checkpoint 201" in page and "Table 4 of the report" in page
    assert "figure-retrieval" in page and "no file; expected one." in page
