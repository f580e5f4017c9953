"""ARC-Challenge (Clark et al. 2018), test split: science questions of four answers, a few of three or five."""

from typing import Any

from xgen.evals.choice import Question, choice_task
from xgen.evals.files import DataSet

DATA = DataSet(
    ("ARC-Challenge-Test.jsonl", "ARC-Challenge/test/*.arrow", "ARC-Challenge/**/test*.parquet"),
    "allenai/ai2_arc",
    "ARC-Challenge",
    "test",
)


def question(row: dict[str, Any]) -> Question:
    """Read a row of the original file, whose question holds its choices, or of the hub's."""
    if isinstance(row["question"], dict):
        stem, listed = row["question"]["stem"], row["question"]["choices"]
        texts, labels = [one["text"] for one in listed], [one["label"] for one in listed]
    else:
        stem, texts, labels = row["question"], row["choices"]["text"], row["choices"]["label"]
    context = f"Question: {stem}\nAnswer:"
    return Question(
        row["id"], tuple((context, f" {text}") for text in texts), labels.index(row["answerKey"]), tuple(texts)
    )


TASKS = (choice_task("arc_challenge", "ARC-Challenge", "acc_norm", DATA, question),)
