"""The report's numbers, compared with both copies of its text."""

import re
from pathlib import Path

import pytest

from xgen.report import published
from xgen.report.published import PublishedTable

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"


def copy_of_report(name: str) -> str:
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"no copy of the report at {path.name}")
    return path.read_text(encoding="utf-8")


def rows_after(caption: str, text: str) -> list[list[str]]:
    """Split what follows a caption into rows of cells, whether the copy draws tables with bars or with spaces."""
    start = re.search(caption, text)
    assert start is not None
    lines = re.split(r"\n\s*Table \d", text[start.end() :])[0].splitlines()
    return [re.split(r"\s*\|\s*", line.strip(" |")) if "|" in line else line.split() for line in lines]


@pytest.mark.parametrize("copy", ["technical-report.md", "technical-report-plain.txt"])
@pytest.mark.parametrize("table", published.TABLES, ids=lambda table: f"table-{table.number}")
def test_each_row_stands_in_both_copies_of_the_report(table: PublishedTable, copy: str) -> None:
    rows = {row[0]: row[1:] for row in reversed(rows_after(f"Table {table.number}:", copy_of_report(copy))) if row}
    for name, values in table.rows.items():
        found = [float(re.sub(r"[^\d.]", "", cell)) for cell in rows[name]]
        assert found == list(values), name
        assert len(values) == len(table.columns)


@pytest.mark.parametrize("copy", ["technical-report.md", "technical-report-plain.txt"])
def test_no_row_of_the_report_is_missing(copy: str) -> None:
    text = copy_of_report(copy)
    for table in published.TABLES:
        rows = rows_after(f"Table {table.number}:", text)
        models = [
            row[0]
            for row in rows
            if len(row) == len(table.columns) + 1 and all(re.fullmatch(r"\$?\s*[\d.]+\D*", cell) for cell in row[1:])
        ]
        assert models == list(table.rows), table.number


def test_the_plan_stands_in_the_report() -> None:
    text = " ".join(copy_of_report("technical-report-plain.txt").split())
    first, second, third = published.STAGES
    assert (
        f"First, {first.tokens // 10**9}B tokens with sequence length of {first.context_length // 1024}K tokens "
        f"are observed, then {second.tokens // 10**9}B tokens with {second.context_length // 1024}K, finally, "
        f"{third.tokens // 10**9}B tokens with {third.context_length // 1024}K length"
    ) in text
    language, code = published.STAGE_1.values()
    assert f"Natural language data {language} 95.31 Code data {code} 4.69 Total {language + code:.2f} 100" in text
    assert "Data from stage 1 55 50 BigCode Starcoder data 55 50 Total 110 100" in text
    assert [*published.STAGE_2.values()] == [55, 55]
    assert f"from 32,000 to {published.VOCABULARY:,} tokens" in text
    assert f"less than {published.MIN_DOCUMENT_TOKENS} tokens after tokenization" in text
    assert (
        f"β1 = {published.TUNING_BETA1} and β2 = {published.TUNING_BETA2}, cosine decay for learning rate down to "
        f"10% of an initial value 2× 10−5, a batch size of {published.TUNING_BATCH}, and a sequence length of "
        f"{published.TUNING_CONTEXT_LENGTH:,} tokens"
    ) in text
    assert published.TUNING_LEARNING_RATE == 2e-5
    assert f"train our models for {published.TUNING_EPOCHS} epochs" in text


def test_the_carbon_footprint_follows_from_its_parts() -> None:
    text = " ".join(copy_of_report("technical-report.md").split())
    assert f"{published.TPU_HOURS:,} \\times {published.TPU_WATTS} \\times {published.PUE:.2f}" in text
    megawatt_hours = published.TPU_HOURS * published.TPU_WATTS / 1e6 * published.PUE
    assert round(megawatt_hours) == published.MEGAWATT_HOURS
    assert round(published.MEGAWATT_HOURS * published.TONNES_PER_MWH, 1) == published.TONNES_CO2
