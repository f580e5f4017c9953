"""Ask one candidate the tasks of a suite, keep every answer at once, and go on where a killed program stopped.

<folder>/<task>.jsonl  a line that says what is asked of whom, then one record an item, as they are answered
<folder>/<task>.json   the result; present, and of the same question, means complete
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xgen import __version__
from xgen.core.errors import UserError
from xgen.core.ledger import MetricsLog, fingerprint, read_json, sha256_of_file, write_json
from xgen.core.progress import bar
from xgen.evals.task import Candidate, Record, Settings, Task, scores_of


def run(
    tasks: Sequence[Task],
    candidate: Candidate,
    settings: Settings,
    folder: Path,
    finished: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Run every task, one after the other; one that cannot be run leaves its reason as its result."""
    results = []
    for task in tasks:
        try:
            result = run_task(task, candidate, settings, folder)
        except UserError as error:
            result = {"task": task.name, "title": task.title, "headline": task.headline, "error": str(error)}
            write_json(folder / f"{task.name}.json", result)
        results.append(result)
        finished(result)
    return results


def run_task(task: Task, candidate: Candidate, settings: Settings, folder: Path) -> dict[str, Any]:
    """Answer what is not answered yet, and summarize; a complete result of the same question is returned as it is."""
    loaded = task.load(settings)
    if not loaded.items:
        raise UserError(f"{task.name} has no items", "at least one", "Check the files that --data names.")
    identity = {
        "task": task.name,
        "version": task.version,
        "items": len(loaded.items),
        "origin": loaded.origin,
        "candidate": candidate.about | {"window": str(candidate.model.context_length)},
        "seed": settings.seed,
    } | ({"samples": settings.samples} if task.headline.startswith("pass@") else {})
    path = folder / f"{task.name}.json"
    if path.exists() and read_json(path).get("identity") == fingerprint(identity):
        return read_json(path)
    started = time.monotonic()
    journal = MetricsLog(folder / f"{task.name}.jsonl")
    records = _resumed(journal, identity)
    with bar(task.name, len(loaded.items)) as shown:
        shown.move_to(len(records))
        while len(records) < len(loaded.items):
            part = loaded.items[len(records) : len(records) + task.at_once]
            for record in task.answer(candidate, part, settings):
                records.append(record)
                journal.append({"step": len(records)} | record)
            journal.sync()
            shown.move_to(len(records))
    result = {
        "task": task.name,
        "title": task.title,
        "headline": task.headline,
        "scores": scores_of(records),
        "counts": _counts(records),
        **task.summarize(records),
        "asked": identity,
        "identity": fingerprint(identity),
        "samples": journal.path.name,
        "samples_sha256": sha256_of_file(journal.path),
        "seconds": round(time.monotonic() - started, 2),
        "xgen": __version__,
    }
    write_json(path, result)
    return result


def _resumed(journal: MetricsLog, identity: dict[str, Any]) -> list[Record]:
    """Return the records of the same question that are kept already; those of another are forgotten."""
    lines = journal.read()
    if lines and lines[0].get("asked") == identity:
        journal.cut_after(len(lines) - 1)  # also what a kill left of a last line
        return [{name: value for name, value in line.items() if name != "step"} for line in lines[1:]]
    journal.path.parent.mkdir(parents=True, exist_ok=True)
    journal.cut_after(-1)
    journal.append({"step": 0, "asked": identity})
    return []


def _counts(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """Sum what happened to items, and count the items that it happened to."""
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        for name, number in record.get("counts", {}).items():
            if number:
                before = counts.setdefault(name, {"items": 0, "total": 0})
                counts[name] = {"items": before["items"] + 1, "total": before["total"] + number}
    return counts
