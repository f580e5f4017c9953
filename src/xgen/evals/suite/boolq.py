"""BoolQ (Clark et al. 2019), validation split: a passage and a question of yes or no.

lm-eval reads SuperGLUE's copy, whose passages begin with their title; where a file has titles, so do ours.
"""

from typing import Any

from xgen.evals.choice import Question, choice_task
from xgen.evals.files import DataSet

DATA = DataSet(
    ("BoolQ/val.jsonl", "boolq*/dev.jsonl", "boolq/**/validation*.parquet", "boolq/**/validation/*.arrow"),
    "aps/super_glue",
    "boolq",
    "validation",
)
ANSWERS = ("no", "yes")


def question(row: dict[str, Any]) -> Question:
    """Ask in the words of lm-eval."""
    passage = f"{row['title']} -- {row['passage']}" if "title" in row else row["passage"]
    context = f"{passage}\nQuestion: {row['question']}?\nAnswer:"
    gold = int(row["label"] if "label" in row else row["answer"])
    return Question(row["question"], tuple((context, f" {answer}") for answer in ANSWERS), gold, ANSWERS)


TASKS = (choice_task("boolq", "BoolQ", "acc", DATA, question),)
