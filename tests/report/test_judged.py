"""Tables 8 to 13 with our rows beside the published ones, gaps that say why, and the radar chart."""

import re

import pytest

from xgen.report import figures, judged, published_judged
from xgen.report.tables import as_text

PAIR = {"win": 20, "loss": 18, "tie": 35, "win_rate": 20 / 73, "loss_rate": 18 / 73, "win_rate_adjusted": 37.5 / 73}
ROUGE = {"rouge1": 54.19, "rouge2": 20.6, "rougeL": 25.94, "rougeLsum": 51.56}
FOUND = {
    "alpaca_eval": {"win_rate": 45.714, "standard_error": 1.7, "judged": 805, "not_understood": 2, "judge": ["gpt-4"]},
    "mt_bench_single": {"score": 6.190625, "judged": 160, "not_understood": 0, "judge": ["gpt-4"], "expected": 160},
    "mt_bench_pair": PAIR | {"judged": 73, "judge": ["gpt-4"], "baseline": "gpt-3.5-turbo", "expected": 160},
    "long_form_qa": {"coherence": 2.8, "relevance": 2.7, "accuracy": 2.6, "average": 2.7, "judged": 9, "judge": ["j"]}
    | {"by_setting": {"QG-passage": 2.75}, "writer": "chatgpt", "prompts": "xgen-1"},
    "summarization_AMI": {"stemmed": ROUGE, "plain": ROUGE, "summaries": 20, "left_out": 3, "truncated": 1}
    | {"mean_source_tokens": 5_157.3, "published_source_tokens": 5_570},
    "summarization_FD": {"error": "no folder was named"},
}
STRESS = {
    "categories": {"form": {"passed": 0.5, "items": 10}}, "refused": 1, "malicious_not_refused": 2,
    "unsupported_claims": 3, "listed_words": None, "items": 10,
}  # fmt: skip


def rows(number: int, models: dict) -> list[tuple[str, ...]]:
    titled = dict(judged.tables(models))
    return list(next(table for title, table in titled.items() if f"Table {number} " in title).rows)


def test_every_table_has_our_rows_first_and_then_all_published_ones() -> None:
    models = {"ours": FOUND, "base": {}}
    assert len(judged.tables(models)) == 7
    for table in published_judged.TABLES:
        made = rows(table.number, models)
        assert [row[0] for row in made] == ["ours (measured)", "base (measured)", *table.rows]
        assert {len(row) for row in made} == {1 + len(table.columns)}
        assert set(made[1][1:]) == {"–"}
        for row, values in zip(made[2:], table.rows.values(), strict=True):
            assert [float(cell) for cell in row[1:]] == list(values)


def test_our_numbers_stand_as_the_report_writes_its_own() -> None:
    models = {"ours": FOUND}
    assert rows(8, models)[0][1:] == ("45.7 ± 1.7",)
    assert rows(9, models)[0][1:] == ("6.19",)
    assert rows(10, models)[0][1:] == ("20", "18", "35", "27.4", "24.7", "51.4")
    assert rows(11, models)[0][1:] == ("2.80", "2.70", "2.60", "2.70")
    assert rows(12, models)[0][1:] == ("2.75", "–")
    assert rows(13, models)[0][1:] == ("54.19", "20.60", "25.94", *["–"] * 6)


def test_each_gap_says_why_and_each_score_how_it_came_about() -> None:
    told = {row[1]: row[2:] for row in judged.provenance({"ours": FOUND}).rows}
    assert told["AlpacaEval"] == ("gpt-4", "805", "2 verdicts not understood")
    assert told["MT-Bench, single"] == ("gpt-4", "160", "")
    assert told["MT-Bench, pairwise"] == ("gpt-4", "73", "against gpt-3.5-turbo; 160 expected")
    assert told["Long-form QA"][2] == "questions by chatgpt, prompts xgen-1"
    assert "mean source 5,157 tokens (the report: 5,570)" in told["Summarization, AMI"][2]
    assert "3 longer than 8K left out; 1 sources cut at their end" in told["Summarization, AMI"][2]
    assert told["Summarization, FD"][2] == "not measured: no folder was named"
    assert told["Stress test"][2] == "not measured: not asked for"


def test_the_stress_table_has_a_column_a_model_and_says_what_was_not_measured() -> None:
    table = dict(judged.tables({"ours": {"stress": STRESS}, "base": {}}))
    made = {row[0]: row[1:] for row in table["Stress test: share of the items that met their rule"].rows}
    assert made["form"] == ("50.0 of 10",)
    assert made["unsupported claims (count)"] == ("3",)
    assert made["answers with listed words (count)"] == ("not measured",)


def test_a_table_as_text_has_straight_bars() -> None:
    for _, table in judged.tables({"ours": FOUND | {"stress": STRESS}}):
        lines = [line for line in as_text(table).splitlines() if line.startswith("|")]
        assert len({len(line) for line in lines}) == 1
        assert len(lines) == len(table.rows) + 2


@pytest.mark.parametrize("num_models", [1, 2])
def test_the_radar_chart_has_an_axis_a_category_and_a_line_a_model(num_models: int) -> None:
    scores = {"writing": 8.0, "math": 2.5, "coding": 3.0, "stem": 6.0}
    drawn = figures.scores_by_category({f"model {number}": scores for number in range(num_models)}, 10)
    assert all(f">{category}<" in drawn for category in scores)
    lines = re.findall(r'id="figure-categories-curve-(\d)"', drawn)
    assert sorted(set(lines)) == [str(number) for number in range(num_models)]
    assert drawn == figures.scores_by_category({f"model {number}": scores for number in range(num_models)}, 10)
