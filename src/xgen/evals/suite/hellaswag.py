"""HellaSwag (Zellers et al. 2019), validation split: which ending follows a scene, of four."""

import re
from typing import Any

from xgen.evals.choice import Question, choice_task
from xgen.evals.files import DataSet

DATA = DataSet(
    ("hellaswag_val.jsonl", "hellaswag/**/validation*.parquet", "*_hellaswag.jsonl"),
    "Rowan/hellaswag",
    None,
    "validation",
)


def cleaned(text: str) -> str:
    """Take out the marks of the how-to pages: a title begins a sentence, other brackets go."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def question(row: dict[str, Any]) -> Question:
    """Ask for the ending after the activity and both halves of the context."""
    context = cleaned(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    endings = tuple(map(cleaned, row["endings"]))
    return Question(str(row["ind"]), tuple((context, f" {ending}") for ending in endings), int(row["label"]), endings)


TASKS = (choice_task("hellaswag", "HellaSwag", "acc_norm", DATA, question),)
