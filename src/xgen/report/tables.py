"""The page's tables: plain values of a run folder in, rows of finished text out, one function a table."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgen.data import audit
from xgen.report import numbers, published
from xgen.train.stages import Stage

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Cells as they are shown. The first `num_left` columns hold words, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_left: int = 1
    note: str = ""

    @classmethod
    def of(cls, table: audit.Table) -> "Table":
        """Lay out a table of data/ for a page."""
        return cls(tuple(title.capitalize() for title in table.columns), table.rows, _num_words(table))


def stages(plan: Sequence[Stage], lines: Sequence[Plain]) -> Table:
    """One row a stage: what was planned, what was trained, how far the loss fell, how fast it went."""
    rows = []
    for stage in plan:
        own = [line for line in lines if line["stage"] == stage.name]
        row = (
            stage.name,
            stage.mixture,
            numbers.context(stage.context_length),
            numbers.count(stage.tokens),
            numbers.count(len(own) * stage.batch_tokens),
            f"{len(own):,} of {stage.num_steps:,}",
        )
        if own:
            speed = statistics.median(line["tokens_per_second"] for line in own)
            row += (numbers.figures(own[0]["loss"]), numbers.figures(last_loss(own)), numbers.count(speed))
        else:
            row += (numbers.NOTHING,) * 3
        rows.append(row)
    return Table(
        (
            "Stage",
            "Mixture",
            "Context",
            "Tokens planned",
            "Tokens trained",
            "Steps",
            "First loss",
            "Last loss",
            "Tokens/s",
        ),
        tuple(rows),
        num_left=2,
        note="Last loss: mean over the last tenth of the stage's steps (at least five), in nats per token. "
        "Tokens/s: median.",
    )


def last_loss(lines: Sequence[Plain]) -> float:
    """Average the loss over the last tenth of the steps, and over five at least: one batch alone says little."""
    return statistics.fmean(line["loss"] for line in lines[-max(5, len(lines) // 10) :])


def perplexity(measured: Sequence[Plain]) -> Table:
    """One row for each stage's model on the same held-out documents, with 95 % intervals."""
    rows = []
    for stage in measured:
        first, last = stage["first_eighth"], stage["last_eighth"]
        row = [stage["name"], numbers.context(stage["context_length"])]
        for part in (stage["overall"], first, last):
            row += [numbers.figures(part["perplexity"]), numbers.interval(part["low"], part["high"])]
        row.append(f"{100 * (last['perplexity'] / first['perplexity'] - 1):+.1f} %".replace("-", "−"))
        rows.append(tuple(row))
    documents = " or ".join(numbers.count(number) for number in sorted({stage["documents"] for stage in measured}))
    return Table(
        ("After", "Context", "Overall", "95 %", "First eighth", "95 %", "Last eighth", "95 %", "Change"),
        tuple(rows),
        note=f"Held-out documents: {documents}, each from its start to the context. Intervals: 95 %, over documents.",
    )


def data(manifest: dict[str, Any]) -> list[tuple[str, Table]]:
    """Account for the tokens of every source and stage, each table with its title."""
    made = [make(manifest) for make in audit.TABLES]
    return [(each.title, Table.of(each)) for each in made if each.rows]


def _num_words(table: audit.Table) -> int:
    """Count the columns up to the last one that holds words."""
    words = [
        index
        for index, column in enumerate(zip(*table.rows, strict=True))
        if any(cell.strip("0123456789.,") for cell in column)
    ]
    return 1 + max(words, default=0)


def apart(stage: Plain) -> bool:
    """Say whether the last eighth lies below the first with no overlap of their intervals."""
    return stage["last_eighth"]["high"] < stage["first_eighth"]["low"]


def parameters(model: Plain) -> int | None:
    """Count the parameters of a LLaMA-shaped model from its sizes; None for a shape that this formula is not of."""
    if (model["norm"], model["ffn"], model["circuit"]) != ("rms_norm", "swiglu", "sequential"):
        return None
    dim = model["dim"]
    layer = 4 * dim**2 + 3 * dim * model["ffn_dim"] + 2 * dim
    return 2 * model["vocab_size"] * dim + model["num_layers"] * layer + dim


def model(sizes: Plain, num_parameters: int | None) -> Table:
    """The shape of the network and how many parameters it has."""
    rows = [
        ("Parameters", numbers.count(num_parameters) if num_parameters else numbers.NOTHING),
        ("of which embedding and head", numbers.count(2 * sizes["vocab_size"] * sizes["dim"])),
        ("Layers", str(sizes["num_layers"])),
        ("Width", numbers.count(sizes["dim"])),
        ("Heads", f"{sizes['num_heads']} of {sizes['dim'] // sizes['num_heads']}"),
        ("Feed-forward", f"{sizes['ffn']}, {numbers.count(sizes['ffn_dim'])}"),
        ("Rows of the embedding", numbers.count(sizes["vocab_size"])),
        ("Norm", f"{sizes['norm']}, epsilon {sizes['norm_eps']:g}"),
        ("Rotary base", numbers.count(sizes["rope_base"])),
        ("Circuit", sizes["circuit"]),
    ]
    return Table(("Model", ""), tuple(rows))


