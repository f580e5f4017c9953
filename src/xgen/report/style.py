"""How figures look, and how they become SVG text whose colors are left to the page.

Every color is written as `var(--name, #hex)`, so that a page restyles a figure for the dark and a lone SVG still works.
"""

import io
import re
from typing import Any

from matplotlib.figure import Figure

INK, MUTED, GRID, SHADE = "#1c2128", "#667080", "#d9dde3", "#f1f3f6"
# Okabe and Ito's colors, told apart by every common color vision; darkened where white paper needs it.
SERIES = ("#0072b2", "#d55e00", "#00845f", "#b0468c", "#8a6a00", "#4b5a6b")
MARKERS = ("o", "s", "^", "D", "v", "P")
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    SHADE: "--shade",
    **{color: f"--series-{index}" for index, color in enumerate(SERIES)},
}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "xgen",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


def color(index: int) -> str:
    """Return the color of a series."""
    return SERIES[index % len(SERIES)]


def svg(figure: Figure, name: str, title: str) -> str:
    """Write a figure as an <svg> element whose ids start with `name`, with no date and nothing to fetch."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("*{stroke", f"#{name}-figure_1 *{{stroke", 1)  # a style element reaches the whole page
    text = re.sub("|".join(VARIABLES), lambda found: f"var({VARIABLES[found[0]]}, {found[0]})", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1).strip()
