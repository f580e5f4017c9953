"""Assemble the report page: one self-contained HTML file, made of a run folder and its tuned child, nothing else."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from xgen.core.ledger import RunFolder, write_text
from xgen.report import benchmarks, figures, numbers, tables
from xgen.report.tables import Plain
from xgen.train.stages import Stage, num_steps, trained_tokens

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One verb of the pipeline: whether its result is in the folder, and the command that makes it."""

    name: str
    done: bool
    command: str


@dataclass(frozen=True)
class Card:
    """One headline number."""

    label: str
    value: str
    note: str


def write(run: RunFolder, tuned: RunFolder | None) -> Path:
    """Write report.html into the run folder and return its path."""
    path = run.path / "report.html"
    write_text(path, build(run, tuned))
    return path


def build(run: RunFolder, tuned: RunFolder | None) -> str:
    """Build the page; the same folders give the same bytes. A part that has not run is named with its command."""
    recipe, lines, starts = run.recipe(), run.metrics.read(), run.environments()
    plan = tuple(Stage(**stage) for stage in recipe["stages"])
    measured = (run.read_result("perplexity") or {"stages": []})["stages"]
    manifest = run.read_result("data")
    folders = [run, tuned] if tuned else [run]
    exports = [found for each in folders if (found := each.read_result("export"))]
    num_parameters = exports[0]["parameters"] if exports else tables.parameters(recipe["model"])
    return visible(
        template("page.html.j2").render(
            css=(HERE / "page.css").read_text(encoding="utf-8"),
            name=run.path.name,
            recipe=recipe,
            recipe_text=json.dumps(recipe, indent=2, ensure_ascii=False),
            start=starts[0] if starts else {},
            parent=run.parent(),
            plan=plan,
            parts={part.name: part for part in _parts(run, tuned, plan)},
            cards=_headline(run, plan, lines, measured),
            figure_1=figures.loss_over_tokens(lines, plan) if lines else None,
            stages=tables.stages(plan, lines),
            measured=measured,
            apart=bool(measured) and tables.apart(measured[-1]),
            figure_2=figures.perplexity_over_position(measured) if measured else None,
            perplexity=tables.perplexity(measured) if measured else None,
            benchmarks=_benchmarks(folders),
            data=tables.data(manifest) if manifest else [],
            tuning=_tuning(tuned) if tuned else None,
            samples=_samples(folders),
            exports=exports,
            plans=tables.plans(recipe, plan, num_parameters),
            model=tables.model(recipe["model"], num_parameters),
            environment=tables.environment(starts),
        )
    )


def _benchmarks(folders: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """Gather what suites found, one part for each checkpoint that was judged."""
    parts = []
    for folder in folders:
        for which, results in folder.evaluations().items():
            found = results.get("retrieval", {}).get("cells")
            titled = benchmarks.tables(results, folder.path.name)
            parts.append({"name": f"{folder.path.name}, checkpoint {which}", "tables": titled})
            parts[-1]["figure"] = figures.retrieval(found) if found else None
    return parts


def _tuning(tuned: RunFolder) -> dict[str, Any]:
    """Gather what the page says of a tuned run."""
    lines = tuned.metrics.read()
    return {
        "name": tuned.path.name,
        "figure": figures.tuning_loss(lines) if lines else None,
        "loss": tables.last_loss(lines) if lines else None,
        "teaching": tuned.read_result("teaching") or [],
        "conversations": tuned.read_result("conversations"),
    }


def template(name: str) -> jinja2.Template:
    """Load a page that lies beside this file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["numbers"] = numbers
    return environment.get_template(name)


def _parts(run: RunFolder, tuned: RunFolder | None, plan: tuple[Stage, ...]) -> list[Part]:
    """List the parts in the order of the pipeline; samples are drawn by the quickstart."""
    folder = f"{run.path.parent.name}/{run.path.name}"
    results = {*run.results(), *(tuned.results() if tuned else ())}
    measured = (run.read_result("perplexity") or {"stages": []})["stages"]
    done = {
        "prepare": "data" in results,
        "pretrain": _last_step(run) >= num_steps(plan),
        "evaluate": len(measured) >= len(plan),
        "instruct": tuned is not None and _is_tuned(tuned),
        "samples": "samples" in results,
        "export": "export" in results,
    }
    return [
        Part(name, is_done, f"xgen {'quickstart' if name == 'samples' else name} {folder}")
        for name, is_done in done.items()
    ]


def _last_step(run: RunFolder) -> int:
    lines = run.metrics.read()
    return lines[-1]["step"] if lines else 0


def _is_tuned(tuned: RunFolder) -> bool:
    """Say whether every conversation was seen as often as the recipe asks."""
    conversations, config = tuned.read_result("conversations"), tuned.recipe()["instruct"]
    seen = _last_step(tuned) * config["batch_conversations"]
    return conversations is not None and seen >= conversations["kept"] * config["epochs"]


def _headline(run: RunFolder, plan: tuple[Stage, ...], lines: Sequence[Plain], measured: Sequence[Plain]) -> list[Card]:
    """Choose the numbers that a reader wants first; each is left out rather than made up."""
    cards = []
    if lines:
        planned = trained_tokens(plan)
        cards += [
            Card("tokens trained", numbers.short(lines[-1]["tokens"]), f"of {numbers.count(planned)} planned"),
            Card(
                "final loss",
                numbers.figures(tables.last_loss([line for line in lines if line["stage"] == lines[-1]["stage"]])),
                f"nats per token; {numbers.figures(lines[0]['loss'])} at the first step",
            ),
        ]
    if measured:
        first, last = measured[-1]["first_eighth"], measured[-1]["last_eighth"]
        cards.append(
            Card(
                "perplexity",
                f"{first['perplexity']:,.0f} → {last['perplexity']:,.0f}",
                "first to last eighth of the context",
            )
        )
    if lines:
        cards.append(
            Card(
                "time to pre-train",
                numbers.duration(sum(line["seconds"] for line in lines)),
                _whole_time(run.read_result("timings")),
            )
        )
    machine = next((entry for entry in reversed(run.environments()) if entry.get("devices")), None)
    if machine:
        cards.append(Card("machine", *tables.machine(machine)))
    return cards


def _whole_time(timings: Plain | None) -> str:
    if not timings:
        return "sum over the steps"
    whole = sum(value for name, value in timings.items() if name != "peak_memory_gb")
    peak = f", {timings['peak_memory_gb']:.1f} GB at most" if "peak_memory_gb" in timings else ""
    return f"{numbers.duration(whole)} from data to export{peak}"


def _samples(folders: Sequence[RunFolder]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """List the kinds of samples that there are, each with a sentence about it."""
    samples: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        samples |= folder.read_result("samples") or {}
    kinds = {
        "base": "The base model continues the start of a held-out document.",
        "tuned": "The tuned model answers an instruction.",
    }
    return [(kind, sentence, samples[kind]) for kind, sentence in kinds.items() if kind in samples]


_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(page: str) -> str:
    """Show what a sampled text may hide: control characters, changes of direction, halves of surrogate pairs."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", page)
