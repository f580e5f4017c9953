"""What an evaluation consists of: who is judged, with what settings, and a task that turns items into records."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.protocols import LanguageModel, Tokenizer

Record = dict[str, Any]
"""One item as it is kept: `key`, what was asked and answered, `scores` by metric, `chance` by metric, `counts`."""


@dataclass(frozen=True)
class Candidate:
    """A model that is judged, with its tokenizer; `about` says which weights in which precision, for the record."""

    model: LanguageModel
    tokenizer: Tokenizer
    about: dict[str, str]


@dataclass(frozen=True)
class Settings:
    """What a person chooses: how much is asked (`limit` 0 asks all), and where the data lie (None: on the hub)."""

    limit: int = 0
    data: Path | None = None
    seed: int = 0
    samples: int = 200
    """Programs that are drawn for each problem of HumanEval."""
    sandbox: str = "strict"


@dataclass(frozen=True)
class Items:
    """What a task asks, in order, and where it was read."""

    items: Sequence[Any]
    origin: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One benchmark. `version` grows with every change that may move a score.

    `load` reads all items, `answer` asks some of them and gives one record each, `summarize` adds what only the whole
    can say. `at_once` items are answered between two saves. `headline` is the metric of the report's table.
    """

    name: str
    version: int
    title: str
    headline: str
    load: Callable[[Settings], Items]
    answer: Callable[[Candidate, Sequence[Any], Settings], list[Record]]
    summarize: Callable[[Sequence[Record]], dict[str, Any]] = lambda records: {}
    at_once: int = 256


def scores_of(records: Sequence[Record]) -> dict[str, dict[str, float | int]]:
    """Average each metric over the records that have it, with the standard error of the mean (sample deviation)."""
    found = {}
    for metric in dict.fromkeys(name for record in records for name in record["scores"]):
        values = [record["scores"][metric] for record in records if metric in record["scores"]]
        chances = [record["chance"][metric] for record in records if metric in record.get("chance", {})]
        found[metric] = {
            "value": statistics.fmean(values),
            "standard_error": statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan,
            "count": len(values),
        } | ({"chance": statistics.fmean(chances)} if chances else {})
    return found


def require_finite(candidate: Candidate, values: Sequence[float]) -> None:
    """Refuse to rank log-probabilities of which one is no number."""
    if not all(map(math.isfinite, values)):
        raise UserError(
            f"{candidate.model.name} gives log-probabilities that are not finite",
            "finite ones",
            "The training diverged: look at the loss curve, and take an earlier checkpoint.",
        )
