"""OpenBookQA (Mihaylov et al. 2018), test split: elementary science, four ways to end a sentence."""

from typing import Any

from xgen.evals.choice import Question, choice_task
from xgen.evals.files import DataSet

DATA = DataSet(
    ("OpenBookQA*/Main/test.jsonl", "openbookqa/**/test*.parquet", "openbookqa/**/test/*.arrow",
     "openbookqa/**/validation/*.arrow"),
    "allenai/openbookqa",
    "main",
    "test",
)  # fmt: skip


def question(row: dict[str, Any]) -> Question:
    """Read a row of the original file or of the hub's; the context is the stem and nothing else."""
    if "question" in row:
        stem, listed = row["question"]["stem"], row["question"]["choices"]
        texts, labels = [one["text"] for one in listed], [one["label"] for one in listed]
    else:
        stem, texts, labels = row["question_stem"], row["choices"]["text"], row["choices"]["label"]
    gold = labels.index(row["answerKey"].strip())
    return Question(row["id"], tuple((stem, f" {text}") for text in texts), gold, tuple(texts))


TASKS = (choice_task("openbookqa", "OpenBookQA", "acc_norm", DATA, question),)
