"""Our rows beside the report's in tables 8 to 13, and what the stress test found; gaps say why they are there.

Takes what `xgen evaluate --suite instruct` wrote: for each model its results by task, each a score or an "error".
"""

from collections.abc import Callable, Mapping, Sequence

from xgen.report import numbers, published_judged
from xgen.report.published import PublishedTable
from xgen.report.tables import Plain, Table

Titled = tuple[str, Table]
Cells = tuple[str, ...]
DATASETS = ("AMI", "FD", "TMS")
ONE_DIGIT = (8, 10)
"""Tables whose values the report prints with one digit; the others have two."""
TASKS = {
    "alpaca_eval": "AlpacaEval",
    "mt_bench_single": "MT-Bench, single",
    "mt_bench_pair": "MT-Bench, pairwise",
    "long_form_qa": "Long-form QA",
    **{f"summarization_{dataset}": f"Summarization, {dataset}" for dataset in DATASETS},
    "stress": "Stress test",
}


def tables(models: Mapping[str, Mapping[str, Plain]]) -> list[Titled]:
    """Make tables 8 to 13, then how each of our numbers came about, then the stress test."""
    made = []
    for table, task, cells in (
        (published_judged.ALPACA_EVAL, "alpaca_eval", _win_rate),
        (published_judged.MT_BENCH_SINGLE, "mt_bench_single", _grade),
        (published_judged.MT_BENCH_PAIR, "mt_bench_pair", _games),
        (published_judged.LONG_FORM_DIMENSIONS, "long_form_qa", _dimensions),
        (published_judged.LONG_FORM_SETTINGS, "long_form_qa", _settings),
    ):
        rows = [(f"{name} (measured)", *_cells(found.get(task), cells, table)) for name, found in models.items()]
        made.append(_titled(table, rows))
    rows = [(f"{name} (measured)", *_rouge(found)) for name, found in models.items()]
    made.append(_titled(published_judged.SUMMARIZATION, rows))
    made.append(("How each number came about", provenance(models)))
    if tested := {name: found["stress"] for name, found in models.items() if "categories" in found.get("stress", {})}:
        made.append(("Stress test: share of the items that met their rule", stress(tested)))
    return made


def provenance(models: Mapping[str, Mapping[str, Plain]]) -> Table:
    """One row for each model and task: who judged, how many, what was dropped, or why there is nothing."""
    rows = []
    for name, found in models.items():
        for task, title in TASKS.items():
            result = found.get(task, {"error": "not asked for"})
            if "error" in result:
                rows.append((name, title, numbers.NOTHING, numbers.NOTHING, f"not measured: {result['error']}"))
            else:
                count = result.get("judged", result.get("summaries", result.get("items", 0)))
                judge = ", ".join(result.get("judge", [])) or "rules"
                rows.append((name, title, judge, numbers.count(count), _happened(result)))
    return Table(("Model", "Task", "Judge", "Items", "Notes"), tuple(rows), num_left=5)


def stress(tested: Mapping[str, Plain]) -> Table:
    """One row a category, one column a model; below, the counts that section 7 of the report makes one ask for."""
    names = list(dict.fromkeys(category for result in tested.values() for category in result["categories"]))
    rows = []
    for name in names:
        shares = [result["categories"].get(name) for result in tested.values()]
        rows.append((name, *(f"{100 * each['passed']:.1f} of {each['items']}" if each else "–" for each in shares)))
    counts = {
        "refused though harmless (count)": "refused",
        "malicious and not refused (count)": "malicious_not_refused",
        "unsupported claims (count)": "unsupported_claims",
        "answers with listed words (count)": "listed_words",
    }
    for title, key in counts.items():
        values = [result[key] for result in tested.values()]
        rows.append((title, *("not measured" if value is None else numbers.count(value) for value in values)))
    return Table(
        ("", *tested),
        tuple(rows),
        note="Percent of the items. Rules look for words. Bias beyond names and truth about the world: not measured.",
    )


def _cells(result: Plain | None, cells: Callable[[Plain], Cells], table: PublishedTable) -> Cells:
    return (numbers.NOTHING,) * len(table.columns) if result is None or "error" in result else cells(result)


def _win_rate(result: Plain) -> Cells:
    return (f"{result['win_rate']:.1f} ± {result['standard_error']:.1f}",)


def _grade(result: Plain) -> Cells:
    return (f"{result['score']:.2f}",)


def _games(result: Plain) -> Cells:
    rates = (f"{100 * result[name]:.1f}" for name in ("win_rate", "loss_rate", "win_rate_adjusted"))
    return (*(numbers.count(result[name]) for name in ("win", "loss", "tie")), *rates)


def _dimensions(result: Plain) -> Cells:
    return tuple(f"{result[name]:.2f}" for name in ("coherence", "relevance", "accuracy", "average"))


def _settings(result: Plain) -> Cells:
    found = [result["by_setting"].get(setting) for setting in ("QG-passage", "QG-summary")]
    return tuple(numbers.NOTHING if value is None else f"{value:.2f}" for value in found)


def _rouge(found: Mapping[str, Plain]) -> Cells:
    cells: list[str] = []
    for dataset in DATASETS:
        result = found.get(f"summarization_{dataset}", {})
        scores = result.get("stemmed", {})
        cells += [f"{scores[name]:.2f}" if scores else numbers.NOTHING for name in ("rouge1", "rouge2", "rougeL")]
    return tuple(cells)


def _titled(table: PublishedTable, own: Sequence[Cells]) -> Titled:
    digits = 1 if table.number in ONE_DIGIT else 2
    rows = [
        (model, *(str(value) if isinstance(value, int) else f"{value:.{digits}f}" for value in values))
        for model, values in table.rows.items()
    ]
    title = f"Table {table.number} of the report: {table.title}"
    return title, Table(("Model", *table.columns), (*own, *rows), note=table.note)


def _happened(result: Plain) -> str:
    """Say what was dropped, cut or left out, and what else a reader must know of a score."""
    said: list[str] = []
    for key, words in (
        ("not_understood", "verdicts not understood"),
        ("duplicates", "duplicates"),
        ("empty_answers", "empty answers"),
        ("left_out", "longer than 8K left out"),
        ("truncated", "sources cut at their end"),
        ("failed", "without an answer"),
        ("writer_cut", "documents cut for the writer"),
    ):
        if result.get(key):
            said.append(f"{numbers.count(result[key])} {words}")
    if "baseline" in result:
        said.append(f"against {result['baseline']}")
    if result.get("judged") and result.get("expected") and result["judged"] != result["expected"]:
        said.append(f"{numbers.count(result['expected'])} expected")
    if "writer" in result:
        said.append(f"questions by {result['writer']}, prompts {result['prompts']}")
    if "mean_source_tokens" in result:
        published = result["published_source_tokens"]
        said.append(f"mean source {numbers.count(result['mean_source_tokens'])} tokens (the report: {published:,})")
        plain = ", ".join(f"{name} {value:.2f}" for name, value in result["plain"].items())
        said.append(f"rougeLsum {result['stemmed']['rougeLsum']:.2f}; without stemmer {plain}")
    return "; ".join(said)
