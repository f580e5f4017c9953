"""The page of prepared data: what came in, what stayed and what went, made of audit.json and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from xgen.core.ledger import write_text
from xgen.data.composition import group_tables, read_audit
from xgen.report import numbers
from xgen.report.build import HERE, template, visible
from xgen.report.style import SERIES, STYLE, color, svg
from xgen.report.tables import Table

Audit = Mapping[str, Any]
NUM_BARS = 30
"""Groups that are drawn; tables have all of them."""


def write(folder: Path) -> Path:
    """Write audit.html into a folder of prepared data and return its path."""
    path = folder / "audit.html"
    write_text(path, build(folder.name, read_audit(folder)))
    return path


def build(name: str, audit: Audit) -> str:
    """Build the page; the same audit gives the same bytes."""
    sources = audit["sources"]
    came_in, kept = (sum(row[which]["tokens"] for row in sources.values()) for which in ("in", "kept"))
    return visible(
        template("prepared.html.j2").render(
            css=(HERE / "page.css").read_text(encoding="utf-8"),
            name=name,
            came_in=came_in,
            kept=kept,
            num_documents=sum(row["in"]["documents"] for row in sources.values()),
            became=became(sources),
            lengths=lengths(sources),
            mixture=mixture(audit["stages"]) if audit["stages"] else None,
            groups=[(table.title, Table.of(table)) for table in group_tables(audit)],
            reasons=reasons(sources),
            duplicates=duplicates(sources),
            shares=shares(audit["stages"]),
        )
    )


def became(sources: Audit) -> str:
    """Draw a bar for each source: the share of its tokens that stayed, was held out, and went for each reason."""
    largest = sorted(sources, key=lambda name: (-sources[name]["in"]["tokens"], name))[:NUM_BARS]
    parts = {
        name: {"kept": sources[name]["kept"], "held out": sources[name]["held out"]} | sources[name]["dropped"]
        for name in largest
    }
    names = list(dict.fromkeys(["kept", "held out", *(fate for part in parts.values() for fate in part)]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 1.4 + 0.34 * len(largest) + 0.16 * len(names)), layout="constrained")
        axes = figure.subplots()
        left = np.zeros(len(largest))
        for index, fate in enumerate(names):
            shares = np.array(
                [
                    100 * parts[name].get(fate, {"tokens": 0})["tokens"] / max(1, sources[name]["in"]["tokens"])
                    for name in largest
                ]
            )
            style = {"color": color(index), "alpha": 0.5 if index >= len(SERIES) else 1, "height": 0.66}
            axes.barh(range(len(largest)), shares, left=left, label=fate, gid=f"bar-{index}", **style)
            left += shares
        axes.set(xlabel="percent of the tokens that came in", xlim=(0, 100))
        _named(axes, largest)
        figure.legend(loc="outside lower center", ncols=3, handlelength=1.2)
        return svg(figure, "figure-became", "What became of the tokens of each source")


def lengths(sources: Audit) -> str:
    """Draw how many documents have 1, 2 to 3, 4 to 7, ... tokens: all that were read, and those that are kept."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y")
        num_bins = max([1, *(len(row["lengths"]["in"]) for row in sources.values())])
        for index, (which, label) in enumerate((("in", "read"), ("kept", "kept"))):
            counts = np.zeros(num_bins)
            for row in sources.values():
                counts[: len(row["lengths"][which])] += row["lengths"][which]
            axes.bar(np.arange(num_bins) + 0.38 * index, counts, 0.38, color=color(1 - index), label=label)
        starts = ["0", *(numbers.context(2**place) for place in range(num_bins - 1))]
        axes.set_xticks(np.arange(num_bins) + 0.19, starts)
        axes.set(xlabel="tokens of a document, from", ylabel="documents")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.short(value)))
        axes.legend(loc="upper left")
        return svg(figure, "figure-lengths", "Documents by their length in tokens")


def mixture(stages: Sequence[Audit]) -> str:
    """Draw for each stage and source the share that was asked for as a line and the share that was reached as a bar."""
    rows = [
        (f"{stage['name']}: {name}", 100 * share["wanted"], 100 * share["tokens"] / stage["tokens"])
        for stage in stages
        for name, share in stage["sources"].items()
    ][: 3 * NUM_BARS]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.9 + 0.27 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="x")
        axes.barh(range(len(rows)), [row[2] for row in rows], 0.6, color=color(0), label="reached")
        for place, (_, wanted, _) in enumerate(rows):
            axes.plot((wanted, wanted), (place - 0.42, place + 0.42), color=color(1), linewidth=1.8)
        axes.set(xlabel="percent of the tokens of the stage; the line is what was asked for", xlim=(0, None))
        _named(axes, [row[0] for row in rows])
        return svg(figure, "figure-mixture", "The mixture that was reached against the mixture that was asked for")


def reasons(sources: Audit) -> Table:
    """Say for each source what went and why; of what lies in quarantine or was left out only records are counted."""
    rows = []
    for name, row in sources.items():
        told = [(reason, count["documents"], count["tokens"]) for reason, count in row["dropped"].items()]
        told += [(f"quarantined: {reason}", count, None) for reason, count in row["quarantined"].items()]
        told += [(f"left out: {reason}", count, None) for reason, count in row["left_out"].items()]
        rows += [
            (name, reason, numbers.count(documents), numbers.NOTHING if tokens is None else numbers.count(tokens))
            for reason, documents, tokens in told
        ]
    return Table(("Source", "Reason", "Documents", "Tokens"), tuple(rows), num_left=2)


def duplicates(sources: Audit) -> Table:
    """Say for each source how many copies went, and where the documents are that stayed instead of near ones."""
    rows = []
    for name, row in sources.items():
        found = row["duplicates"]
        instead = dict(found["stays_instead"])
        within, held_out = instead.pop(name, 0), instead.pop("held out", 0)
        near = (within, sum(instead.values()), held_out)
        exact = numbers.count(found["exact duplicate"])
        rows.append((name, exact, *map(numbers.count, near), numbers.percent(found["share_of_documents"])))
    columns = ("Source", "Exact", "Near, same source", "Near, another", "Near, held out", "Share of documents")
    return Table(columns, tuple(rows))


def shares(stages: Sequence[Audit]) -> Table:
    """Put what was asked for beside what was reached, in percent of the tokens of a stage."""
    return Table(
        ("Stage", "Source", "Asked %", "Reached %", "Tokens", "Times read"),
        tuple(
            (
                stage["name"],
                name,
                f"{100 * share['wanted']:.2f}",
                f"{100 * share['tokens'] / stage['tokens']:.2f}",
                numbers.count(share["tokens"]),
                f"{share['repeats']:.2f}",
            )
            for stage in stages
            for name, share in stage["sources"].items()
        ),
        num_left=2,
    )


def _named(axes: Axes, names: Sequence[str]) -> None:
    """Write a name at each bar, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
