"""The suite on the files of its authors: every row is read, prompts hold no answer, and noise scores at chance."""

import csv
import dataclasses
import re

import pytest

from evals.candidates import noise, real_files
from xgen.core.errors import UserError
from xgen.evals.catalog import TASKS
from xgen.evals.choice import Question
from xgen.evals.suite import mmlu
from xgen.evals.task import Settings, scores_of

# What the shared files hold; some sets are there in part only (docs/how-to/evaluate-a-base-model.md).
ROWS = {
    "arc_challenge": 1_150,
    "hellaswag": 1_000,
    "winogrande": 1_267,
    "truthfulqa": 817,
    "boolq": 3_270,
    "piqa": 1_838,
    "openbookqa": 500,
    "mmlu_zero_shot": 14_042,
}


def items(name: str, limit: int = 0) -> list[Question]:
    return list(TASKS[name].load(Settings(limit=limit, data=real_files())).items)


def at_chance(scores: dict, metric: str) -> None:
    found = scores[metric]
    assert abs(found["value"] - found["chance"]) < 4 * found["standard_error"], (metric, found)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name.startswith("mmlu") else name for name in ROWS]
)
def test_noise_scores_at_chance_on_every_row(name):
    task, asked = TASKS[name], items(name)
    assert len(asked) == ROWS[name]
    scores = scores_of(task.answer(noise(), asked, Settings()))
    for metric in scores.keys() - {"acc_norm"}:
        at_chance(scores, metric)
    if "acc_norm" in scores:  # whose noise must not know how long an answer is
        at_chance(scores_of(task.answer(noise(by_length=True), asked, Settings())), "acc_norm")


def leaks(build, rows: list, change) -> list:
    """List the rows whose prompts or answers change when nothing but the right answer does."""
    return [row for row in rows if build(row).pairs != build(change(row)).pairs]


def mmlu_question(row: mmlu.Row) -> Question:
    return mmlu.questions("anatomy", [], [row], "original")[0]


def test_no_prompt_depends_on_which_answer_is_right():
    rows = mmlu.read_folder(real_files())[0]["anatomy"]["test"]
    other = lambda row: (row[0], row[1], (row[2] + 1) % 4)  # noqa: E731
    assert leaks(mmlu_question, rows, other) == []

    def leaking(row: mmlu.Row) -> Question:
        question = mmlu_question(row)
        marked = tuple((f"{context} ({'ABCD'[row[2]]})", answer) for context, answer in question.pairs)
        return dataclasses.replace(question, pairs=marked)

    assert leaks(leaking, rows, other) == rows, "a planted leak is noticed"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("winogrande", "answer"),
        ("hellaswag", "label"),
        ("boolq", "answer"),
        ("piqa", "label"),
        ("openbookqa", "answerKey"),
    ],
)
def test_no_prompt_of_the_zero_shot_sets_depends_on_the_right_answer(name, field):
    from xgen.evals import catalog
    from xgen.evals.files import read

    module = next(module for module in catalog.SUITE if module.TASKS[0].name == name)
    rows = read(module.DATA, real_files())[0][:200]
    others = {str(row[field]): row[field] for row in rows}
    change = lambda row: row | {field: next(value for key, value in others.items() if key != str(row[field]))}  # noqa: E731
    assert leaks(module.question, rows, change) == []


def original_prompt(subject: str, shots: list[list[str]], row: list[str]) -> str:
    """Write a prompt as the benchmark's own script does, step by step: another road to the same letters."""
    spaced = ""
    for word in subject.split("_"):
        spaced += " " + word
    prompt = f"The following are multiple choice questions (with answers) about {spaced}.\n\n"
    for number, cells in enumerate([*shots, row]):
        prompt += cells[0]
        for at in range(4):
            prompt += "\n" + "ABCD"[at] + ". " + cells[1 + at]
        prompt += "\nAnswer:"
        if number < len(shots):
            prompt += " " + "ABCD"[int(cells[5])] + "\n\n"
    return prompt


