"""What MT-Bench's judgments say: grades by category, and wins, losses and ties against a baseline."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import read_json_lines
from xgen.judges.mt_bench import NO_RATING

EXPECTED = 160
"""Judgments of one model: 80 questions of two turns. Table 10 has models with twice as many, pooled from two runs."""
OTHER = {"model_1": "model_2", "model_2": "model_1"}
Row = dict[str, Any]


def read_judgments(path: Path, questions: Iterable[int]) -> list[Row]:
    """Read a judgment file of FastChat's, single or pair; rows of unknown questions are refused."""
    rows, known = read_json_lines(path), set(questions)
    for number, row in enumerate(rows, start=1):
        if (
            not isinstance(row, dict)
            or not {"question_id", "judge"} <= set(row)
            or not {"score", "g1_winner"} & set(row)
        ):
            raise UserError(
                f"row {number} of {path} is no judgment",
                "question_id, judge and score or g1_winner",
                "Restore the file.",
            )
    strange = [row["question_id"] for row in rows if row["question_id"] not in known]
    if strange:
        raise UserError(
            f"{path} judges {len(strange)} answers to other questions, the first of them to {strange[0]}",
            "judgments of this question set",
            "Take the judgments that belong to question.jsonl.",
        )
    return rows


def single(rows: Sequence[Row], model: str, categories: dict[int, str]) -> dict[str, Any]:
    """Average the grades of one model, over all, by turn and by category; those without a rating are dropped."""
    own = [row for row in rows if row.get("model") == model and "score" in row]
    kept = {(row["question_id"], row.get("turn", 1)): row for row in own}
    _require_some(kept, model, rows)
    rated = {key: row["score"] for key, row in kept.items() if row["score"] != NO_RATING}
    if not rated:
        raise UserError(f"none of {len(kept)} judgments of {model} has a rating", "[[n]]", "Read the judge's replies.")
    return {
        "score": statistics.fmean(rated.values()),
        "by_turn": _means((turn, score) for (_, turn), score in rated.items()),
        "by_category": _means((categories[question], score) for (question, _), score in rated.items()),
        "judged": len(rated),
        "not_understood": len(kept) - len(rated),
        **_how(kept.values(), len(own) - len(kept)),
    }


def pair(rows: Sequence[Row], model: str, baseline: str, categories: dict[int, str]) -> dict[str, Any]:
    """Count a model's wins against a baseline. A win needs both orders to agree, what is left is a tie.

    Rows with an error in either order are dropped and counted; of judgments of one question and turn the last counts.
    Rates are fractions; `win_rate_adjusted` counts half of the ties.
    """
    own = [row for row in rows if {row.get("model_1"), row.get("model_2")} == {model, baseline}]
    kept = {(row["question_id"], row.get("turn", 1)): _winner(row, model) for row in own}
    _require_some(kept, model, rows)
    decided = {key: winner for key, winner in kept.items() if winner != "error"}
    if not decided:
        raise UserError(
            f"none of {len(kept)} judgments of {model} has a verdict", "[[A]], [[B]] or [[C]]", "Read them."
        )
    counts = {name: list(decided.values()).count(name) for name in ("win", "loss", "tie")}
    total = len(decided)
    return {
        **counts,
        "win_rate": counts["win"] / total,
        "loss_rate": counts["loss"] / total,
        "win_rate_adjusted": (counts["win"] + counts["tie"] / 2) / total,
        "by_category": _means(
            (categories[question], {"win": 1.0, "tie": 0.5, "loss": 0.0}[name])
            for (question, _), name in decided.items()
        ),
        "baseline": baseline,
        "judged": total,
        "not_understood": len(kept) - total,
        **_how(own, len(own) - len(kept)),
    }


def _winner(row: Row, model: str) -> str:
    """Say how one comparison ended for `model`: win, loss, tie, or error where an order has no verdict."""
    won = row["g1_winner"], row["g2_winner"]
    if "error" in won:
        return "error"
    if won[0] != won[1] or won[0] not in OTHER:
        return "tie"
    return "win" if row[won[0]] == model else "loss"


def _how(rows: Iterable[Row], duplicates: int) -> dict[str, Any]:
    return {"duplicates": duplicates, "judge": sorted({str(row["judge"][0]) for row in rows})}


def _means(pairs: Iterable[tuple[Any, int | float]]) -> dict[str, float]:
    groups: dict[str, list[int | float]] = {}
    for name, value in pairs:
        groups.setdefault(str(name), []).append(value)
    return {name: statistics.fmean(values) for name, values in sorted(groups.items())}


def _require_some(kept: dict[Any, Any], model: str, rows: Sequence[Row]) -> None:
    if not kept:
        named = sorted({str(row[key]) for row in rows for key in ("model", "model_1", "model_2") if key in row})
        raise UserError(
            f"there is no judgment of {model}", "a model that was judged", f"Judged: {', '.join(named) or 'nobody'}."
        )
