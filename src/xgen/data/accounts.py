"""Account for every document that was read: what the ledgers of the pieces say, and what was chosen afterwards."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xgen.data.choice import FATES, Choice
from xgen.data.mixture import Slice
from xgen.pieces.make import STAYS
from xgen.pieces.store import TokenStore
from xgen.sources.config import Source
from xgen.sources.intake import NUM_SHOWN

Ledgers = Sequence[dict[str, Any]]


def summed(counts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Add up tables of counts, names in the order in which they first appear."""
    total: dict[str, dict[str, int]] = {}
    for table in counts:
        for name, row in table.items():
            mine = total.setdefault(name, dict.fromkeys(row, 0))
            for kind, count in row.items():
                mine[kind] += count
    return total


def intake_counts(source: Source, ledgers: Ledgers, snapshot: dict[str, Any] | None) -> dict[str, Any]:
    """Add up what the pieces of a source, and its snapshot if it has one, say of what was read and what was not."""
    told = [*ledgers, *([snapshot] if snapshot else [])]
    skipped, quarantined, licences = Counter[str](), Counter[str](), Counter[str]()
    for ledger in ledgers:
        licences.update(ledger["licences"])
    for each in told:
        skipped.update(each["skipped"])
        quarantined.update(each["quarantined"])
    examples = [example for each in told for example in each["examples"]]
    return {
        "documents": sum(ledger["documents"] for ledger in ledgers),
        "bytes": sum(ledger["bytes"] for ledger in ledgers),
        "fates": summed(ledger["fates"] for ledger in ledgers),
        "filters": summed(ledger["filters"] for ledger in ledgers),
        "skipped": dict(sorted(skipped.items())),
        "quarantined": dict(sorted(quarantined.items())),
        "licences": dict(sorted(licences.items(), key=lambda item: (-item[1], item[0]))),
        "examples": examples[: NUM_SHOWN * max(1, len(skipped))],
    }


def source_counts(source: Source, intake: dict[str, Any], store: TokenStore, choice: Choice) -> dict[str, Any]:
    """Say what became of each document of a source, and check that the sum is right."""
    lengths, fates = store.lengths, choice.fates[source.name]
    became = {
        name: {"documents": int(np.count_nonzero(fates == code)), "tokens": int(lengths[fates == code].sum())}
        for code, name in enumerate(FATES)
    }
    dropped = {name: count for name, count in intake["fates"].items() if name != STAYS and count["documents"]}
    became = {name: count for name, count in became.items() if count["documents"]} | dropped
    read = {"documents": intake["documents"], "tokens": sum(count["tokens"] for count in became.values())}
    assert read["documents"] == sum(count["documents"] for count in became.values()), source.name
    kept = {name: intake[name] for name in ("filters", "bytes", "skipped", "quarantined", "licences", "examples")}
    return {"reader": source.reader, "licence": source.licence, "read": read, "fates": became, **kept} | {
        "near_duplicates": choice.stays_instead[source.name]
    }


def stage_counts(stage: Any, fractions: Mapping[str, float], slices: Sequence[Slice]) -> dict[str, Any]:
    """Say what a stage, as in a recipe, wanted of each source and what it reads."""
    sources = {
        one.source: {
            "wanted": fractions[one.source],
            "tokens": one.tokens,
            "documents": len(one.documents),
            "cut_at_quota": one.cut,
            "part_documents": one.part_documents,
            "part_tokens": one.part_tokens,
            "repeats": one.repeats,
            "draw": one.draw,
        }
        for one in slices
    }
    return {
        "name": stage.name,
        "mixture": stage.mixture,
        "context_length": stage.context_length,
        "rows": stage.num_rows,
        "tokens": stage.trained_tokens,
        "sources": sources,
    }
