"""MMLU (Hendrycks et al. 2021) by the original standard, which the report follows (section 5.1.1), and by lm-eval's.

The original: two spaces before the subject, questions as they stand, examples dropped while the prompt is too long,
anatomy among Other, the average over all questions. lm-eval: one space, questions stripped, the left end cut, anatomy
among STEM. Both pick the likeliest of " A", " B", " C" and " D".
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from xgen.core.errors import UserError
from xgen.evals.choice import Question, accuracy, answering
from xgen.evals.files import find, from_hub, origin_of
from xgen.evals.task import Items, Record, Settings, Task, scores_of

Flavor = Literal["original", "lm_eval"]
LETTERS = "ABCD"
CATEGORIES = {
    "Humanities": "formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
    "professional_law world_religions",
    "STEM": "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning",
    "Social Sciences": "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy",
    "Other": "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management "
    "marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology",
}
CATEGORY = {subject: category for category, subjects in CATEGORIES.items() for subject in subjects.split()}
Row = tuple[str, list[str], int]
"""A question, its four answers, and which is right."""


def category(subject: str, flavor: Flavor) -> str:
    """Name the column of tables 4 and 5 that a subject counts in."""
    return "STEM" if flavor == "lm_eval" and subject == "anatomy" else CATEGORY[subject]


def head(subject: str, flavor: Flavor) -> str:
    """Write the line above the examples; the original's name begins with a space of its own."""
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {' ' * (flavor == 'original')}{name}.\n\n"


def example(row: Row, flavor: Flavor) -> str:
    """Write one question with its answers up to "Answer:"."""
    text, answers, _ = row
    listed = "".join(f"\n{letter}. {answer}" for letter, answer in zip(LETTERS, answers, strict=True))
    return f"{text if flavor == 'original' else text.strip()}{listed}\nAnswer:"


def questions(subject: str, shots: Sequence[Row], rows: Sequence[Row], flavor: Flavor) -> list[Question]:
    """Ask every row of a subject after the same examples."""
    solved = tuple(f"{example(row, flavor)} {LETTERS[row[2]]}\n\n" for row in shots)
    return [
        Question(
            f"{subject}/{number}",
            tuple((example(row, flavor), f" {letter}") for letter in LETTERS),
            row[2],
            tuple(LETTERS),
            subject,
            head(subject, flavor),
            solved,
            drops_shots=flavor == "original",
        )
        for number, row in enumerate(rows)
    ]


def read_rows(path: Path) -> list[Row]:
    """Read the authors' table, with or without a header; answers are letters or numbers, and "None" is a word."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [row for row in csv.reader(file) if row]
    if cells and cells[0][-1] == "answer":
        cells = cells[1:]
    rows = []
    for number, row in enumerate(cells, start=1):
        if len(row) != 6 or row[5].strip() not in tuple("ABCD0123"):
            raise UserError(
                f"row {number} of {path.name} has {len(row)} cells and the answer '{row[-1]}'",
                "a question, four answers and A to D (or 0 to 3)",
                "Fetch the file again.",
            )
        rows.append((row[0], row[1:5], "ABCD0123".index(row[5].strip()) % 4))
    return rows


def read_folder(folder: Path) -> tuple[dict[str, dict[str, list[Row]]], dict[str, str]]:
    """Read <subject>_dev.csv and <subject>_test.csv of all 57 subjects, wherever below a folder they lie."""
    paths = {(subject, split): find(folder, (f"{subject}_{split}.csv",)) for subject in CATEGORY
             for split in ("dev", "test")}  # fmt: skip
    tables = {subject: {split: read_rows(paths[subject, split]) for split in ("dev", "test")} for subject in CATEGORY}
    return tables, origin_of(paths.values(), folder)


def _from_hub() -> tuple[dict[str, dict[str, list[Row]]], dict[str, str]]:
    tables: dict[str, dict[str, list[Row]]] = {subject: {"dev": [], "test": []} for subject in CATEGORY}
    for split in ("dev", "test"):
        for row in from_hub("cais/mmlu", "all", split):
            tables[row["subject"]][split].append((row["question"], list(row["choices"]), int(row["answer"])))
    return tables, {"hub": "cais/mmlu all dev and test"}


def _loading(num_shots: int, flavor: Flavor) -> Callable[[Settings], Items]:
    def load(settings: Settings) -> Items:
        tables, origin = read_folder(settings.data) if settings.data else _from_hub()
        asked: list[Question] = []
        for subject in sorted(CATEGORY):
            rows = tables[subject]["test"]
            kept = rows[: settings.limit] if settings.limit else rows
            asked += questions(subject, tables[subject]["dev"][:num_shots], kept, flavor)
        return Items(asked, origin)

    return load


def _summary(flavor: Flavor) -> Callable[[Sequence[Record]], dict[str, Any]]:
    def summarize(records: Sequence[Record]) -> dict[str, Any]:
        """Average over the questions of each category, and of each subject; "scores" is the weighted average."""
        by_category = {
            name: scores_of(part)
            for name in CATEGORIES
            if (part := [record for record in records if category(record["group"], flavor) == name])
        }
        subjects = dict.fromkeys(record["group"] for record in records)
        by_subject = {name: scores_of([record for record in records if record["group"] == name]) for name in subjects}
        return {"categories": by_category, "subjects": by_subject}

    return summarize


def _task(name: str, title: str, num_shots: int, flavor: Flavor) -> Task:
    return Task(name, 1, title, "acc", _loading(num_shots, flavor), answering(accuracy), _summary(flavor), at_once=512)


TASKS = (
    _task("mmlu", "MMLU, five-shot", 5, "original"),
    _task("mmlu_zero_shot", "MMLU, zero-shot", 0, "original"),
    _task("mmlu_lm_eval", "MMLU, five-shot, lm-eval's flavor", 5, "lm_eval"),
    _task("mmlu_lm_eval_zero_shot", "MMLU, zero-shot, lm-eval's flavor", 0, "lm_eval"),
)
