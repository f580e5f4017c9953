"""The two figures of the report, tuning and retrieval as SVG text: numbers in, the same bytes out."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from xgen.report import numbers
from xgen.report.style import GRID, INK, MARKERS, MUTED, SHADE, STYLE, color, svg
from xgen.train.stages import Stage

MOST_POINTS = 1_500

Line = Mapping[str, Any]


def loss_over_tokens(lines: Sequence[Line], stages: Sequence[Stage]) -> str:
    """Figure 1: cross-entropy over the whole plan, a boundary at each change of stage, the learning rate below."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 5.0), layout="constrained")
        loss_axes, rate_axes = figure.subplots(2, 1, sharex=True, height_ratios=[4.4, 1])
        _bands(loss_axes, stages, labelled=True)
        _bands(rate_axes, stages, labelled=False)
        window = max(3, min(200, len(lines) // 30))
        for index, stage in enumerate(stages):
            tokens, loss = _over_tokens([line for line in lines if line["stage"] == stage.name], "loss")
            loss_axes.plot(*_thinned(tokens, loss), color=color(index), alpha=0.32, linewidth=0.8)
            loss_axes.plot(
                *_thinned(tokens, _smooth(loss, window)), color=color(index), linewidth=2.1, gid=f"curve-{index}"
            )
        if held_out := [line for line in lines if "validation_loss" in line]:
            tokens, loss = _over_tokens(held_out, "validation_loss")
            style = {"color": INK, "marker": "o", "markersize": 3.2, "linewidth": 0.9}
            loss_axes.plot(tokens, loss, gid="validation", label="held-out documents", **style)
            loss_axes.legend(loc="upper right", labelcolor=INK, handlelength=2.4)
        rate_axes.plot(*_thinned(*_over_tokens(lines, "learning_rate")), color=MUTED, linewidth=1.4)
        loss_axes.set_ylabel("cross-entropy (nats per token)")
        rate_axes.set(
            ylabel="learning rate",
            xlabel="tokens trained",
            ylim=(0, None),
            xlim=(0, sum(stage.trained_tokens for stage in stages)),
        )
        rate_axes.locator_params(axis="y", nbins=2)
        rate_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        rate_axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.short(value)))
        figure.align_ylabels()
        return svg(figure, "figure-1", "Cross-entropy over tokens trained, with the boundaries of the stages")


def perplexity_over_position(measured: Sequence[Line]) -> str:
    """Figure 2: one curve for each stage's model, up to its context, with the 95 % band of every bin."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y")
        for index, stage in enumerate(measured):
            middle = [(each["first"] + each["last"]) / 2 for each in stage["bins"]]
            low, high, perplexity = ([each[key] for each in stage["bins"]] for key in ("low", "high", "perplexity"))
            axes.fill_between(middle, low, high, color=color(index), alpha=0.16, linewidth=0)
            axes.plot(
                middle,
                perplexity,
                color=color(index),
                linewidth=1.9,
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                gid=f"curve-{index}",
                label=f"after {stage['name']}: context {numbers.context(stage['context_length'])}",
            )
        axes.set(xlabel="position in the document (tokens)", ylabel="perplexity", xlim=(0, None))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(value)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.legend(loc="upper right", labelcolor=INK, handlelength=2.4)
        return svg(figure, "figure-2", "Perplexity over position, one curve for each stage")


def tuning_loss(lines: Sequence[Line]) -> str:
    """Cross-entropy of the response tokens over a tuning run."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y")
        tokens, loss = _over_tokens(lines, "loss")
        axes.plot(*_thinned(tokens, loss), color=color(3), alpha=0.32, linewidth=0.8)
        axes.plot(
            *_thinned(tokens, _smooth(loss, max(3, len(lines) // 15))), color=color(3), linewidth=2.1, gid="curve-0"
        )
        axes.set(xlabel="tokens read", ylabel="cross-entropy of responses", xlim=(0, None))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.short(value)))
        return svg(figure, "figure-tuning", "Cross-entropy of the response tokens over a tuning run")


def scores_by_category(models: Mapping[str, Mapping[str, int | float]], highest: int | float) -> str:
    """Draw each model's scores as a closed line around the middle: one axis a category, `highest` at the rim."""
    categories = list(dict.fromkeys(category for scores in models.values() for category in scores))
    angles = [2 * np.pi * index / len(categories) for index in range(len(categories))]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.8, 5.4), layout="constrained")
        axes = figure.subplots(subplot_kw={"projection": "polar"})
        axes.set(ylim=(0, highest), theta_offset=np.pi / 2, theta_direction=-1)
        axes.set_xticks(angles, categories)
        axes.tick_params(axis="x", pad=10)
        axes.grid(color=GRID)
        for index, (name, scores) in enumerate(models.items()):
            values = [scores.get(category, np.nan) for category in categories]
            axes.plot(
                [*angles, angles[0]],
                [*values, values[0]],
                color=color(index),
                linewidth=1.9,
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                gid=f"curve-{index}",
                label=name,
            )
        figure.legend(loc="outside lower center", labelcolor=INK, handlelength=2.4)
        return svg(figure, "figure-categories", "Scores by category, one line for each model")