def environment(entries: Sequence[Plain]) -> Table:
    """One row for each start of a program on this folder; what an older folder did not note stays empty."""
    keys = ("time", "command", "xgen", "python", "jax", "platform", "devices", "cpu", "cores", "memory_gb", "commit")
    shown = [{**entry, "time": numbers.moment(entry.get("time", ""))} for entry in entries]
    used = [key for key in keys if any(entry.get(key) for entry in entries)]
    titles = {"memory_gb": "Memory (GB)", "xgen": "xgen", "jax": "JAX", "cpu": "CPU"}
    return Table(
        tuple(titles.get(key, key.capitalize()) for key in used),
        tuple(tuple(cell(entry.get(key)) for key in used) for entry in shown),
        num_left=len(used),
    )


def cell(value: Any) -> str:
    """Write a value of the environment; a list side by side, nothing as a dash."""
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:.1f}" if isinstance(value, float) else str(value or numbers.NOTHING)


def machine(entry: Plain) -> tuple[str, str]:
    """Name what computed, and the computer it is in: ("2 CPU cores", "AMD EPYC 7B13, 16 GB")."""
    kinds = Counter(device.rsplit(" ", 1)[0] for device in entry["devices"])
    devices = ", ".join(f"{number} × {kind}" for kind, number in kinds.items())
    memory = entry.get("memory_gb")
    if entry.get("platform") == "cpu" and entry.get("cores"):
        devices = f"{entry['cores']} CPU cores"
    return devices, ", ".join(filter(None, (entry.get("cpu"), f"{memory:.0f} GB" if memory else None)))


def plans(recipe: Plain, plan: Sequence[Stage], num_parameters: int | None) -> Table:
    """Put this run beside the report's own (sections 2 to 4, tables 1 to 3)."""
    total = sum(stage.trained_tokens for stage in plan)
    published_total = sum(stage.tokens for stage in published.STAGES)
    mixtures = {each["name"]: each["shares"] for each in recipe["data"]["mixtures"]}
    used = list(dict.fromkeys(stage.mixture for stage in plan))
    tune = recipe["instruct"]
    adam = tune["optimizer"]
    rows = (
        ("Parameters", published.PARAMETERS, numbers.short(num_parameters) if num_parameters else numbers.NOTHING),
        ("Rows of the embedding", numbers.count(published.VOCABULARY), numbers.count(recipe["model"]["vocab_size"])),
        ("Tokens", numbers.short(published_total), numbers.short(total)),
        (
            "Tokens by context",
            _by_context([(each.context_length, each.tokens) for each in published.STAGES]),
            _by_context([(each.context_length, each.trained_tokens) for each in plan]),
        ),
        ("First mixture", _mixture(published.STAGE_1), _shares(mixtures[used[0]])),
        ("Last mixture", _mixture(published.STAGE_2), _shares(mixtures[used[-1]])),
        (
            "Shortest document",
            f"{published.MIN_DOCUMENT_TOKENS} tokens",
            f"{recipe['data']['min_document_tokens']} tokens",
        ),
        ("Precision", published.PRECISION, recipe["precision"].replace("_", " ")),
        (
            "Tuning",
            _tuning(
                published.TUNING_LEARNING_RATE,
                published.TUNING_BETA1,
                published.TUNING_BETA2,
                published.TUNING_BATCH,
                published.TUNING_CONTEXT_LENGTH,
                published.TUNING_EPOCHS,
            ),
            _tuning(
                adam["peak_learning_rate"],
                adam["beta1"],
                adam["beta2"],
                tune["batch_conversations"],
                tune["context_length"],
                tune["epochs"],
            ),
        ),
    )
    return Table(
        ("", "XGen-7B, as reported", "This run"),
        rows,
        num_left=3,
        note="Of the report's last 300B tokens, its tables 2 and 3 account for 174.52B of stage 1 and 110B of stage 2.",
    )


def _by_context(parts: Sequence[tuple[int, int]]) -> str:
    tokens: dict[int, int] = {}
    for length, number in parts:
        tokens[length] = tokens.get(length, 0) + number
    total = sum(tokens.values())
    return " · ".join(
        f"{numbers.context(length)}: {numbers.short(number)} ({number / total:.0%})"
        for length, number in tokens.items()
    )


def _mixture(weights: Mapping[str, int | float]) -> str:
    total = sum(weights.values())
    return " · ".join(f"{name} {numbers.percent(weight / total)}" for name, weight in weights.items())


def _shares(shares: Sequence[Plain]) -> str:
    return _mixture({share["source"]: share["weight"] for share in shares})


def _tuning(
    rate: int | float, beta1: int | float, beta2: int | float, batch: int, context_length: int, epochs: int
) -> str:
    return (
        f"Adam {beta1:g}/{beta2:g} from {rate:g} · {batch} conversations of {numbers.context(context_length)} · "
        f"{epochs} epoch{'s' if epochs > 1 else ''}"
    )


def as_text(table: Table) -> str:
    """Write a table for a terminal or a Markdown page: columns between bars, numbers to the right."""
    cells = [table.columns, *table.rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(table.columns))]

    def line(row: tuple[str, ...]) -> str:
        padded = [
            f"{cell:<{width}}" if at < table.num_left else f"{cell:>{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (width + 2) if at < table.num_left else "-" * (width + 1) + ":" for at, width in enumerate(widths)
    )
    notes = [table.note] if table.note else []
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, table.rows), *notes])
