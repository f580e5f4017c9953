"""AlpacaEval: a judge ranks a model's answers against those of text-davinci-003 (section 5.2.1, table 8).

The benchmark's own files are read: `reference_outputs.json`, the outputs that the published annotations compare with,
and `alpaca_eval.txt`, the prompt of its GPT-4 annotator. Annotations are read and written in its format: preference 1
is a win of the reference, 2 of the model, 0 and 1.5 are draws, null was not understood and is dropped.
"""

import ast
import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import read_json
from xgen.speakers.asking import Reply, Request

ANSWER_TOKENS, JUDGE_TOKENS = 2_048, 100
"""The latter is that of the benchmark's annotator."""
DRAWS = (0, 1.5)
MARKUP = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class AlpacaEval:
    """The benchmark's rows (`instruction`, `dataset`, `output`, `generator`) and its judge's prompt."""

    rows: tuple[dict[str, Any], ...]
    system: str
    prompt: str


def load(folder: Path, limit: int = 0) -> AlpacaEval:
    """Read the benchmark's files; `limit` above 0 keeps only so many instructions."""
    rows = read_json(folder / "reference_outputs.json")
    _require_rows(folder / "reference_outputs.json", rows, ("instruction", "output"))
    try:
        template = (folder / "alpaca_eval.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the judge's prompt cannot be read from {folder / 'alpaca_eval.txt'} ({error})",
            "the prompt of the benchmark's alpaca_eval_gpt4",
            "Copy it from the benchmark's evaluators_configs.",
        ) from None
    said = dict(MARKUP.findall(template))
    if "{instruction}" not in said.get("user", ""):
        raise UserError(
            f"{folder / 'alpaca_eval.txt'} asks nothing", "a prompt with {instruction}", "Restore the file."
        )
    return AlpacaEval(tuple(rows[:limit] if limit else rows), said.get("system", "").strip(), said["user"].strip())


def answer_requests(benchmark: AlpacaEval) -> list[Request]:
    """Ask a model every instruction, greedily."""
    return [
        Request(f"alpaca_eval/{number}", (row["instruction"],), 0.0, ANSWER_TOKENS)
        for number, row in enumerate(benchmark.rows)
    ]


def judge_requests(benchmark: AlpacaEval, answers: Sequence[str]) -> list[Request]:
    """Ask the judge to rank each pair; which comes first is drawn from the instruction, so that a rerun agrees."""
    requests = []
    for number, (row, answer) in enumerate(zip(benchmark.rows, answers, strict=True)):
        pair = (row["output"], answer)
        first, second = reversed(pair) if is_switched(row["instruction"]) else pair
        filled = {"{instruction}": row["instruction"], "{output_1}": first, "{output_2}": second}
        # In one pass: an answer that speaks of {output_2} is not filled in again.
        prompt = re.sub("|".join(map(re.escape, filled)), lambda found, by=filled: by[found[0]], benchmark.prompt)
        requests.append(Request(f"alpaca_eval/{number}/judge", (prompt,), 0.0, JUDGE_TOKENS, benchmark.system))
    return requests


def is_switched(instruction: str) -> bool:
    """Say whether the model's answer is shown first."""
    return hashlib.sha256(instruction.encode(errors="replace")).digest()[0] % 2 == 1


def rank_of_first(reply: str) -> int | None:
    """Read the rank that the judge gave to model_1, or None where the reply is no ranking of two models."""
    start, end = reply.find("["), reply.rfind("]")
    try:
        ranked = ast.literal_eval(reply[start : end + 1])
        ranks = {entry["model"]: entry["rank"] for entry in ranked}
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return None
    if set(ranks) != {"model_1", "model_2"} or sorted(map(str, ranks.values())) != ["1", "2"]:
        return None
    return int(ranks["model_1"])


def annotations(
    benchmark: AlpacaEval, model: str, judge: str, answers: Sequence[str], replies: Sequence[Reply]
) -> list[dict[str, Any]]:
    """Give the benchmark's annotation rows, each with the raw reply that it was read from."""
    rows = []
    for row, answer, reply in zip(benchmark.rows, answers, replies, strict=True):
        rank = rank_of_first(reply.text)
        if rank is not None and is_switched(row["instruction"]):
            rank = 3 - rank
        rows.append(
            {
                "instruction": row["instruction"],
                "output_1": row["output"],
                "generator_1": row.get("generator", "text_davinci_003"),
                "dataset": row.get("dataset", ""),
                "output_2": answer,
                "generator_2": model,
                "annotator": judge,
                "preference": rank,
                "price_per_example": reply.cost,
                "raw_completion": reply.failure or reply.text,
            }
        )
    return rows


def read_annotations(path: Path, benchmark: AlpacaEval) -> list[dict[str, Any]]:
    """Read recorded annotations; they must be of exactly the benchmark's instructions and reference outputs."""
    rows = read_json(path)
    _require_rows(path, rows, ("instruction", "output_1", "output_2", "preference"))
    expected = {row["instruction"]: row["output"] for row in benchmark.rows}
    counts = Counter(row["instruction"] for row in rows)
    twice = [instruction for instruction, count in counts.items() if count > 1]
    missing = [instruction for instruction in expected if instruction not in counts]
    strange = [instruction for instruction in counts if instruction not in expected]
    other = [row["instruction"] for row in rows if row["output_1"] != expected.get(row["instruction"])]
    for found, number in (("twice", twice), ("missing", missing), ("not of this set", strange)):
        if number:
            raise UserError(
                f"{path}: {len(number)} of the instructions are {found}, the first of them '{number[0][:60]}'",
                f"each of the {len(expected)} instructions once",
                "Take the annotations of the same question set.",
            )
    if other:
        raise UserError(
            f"{path} compares {len(other)} answers with other outputs than those of the reference",
            "the outputs of text-davinci-003 that the published annotations hold as output_1",
            "Judge against those: model_outputs.json of text_davinci_003 is not what was judged.",
        )
    return rows


def score(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count wins, losses and draws. `win_rate` and its `standard_error` are in percent; a draw is half a win."""
    preferences = [row["preference"] for row in rows if row["preference"] is not None]
    strange = [value for value in preferences if value not in (1, 2, *DRAWS)]
    if strange:
        raise UserError(f"a preference of {strange[0]!r}", "1, 2, 0, 1.5 or null", "Restore the annotations.")
    points = [0.5 if value in DRAWS else float(value == 2) for value in preferences]
    if not points:
        raise UserError(
            f"none of {len(rows)} verdicts is a ranking", "a judge that ranks two models", "Read its raw replies."
        )
    spread = statistics.stdev(points) if len(points) > 1 else 0.0
    return {
        "win_rate": 100 * statistics.fmean(points),
        "standard_error": 100 * spread / len(points) ** 0.5,
        "wins": points.count(1.0),
        "losses": points.count(0.0),
        "draws": points.count(0.5),
        "judged": len(points),
        "not_understood": len(rows) - len(points),
        "judge": sorted({str(row.get("annotator", "")) for row in rows}),
    }


def _require_rows(path: Path, rows: Any, fields: tuple[str, ...]) -> None:
    """Refuse a file that is no list of objects with these fields."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} holds no rows", "a list of objects", "Restore the file.")
    for number, row in enumerate(rows):
        lacking = [field for field in fields if field not in row]
        if lacking:
            raise UserError(
                f"row {number} of {path} has no {', '.join(lacking)}", "them in each row", "Restore the file."
            )
