"""Assemble the report page: one self-contained HTML file, made of a run folder and its tuned child, nothing else."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from xgen.core.ledger import RunFolder, write_text
from xgen.report import figures, numbers, tables
from xgen.report.tables import Plain
from xgen.train.stages import Stage, trained_tokens

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
    recipe, lines = run.recipe(), run.metrics.read()
    plan = tuple(Stage(**stage) for stage in recipe["stages"])
    perplexity, manifest = run.read_result("perplexity"), run.read_result("data")
    tuned_lines = tuned.metrics.read() if tuned else []
    exports = [found for each in (run, tuned) if each and (found := each.read_result("export"))]
    num_parameters = exports[0]["parameters"] if exports else tables.parameters(recipe["model"])
    measured = perplexity["stages"] if perplexity else []
    page = _template().render(
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        name=run.path.name, recipe=recipe, recipe_text=json.dumps(recipe, indent=2, ensure_ascii=False),
        start=(run.environments() or [{}])[0], parent=run.parent(), tuned_name=tuned.path.name if tuned else None,
        parts={part.name: part for part in _parts(run, tuned, plan, lines[-1]["tokens"] if lines else 0)},
        cards=_headline(run, plan, lines, measured),
        plan=plan, measured=measured, apart=bool(measured) and tables.apart(measured[-1]),
        figure_1=figures.loss_over_tokens(lines, plan) if lines else None,
        figure_2=figures.perplexity_over_position(measured) if measured else None,
        figure_tuning=figures.tuning_loss(tuned_lines) if tuned_lines else None,
        stages=tables.stages(plan, lines), plans=tables.plans(recipe, plan, num_parameters),
        model=tables.model(recipe["model"], num_parameters),
        perplexity=tables.perplexity(measured) if measured else None,
        data=tables.data(manifest) if manifest else [], environment=tables.environment(run.environments()),
        teaching=(tuned.read_result("teaching") if tuned else None) or [],
        samples=_samples(run), exports=exports, tuned_loss=tables.last_loss(tuned_lines) if tuned_lines else None,
    )
    return _visible(page)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.globals["numbers"] = numbers
    return environment.get_template("page.html.j2")


def _parts(run: RunFolder, tuned: RunFolder | None, plan: tuple[Stage, ...], num_tokens: int) -> list[Part]:
    """List the verbs in the order of the pipeline."""
    folder = f"{run.path.parent.name}/{run.path.name}"
    results, tuned_results = run.results(), tuned.results() if tuned else []
    measured = (run.read_result("perplexity") or {"stages": []})["stages"]
    done = {"prepare": "data" in results, "pretrain": num_tokens >= trained_tokens(plan),
            "evaluate": len(measured) >= len(plan), "instruct": tuned is not None, "generate": "samples" in results,
            "export": "export" in (*results, *tuned_results)}
    return [Part(verb, is_done, f"xgen {verb} {folder}") for verb, is_done in done.items()]


def _headline(run: RunFolder, plan: tuple[Stage, ...], lines: Sequence[Plain], measured: Sequence[Plain]) -> list[Card]:
    """Choose the numbers that a reader wants first; each is left out rather than made up."""
    cards = []
    if lines:
        planned = trained_tokens(plan)
        cards += [
            Card("tokens trained", numbers.short(lines[-1]["tokens"]), f"of {numbers.count(planned)} planned"),
            Card("final loss", numbers.figures(tables.last_loss([line for line in lines
                                                                 if line["stage"] == lines[-1]["stage"]])),
                 f"nats per token; {numbers.figures(lines[0]['loss'])} at the first step"),
        ]
    if measured:
        first, last = measured[-1]["first_eighth"], measured[-1]["last_eighth"]
        cards.append(Card("perplexity", f"{first['perplexity']:,.0f} → {last['perplexity']:,.0f}",
                          "first to last eighth of the context"))
    if lines:
        cards.append(Card("time to pre-train", numbers.duration(sum(line["seconds"] for line in lines)),
                          _whole_time(run.read_result("timings"))))
    machine = next((entry for entry in reversed(run.environments()) if entry.get("devices")), None)
    if machine:
        cards.append(Card("machine", *tables.machine(machine)))
    return cards


def _whole_time(timings: Plain | None) -> str:
    if not timings:
        return "sum over the steps"
    whole = sum(value for name, value in timings.items() if name != "peak_memory_gb")
    peak = f", {timings['peak_memory_gb']:.1f} GB at most" if "peak_memory_gb" in timings else ""
    return f"{numbers.duration(whole)} for all parts{peak}"


def _samples(run: RunFolder) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """List the kinds of samples that there are, each with a sentence about it."""
    samples = run.read_result("samples") or {}
    kinds = (("base", "The base model continues a text."), ("tuned", "The tuned model answers an instruction."))
    return [(kind, sentence, samples[kind]) for kind, sentence in kinds if samples.get(kind)]


_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _visible(page: str) -> str:
    """Show what a sampled text may hide: control characters, changes of direction, halves of surrogate pairs."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", page)
