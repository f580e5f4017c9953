"""Turn a manifest into tables: what came in, what was dropped and why, and the mixture that every stage got."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xgen.data.config import Mixture
from xgen.data.mixture import apportion


class Table(NamedTuple):
    """A title, the names of the columns, and rows of text as it is shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def source_table(manifest: dict[str, Any]) -> Table:
    """What became of every document that was read; read = kept + held out + dropped, for documents and tokens."""
    rows = []
    for name, source in manifest["sources"].items():
        fates = {"read": source["read"], **source["fates"]}
        rows += [
            (name if number == 0 else "", fate, f"{count['documents']:,}", f"{count['tokens']:,}")
            for number, (fate, count) in enumerate(fates.items())
        ]
        rows += [("", f"not read: {reason}", f"{count:,}", "") for reason, count in source["skipped"].items()]
    return Table("Sources", ("source", "fate", "documents", "tokens"), tuple(rows))


def filter_table(manifest: dict[str, Any]) -> Table:
    """What each filter saw, dropped and changed, in the order in which a source names them."""
    rows = [
        (name if number == 0 else "", judge, *(f"{effect[kind]:,}" for kind in ("seen", "dropped", "changed")))
        for name, source in manifest["sources"].items()
        for number, (judge, effect) in enumerate(source.get("filters", {}).items())  # an older manifest has none
    ]
    return Table("Filters", ("source", "filter", "seen", "dropped", "changed"), tuple(rows))


def licence_table(manifest: dict[str, Any]) -> Table:
    """How many documents were read under each licence."""
    rows = [
        (name, licence, f"{count:,}")
        for name, source in manifest["sources"].items()
        for licence, count in source["licences"].items()
    ]
    return Table("Licences", ("source", "licence", "documents"), tuple(rows))


def stage_table(manifest: dict[str, Any]) -> Table:
    """The mixture that each stage asked for and got, and how often its part of each source was read."""
    rows = []
    for stage in manifest["stages"]:
        for number, (name, share) in enumerate(stage["sources"].items()):
            head = (stage["name"], f"{stage['rows']:,} x {stage['context_length']:,}") if number == 0 else ("", "")
            rows.append(
                (
                    *head,
                    name,
                    share["draw"],
                    f"{100 * share['wanted']:.2f}",
                    f"{100 * share['tokens'] / stage['tokens']:.2f}",
                    f"{share['tokens']:,}",
                    f"{share['documents']:,}",
                    f"{share['repeats']:.2f}",
                )
            )
    columns = ("stage", "rows", "source", "draw", "wanted %", "got %", "tokens", "documents", "repeats")
    return Table("Stages", columns, tuple(rows))


def plan_table(stages: Sequence[Any], mixtures: Mapping[str, Mixture]) -> Table:
    """What each stage will read of each source, to the token, before anything is read; `stages` as in a recipe."""
    rows, totals = [], dict.fromkeys((share.source for mixture in mixtures.values() for share in mixture.shares), 0)
    for stage in stages:
        mixture = mixtures[stage.mixture]
        quotas = apportion(stage.trained_tokens, mixture.fractions())
        for number, share in enumerate(mixture.shares):
            head = (stage.name, f"{stage.num_rows:,} x {stage.context_length:,}") if number == 0 else ("", "")
            quota = quotas[share.source]
            totals[share.source] += quota
            rows.append((*head, share.source, share.draw, f"{100 * quota / stage.trained_tokens:.2f}", f"{quota:,}"))
        for draw in dict.fromkeys(share.draw for share in mixture.shares) if mixture.second_draws else ():
            drawn = [quotas[share.source] for share in mixture.shares if share.draw == draw]
            percent = f"{100 * sum(drawn) / stage.trained_tokens:.2f}"
            rows.append(("", "", f"together {len(drawn)}", draw, percent, f"{sum(drawn):,}"))
    whole = sum(totals.values())
    for number, (name, tokens) in enumerate(totals.items()):
        rows.append(("all" if number == 0 else "", "", name, "", f"{100 * tokens / whole:.2f}", f"{tokens:,}"))
    return Table("The mixture as planned", ("stage", "rows", "source", "draw", "%", "tokens"), tuple(rows))


TABLES = (source_table, filter_table, licence_table, stage_table)