@pytest.mark.parametrize("num_shots", [0, 5])
def test_prompts_of_the_original_standard_to_the_letter(num_shots):
    asked = items("mmlu" if num_shots else "mmlu_zero_shot", limit=6)
    for subject in sorted(mmlu.CATEGORY)[::2]:
        tables = []
        for split in ("dev", "test"):
            with (real_files() / "mmlu" / split / f"{subject}_{split}.csv").open(newline="", encoding="utf-8") as file:
                tables.append(list(csv.reader(file))[1:])
        own = [question for question in asked if question.group == subject]
        assert len(own) == 6
        for question, row in zip(own, tables[1], strict=False):
            written = question.head + "".join(question.shots) + question.pairs[0][0]
            assert written == original_prompt(subject, tables[0][:num_shots], row)
            assert [answer for _, answer in question.pairs] == [" A", " B", " C", " D"]
            assert question.gold == int(row[5])


def test_the_first_prompt_of_abstract_algebra_reads_as_published():
    question = items("mmlu", limit=1)[0]
    assert (question.head + question.shots[0]).startswith(
        "The following are multiple choice questions (with answers) about  abstract algebra.\n\n"
        "Find all c in Z_3 such that Z_3[x]/(x^2 + c) is a field.\nA. 0\nB. 1\nC. 2\nD. 3\nAnswer: B\n\n"
    )
    assert question.pairs[0][0].endswith("\nA. 0\nB. 4\nC. 2\nD. 6\nAnswer:")


def test_categories_have_the_sizes_of_the_original_and_of_lm_eval():
    asked = items("mmlu_zero_shot")
    for flavor, expected in {
        "original": {"Humanities": 4705, "STEM": 3018, "Social Sciences": 3077, "Other": 3242},
        "lm_eval": {"Humanities": 4705, "STEM": 3153, "Social Sciences": 3077, "Other": 3107},
    }.items():
        sizes = dict.fromkeys(expected, 0)
        for question in asked:
            sizes[mmlu.category(question.group, flavor)] += 1
        assert sizes == expected


def test_none_is_a_word_and_white_space_is_kept_by_the_original_alone():
    tables = mmlu.read_folder(real_files())[0]
    cells = [cell for table in tables.values() for row in table["test"] for cell in row[1]]
    assert sum(cell == "None" for cell in cells) == 10
    outer = [(subject, row) for subject, table in tables.items() for row in table["test"] if row[0] != row[0].strip()]
    assert len(outer) == 963
    subject, row = outer[0]
    assert mmlu.example(row, "original").startswith(row[0])
    assert mmlu.example(row, "lm_eval").startswith(row[0].strip() + "\nA. ")
    assert re.search(r"about \w", mmlu.head(subject, "lm_eval")) and "about  " in mmlu.head(subject, "original")


def test_examples_are_dropped_until_the_prompt_fits_and_are_counted():
    question = next(one for one in items("mmlu", limit=1) if one.group == "high_school_biology")

    def prompt(shots: int) -> str:
        return question.head + "".join(question.shots[:shots]) + question.pairs[0][0]

    for kept in range(5, -1, -1):  # " A" is two bytes, and the last is only predicted
        for window in (len(prompt(kept).encode()) + 1, len(prompt(min(kept + 1, 5)).encode()) + (kept == 5)):
            (record,) = TASKS["mmlu"].answer(noise(window), [question], Settings())
            assert record["counts"]["shots_dropped"] == 5 - kept and record["prompts"] == [prompt(kept)]
    with pytest.raises(UserError, match="without a single example"):
        TASKS["mmlu"].answer(noise(len(prompt(0).encode())), [question], Settings())


def test_the_flavor_of_lm_eval_cuts_the_left_end_and_counts_it():
    asked = items("mmlu_lm_eval", limit=1)[:5]
    for record in TASKS["mmlu_lm_eval"].answer(noise(500), asked, Settings()):
        assert record["counts"]["tokens_cut"] == len(record["prompts"][0].encode()) + 2 - 1 - 500 > 0
