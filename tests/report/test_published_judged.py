"""The published rows of judged models, compared with the text of the report."""

import re

import pytest

from report.test_published import copy_of_report
from xgen.report import published_judged
from xgen.report.published import PublishedTable

AFTER = re.compile(r"Table \d+:|^Pairwise comparison|^summarization from|^7 Note|^that the resulting", re.MULTILINE)


def rows_of(table: PublishedTable) -> dict[str, list[str]]:
    """Read a table of the plain copy: each line of one word and as many numbers as there are columns."""
    text = copy_of_report("technical-report-plain.txt")
    start = re.search(rf"Table {table.number}:", text)
    assert start is not None
    body = AFTER.split(text[start.end() :])[0]
    pattern = re.compile(rf"(\S+)((?: [\d.]+){{{len(table.columns)}}})")
    lines = [pattern.fullmatch(line.strip()) for line in body.splitlines()]
    return {found[1]: found[2].split() for found in lines if found}


@pytest.mark.parametrize("table", published_judged.TABLES, ids=lambda table: f"table-{table.number}")
def test_the_rows_are_exactly_those_of_the_report(table: PublishedTable) -> None:
    found = {name: [float(value) for value in values] for name, values in rows_of(table).items()}
    ours = {name.replace("_", ""): list(values) for name, values in table.rows.items()}
    assert ours == found
    assert list(ours) == list(found), "in its order"


def test_the_other_copy_has_the_same_numbers_where_it_is_whole() -> None:
    text = copy_of_report("technical-report.md")
    for table in published_judged.TABLES:
        for name, values in rows_of(table).items():
            if "XGen" not in name and (table.number, name) not in ((10, "Fastchat-T5-3B"), (10, "Dolly-v2-12B")):
                cells = rf"\| {re.escape(name)} \| " + r" \| ".join(map(re.escape, values)) + r" \|"
                assert re.search(cells, text, re.IGNORECASE), (table.number, name)


def test_the_rates_of_table_10_follow_from_its_counts_but_for_its_misprint() -> None:
    for name, (win, loss, tie, *rates) in published_judged.MT_BENCH_PAIR.rows.items():
        total = win + loss + tie
        expected = [100 * win / total, 100 * loss / total, 100 * (win + tie / 2) / total]
        assert total in (160, 320)
        apart = [rate for rate, value in zip(rates, expected, strict=True) if abs(rate - value) > 0.051]
        assert apart == ([43.8] if name == "GPT-4" else []), name


def test_the_averages_of_tables_11_and_12_agree_but_where_the_notes_say_so() -> None:
    for name, (*ratings, average) in published_judged.LONG_FORM_DIMENSIONS.rows.items():
        assert (abs(sum(ratings) / 3 - average) > 0.0101) == (name in ("WizardLM-7B", "MPT-7B-instruct")), name
        settings = published_judged.LONG_FORM_SETTINGS.rows[name]
        assert (abs(sum(settings) / 2 - average) > 0.0101) == (name == "Alpaca-7B"), name