def retrieval(cells: Sequence[Line]) -> str:
    """A heat map of what was found again: length of the text across, where it was hidden down; full is everything."""
    rows = sorted({(each["kind"], each["depth"]) for each in cells})
    lengths = sorted({each["tokens"] for each in cells})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.9 + 0.34 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for each in cells:
            x, y = lengths.index(each["tokens"]), rows.index((each["kind"], each["depth"]))
            axes.add_patch(Rectangle((x, y), 0.96, 0.92, facecolor=color(0), alpha=each["found"], linewidth=0))
            axes.text(x + 0.48, y + 0.46, f"{100 * each['found']:.0f}", ha="center", va="center", color=INK)
        axes.set(xlim=(0, len(lengths)), ylim=(len(rows), 0), xlabel="length of the text (tokens)")
        axes.set_xticks([at + 0.48 for at in range(len(lengths))], [numbers.count(length) for length in lengths])
        names = [kind if depth < 0 else f"{kind}, {depth:.0%} deep" for kind, depth in rows]
        axes.set_yticks([at + 0.46 for at in range(len(rows))], names)
        axes.tick_params(length=0)
        return svg(figure, "figure-retrieval", "Share of what was found again, over length and depth, in percent")


def _bands(axes: Axes, stages: Sequence[Stage], labelled: bool) -> None:
    """Shade every other stage; above the axes write its name, its context and the mixture it shares with neighbors."""
    axes.grid(axis="y")
    ends = np.cumsum([0, *(stage.trained_tokens for stage in stages)])
    above = axes.get_xaxis_transform()
    for index, stage in enumerate(stages):
        if index % 2:
            axes.axvspan(ends[index], ends[index + 1], color=SHADE, linewidth=0, zorder=0)
        if index:
            axes.axvline(
                ends[index],
                color=MUTED,
                linewidth=0.9,
                linestyle=(0, (3, 3)),
                gid=f"boundary-{index}" if labelled else None,
            )
        if labelled:
            middle = (ends[index] + ends[index + 1]) / 2
            axes.text(middle, 1.15, stage.name, transform=above, ha="center", color=color(index), weight="bold")
            axes.text(middle, 1.09, numbers.context(stage.context_length), transform=above, ha="center", color=INK)
    if not labelled:
        return
    for mixture, group in groupby(range(len(stages)), key=lambda index: stages[index].mixture):
        indices = list(group)
        start, end = ends[indices[0]], ends[indices[-1] + 1]
        gap = 0.004 * ends[-1]
        axes.text((start + end) / 2, 1.03, mixture, transform=above, ha="center", color=MUTED)
        axes.plot((start + gap, end - gap), (1.012, 1.012), transform=above, color=GRID, linewidth=1.4, clip_on=False)
    for height, title in ((1.15, "stage"), (1.09, "context"), (1.03, "mixture")):
        axes.text(-0.012, height, title, transform=axes.transAxes, ha="right", color=MUTED, size=8.5)


def _over_tokens(lines: Sequence[Line], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Take the tokens and one value of each line."""
    return np.array([line["tokens"] for line in lines], float), np.array([line[key] for line in lines], float)


def _smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Average over `window` steps around each one; at the ends over what there is of them."""
    window = min(window, len(values))
    first = np.arange(len(values)) - window // 2
    low, high = np.maximum(first, 0), np.minimum(first + window, len(values))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[high] - sums[low]) / (high - low)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the lowest and the highest point of each stretch, so that a spike stays visible however long the run."""
    if len(x) <= MOST_POINTS:
        return x, y
    stretches = np.array_split(np.arange(len(x)), MOST_POINTS // 2)
    kept = np.unique([each[pick(y[each])] for each in stretches for pick in (np.argmin, np.argmax)])
    return x[kept], y[kept]
