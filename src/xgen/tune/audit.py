"""Turn the manifest of tuning data into tables: what became of each conversation, and how long the kept ones are."""

from typing import Any

from xgen.data.audit import Table


def set_table(manifest: dict[str, Any]) -> Table:
    """What became of each conversation that was read, and what of the files was left out; read = kept + the others."""
    rows = []
    for name, one in manifest["datasets"].items():
        fates = [("read", one["read"], ""), ("kept", one["kept"], f"{one['tokens']:,}")]
        fates += [(f"kept, {rule}", count, "") for rule, count in one["cut"].items()]
        fates += [(reason, count, "") for reason, count in one["dropped"].items()]
        fates += [("not drawn", one["not_drawn"], "")] if one["not_drawn"] else []
        fates += [(f"left out: {reason}", count, "") for reason, count in one["skipped"].items()]
        rows += [
            (name if number == 0 else "", fate, f"{count:,}", tokens)
            for number, (fate, count, tokens) in enumerate(fates)
        ]
    return Table("Conversations", ("set", "fate", "conversations", "tokens"), tuple(rows))


def length_table(manifest: dict[str, Any]) -> Table:
    """How many of the kept conversations have at most so many tokens, and more than half of that."""
    sets = manifest["datasets"]
    tops = sorted({int(top) for one in sets.values() for top in one["lengths"]})
    rows = [
        (
            name,
            one["licence"],
            f"{100 * one['teaching'] / max(one['tokens'], 1):.1f}",
            *(f"{one['lengths'].get(str(top), 0):,}" for top in tops),
        )
        for name, one in sets.items()
    ]
    return Table("Lengths in tokens", ("set", "licence", "teaching %", *(f"≤ {top:,}" for top in tops)), tuple(rows))


TABLES = (set_table, length_table)
