"""PIQA (Bisk et al. 2020), validation split: which of two ways reaches a goal."""

import dataclasses
from typing import Any

from xgen.core.errors import UserError
from xgen.evals.choice import Question, choice_task
from xgen.evals.files import DataSet, find
from xgen.evals.task import Items, Settings

DATA = DataSet(
    ("piqa/**/validation/*.arrow", "piqa/**/validation*.parquet", "piqa/valid.jsonl"), "baber/piqa", None, "validation"
)


def question(row: dict[str, Any]) -> Question:
    """Ask for either solution; the original file has its answers in a second one."""
    context, ways = f"Question: {row['goal']}\nAnswer:", (row["sol1"], row["sol2"])
    return Question(row["goal"], tuple((context, f" {way}") for way in ways), int(row.get("label", -1)), ways)


_READ = choice_task("piqa", "PIQA", "acc", DATA, question)


def _load(settings: Settings) -> Items:
    """Join the original questions with valid-labels.lst where the rows have no label."""
    loaded = _READ.load(settings)
    if settings.data is None or all(one.gold >= 0 for one in loaded.items):
        return loaded
    labels = find(settings.data, ("piqa/valid-labels.lst",)).read_text(encoding="utf-8").split()
    if len(labels) < len(loaded.items):
        raise UserError(
            f"{len(labels):,} labels for {len(loaded.items):,} questions of PIQA",
            "a label for each",
            "Fetch valid-labels.lst again.",
        )
    golds = zip(loaded.items, labels, strict=False)
    return Items([dataclasses.replace(one, gold=int(label)) for one, label in golds], loaded.origin)


TASKS = (dataclasses.replace(_READ, load=_load),)
