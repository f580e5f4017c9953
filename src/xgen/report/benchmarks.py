"""Our results beside the report's (tables 4 to 7), with what chance scores and how sure a number is.

Takes results as evals/runner.py writes them, by the names of their tasks; a task that failed keeps its sentence.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from xgen.report import numbers, published
from xgen.report.published import PublishedTable
from xgen.report.tables import Plain, Table

Titled = tuple[str, Table]
TABLE_6 = ("mmlu_zero_shot", "arc_challenge", "hellaswag", "winogrande", "truthfulqa", "boolq", "piqa", "openbookqa")
FLAVORS = (("mmlu", "mmlu_lm_eval"), ("mmlu_zero_shot", "mmlu_lm_eval_zero_shot"))


def tables(results: Mapping[str, Plain], name: str) -> list[Titled]:
    """Make every table that there is a result for; first each metric of each task, then the report's."""
    made = [("Every task", every_task(results.values()))] if results else []
    for task, table in (("mmlu", published.MMLU_FIVE_SHOT), ("mmlu_zero_shot", published.MMLU_ZERO_SHOT)):
        if found := _done(results, task):
            made.append(_titled(table, mmlu(table, found, name)))
    if any(_done(results, task) for task in TABLE_6):
        made.append(_titled(published.COMMON_SENSE, common_sense(results, name)))
    if found := _done(results, "humaneval"):
        own = (_value(found, found["headline"]),)
        made.append(_titled(published.HUMAN_EVAL, _beside(published.HUMAN_EVAL, name, own, (None,))))
    for original, other in FLAVORS:
        if (first := _done(results, original)) and (second := _done(results, other)):
            made.append((f"{first['title']}: the original standard and lm-eval's flavor", flavors(first, second)))
    return made


def line_of(result: Plain) -> str:
    """Say in one line what a task gave, each score with its standard error, in percent."""
    if "error" in result:
        return f"  {result['title']:<40} not measured: {result['error']}"
    scores = [
        f"{metric} {100 * score['value']:.2f} ± {100 * score['standard_error']:.2f}"
        for metric, score in result["scores"].items()
    ]
    return f"  {result['title']:<40} {', '.join(scores)}"


def every_task(results: Iterable[Plain]) -> Table:
    """One row a metric: its value in percent, its standard error, what chance scores, over how many items."""
    rows = []
    for result in results:
        if "error" in result:
            rows.append((result["title"], "not measured", *[numbers.NOTHING] * 4, result["error"]))
            continue
        for metric, score in result["scores"].items():
            rows.append(
                (
                    result["title"],
                    metric + (" *" if metric == result["headline"] else ""),
                    _percent(score["value"]),
                    _percent(score["standard_error"]),
                    _percent(score.get("chance", math.nan)),
                    numbers.count(score["count"]),
                    _happened(result),
                )
            )
    return Table(
        ("Task", "Metric", "%", "±", "Chance", "Items", "Notes"),
        tuple(rows),
        num_left=2,
        note="±: standard error of the mean. *: what stands in the report's table.",
    )


def mmlu(table: PublishedTable, result: Plain, name: str) -> Table:
    """Tables 4 and 5: the four categories and the average over all questions."""
    parts = [result["categories"].get(column) for column in table.columns[:-1]]
    scores = [part["acc"] if part else None for part in parts] + [result["scores"]["acc"]]
    return _beside(
        table,
        name,
        tuple(score and score["value"] for score in scores),
        tuple(score and score["chance"] for score in scores),
    )


def common_sense(results: Mapping[str, Plain], name: str) -> Table:
    """Table 6: each task by its headline metric."""
    found = [_done(results, task) for task in TABLE_6]
    scores = [result["scores"][result["headline"]] if result else None for result in found]
    values = tuple(score["value"] if score else None for score in scores)
    chances = tuple(score["chance"] if score else None for score in scores)
    return _beside(published.COMMON_SENSE, name, values, chances)


def flavors(original: Plain, other: Plain) -> Table:
    """How the two ways of MMLU differ on one model, by category; they differ in prompts and in where anatomy counts."""
    rows = [("Weighted average", original["scores"]["acc"], other["scores"]["acc"])]
    rows += [
        (column, part["acc"], other["categories"][column]["acc"]) for column, part in original["categories"].items()
    ]
    return Table(
        ("", "Original", "Items", "lm-eval's", "Items", "Difference"),
        tuple(
            (
                column,
                _percent(one["value"]),
                numbers.count(one["count"]),
                _percent(two["value"]),
                numbers.count(two["count"]),
                f"{100 * (two['value'] - one['value']):+.2f}",
            )
            for column, one, two in rows
        ),
    )


def _beside(table: PublishedTable, name: str, own: tuple[float | None, ...], chance: tuple[float | None, ...]) -> Table:
    rows = [(f"{name} (measured)", *map(_percent, own))]
    if any(value is not None for value in chance):
        rows.append(("chance", *map(_percent, chance)))
    rows += [(model, *(f"{value:.1f}" for value in values)) for model, values in table.rows.items()]
    return Table(("", *table.columns), tuple(rows), note=table.note)


def _titled(table: PublishedTable, made: Table) -> Titled:
    return f"Table {table.number} of the report: {table.title}", made


def _done(results: Mapping[str, Plain], task: str) -> Plain | None:
    result = results.get(task)
    return None if result is None or "error" in result else result


def _value(result: Plain, metric: str) -> float:
    return result["scores"][metric]["value"]


def _percent(value: float | None) -> str:
    return numbers.NOTHING if value is None or math.isnan(value) else f"{100 * value:.1f}"


def _happened(result: Plain) -> str:
    """Say what was done to items: examples dropped, tokens cut."""
    counts: dict[str, Any] = result.get("counts", {})
    return ", ".join(f"{name.replace('_', ' ')} in {numbers.count(one['items'])}" for name, one in counts.items())
