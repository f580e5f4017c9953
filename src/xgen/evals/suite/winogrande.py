"""WinoGrande XL (Sakaguchi et al. 2019), validation split: the sentence's end is scored after either name.

Partial scoring: the two contexts differ, the continuation is one.
"""

from typing import Any

from xgen.evals.choice import Question, accuracy, choice_task
from xgen.evals.files import DataSet

DATA = DataSet(
    ("winogrande*/dev.jsonl", "winogrande/winogrande_xl/validation/*.arrow", "winogrande_xl/**/validation*.parquet"),
    "allenai/winogrande",
    "winogrande_xl",
    "validation",
)


def question(row: dict[str, Any]) -> Question:
    """Put each name into the blank."""
    before, after = row["sentence"].split("_", 1)
    names = (row["option1"], row["option2"])
    pairs = tuple((before + name, f" {after.strip()}") for name in names)
    return Question(row["sentence"], pairs, ("1", "2").index(row["answer"]), names)


TASKS = (choice_task("winogrande", "WinoGrande", "acc", DATA, question, accuracy),)
