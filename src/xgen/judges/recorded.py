"""Judgments that others recorded, in AlpacaEval's and FastChat's files: checked rows, and scores without a judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.judges import alpaca_eval, mt_bench, mt_bench_scores

Scores = dict[str, Any]


def scores(folder: Path, alpaca_folder: Path | None, mt_bench_folder: Path | None, baseline: str) -> dict[str, Scores]:
    """Score `annotations.json`, `*_single.jsonl` and `*_pair.jsonl`; by model and task, as a run's own results are.

    The folders hold the questions that were judged; None leaves the task out. UserError where nothing is left.
    """
    models: dict[str, Scores] = {}
    path = folder / "annotations.json"
    if alpaca_folder and path.exists():
        rows = alpaca_eval.read_annotations(path, alpaca_eval.load(alpaca_folder))
        models[str(rows[0].get("generator_2", folder.name))] = {"alpaca_eval": alpaca_eval.score(rows)}
    categories = mt_bench.load(mt_bench_folder).categories if mt_bench_folder else {}
    for path in sorted(folder.glob("*.jsonl")) if mt_bench_folder else ():
        rows = mt_bench_scores.read_judgments(path, categories)
        for name in sorted({row["model"] for row in rows if "score" in row}):
            found = mt_bench_scores.single(rows, name, categories) | {"expected": mt_bench_scores.EXPECTED}
            models.setdefault(name, {})["mt_bench_single"] = found
        for name, against in _pairs(rows, baseline):
            found = mt_bench_scores.pair(rows, name, against, categories) | {"expected": mt_bench_scores.EXPECTED}
            models.setdefault(name, {})["mt_bench_pair"] = found
    if not models:
        raise UserError(
            f"{folder} holds no judgments for the named tasks",
            "annotations.json with --files.alpaca-eval, or *_single.jsonl and *_pair.jsonl with --files.mt-bench",
            "Check the folder, and name the questions that were judged.",
        )
    return models


def _pairs(rows: Sequence[dict[str, Any]], baseline: str) -> list[tuple[str, str]]:
    """Name each judged pair once, the baseline second where it is in it."""
    pairs = sorted({(row["model_1"], row["model_2"]) for row in rows if "g1_winner" in row})
    return [(second, first) if first == baseline else (first, second) for first, second in pairs]
