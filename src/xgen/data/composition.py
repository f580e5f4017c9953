"""What the data are made of, by source, language and licence: what came in, what stayed, and what went and why.

audit.json holds it. Each figure that must add up comes from two places: what came in from the readers, as ledgers say,
and what became of it from the tables of documents, the fates and the quarantine.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from xgen.core.ledger import read_json, write_json
from xgen.data.audit import Table
from xgen.data.choice import CORPUS_FILTERS, FATES, HELD_OUT, KEPT, NEAR_DUPLICATE
from xgen.pieces.make import quarantine_of, read_ledger
from xgen.pieces.plan import Plan
from xgen.pieces.store import read_table
from xgen.sources.catalog import quarantine_path

KINDS = ("documents", "tokens", "bytes")
NOT_STATED = "not stated"
NUM_BINS = 33
"""Of lengths: bin b has documents of 2^(b-1) to 2^b - 1 tokens, bin 0 those of none."""
Row = dict[str, Any]


class _Group:
    """Documents of one source, language or licence."""

    def __init__(self) -> None:
        self.fates: dict[str, np.ndarray] = {}
        self.lengths = {"in": np.zeros(NUM_BINS, np.int64), KEPT: np.zeros(NUM_BINS, np.int64)}

    def row(self) -> Row:
        """Write it in plain values; what came in is the sum of what became of it."""
        fates = {name: dict(zip(KINDS, counts.tolist(), strict=True)) for name, counts in self.fates.items()}
        nothing = dict.fromkeys(KINDS, 0)
        found = {kind: sum(fate[kind] for fate in fates.values()) for kind in KINDS}
        return {
            "in": found,
            KEPT: fates.pop(KEPT, nothing),
            HELD_OUT: fates.pop(HELD_OUT, nothing),
            "dropped": fates,
            "tokens_per_byte": found["tokens"] / max(1, found["bytes"]),
            "lengths": {name: np.trim_zeros(counts, "b").tolist() for name, counts in self.lengths.items()},
        }


def write_audit(folder: Path, plan: Plan, chosen: Mapping[str, Any], fates: Mapping[str, np.ndarray]) -> None:
    """Write audit.json: `chosen` is what the manifest will say of sources and stages."""
    audit = compose(folder, plan, chosen, fates)
    require_balance(audit)
    write_json(folder / "audit.json", audit)


def compose(folder: Path, plan: Plan, chosen: Mapping[str, Any], fates: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Account for every document, one piece after another."""
    groups: dict[str, dict[str, _Group]] = {"sources": {}, "languages": {}, "licences": {}}
    first = Counter[str]()  # document of each source that a piece kept, which has a fate of its own
    for piece in plan.pieces:
        ledger, table = read_ledger(folder, piece.number), read_table(folder, piece.number)
        assert ledger is not None, f"{piece} is made"
        codes, stays = table["fate"].astype(np.int64), np.flatnonzero(table["fate"] == 0)
        names = [*ledger["fates"], *FATES]
        codes[stays] = len(ledger["fates"]) + fates[piece.source][first[piece.source] :][: len(stays)]
        first[piece.source] += len(stays)
        for kind, owners, called in (
            ("sources", np.zeros(len(table), np.int64), [piece.source]),
            ("languages", table["language"].astype(np.int64), ledger["languages"]),
            ("licences", table["licence"].astype(np.int64), list(ledger["licences"])),
        ):
            _add(groups[kind], table, owners, [name or NOT_STATED for name in called], codes, names)
    for source, marks in fates.items():
        assert first[source] == len(marks), f"{source}: {first[source]} documents in tables, {len(marks)} fates"
    audit = {kind: {name: group.row() for name, group in sorted(found.items())} for kind, found in groups.items()}
    for source, counts in chosen["sources"].items():
        row = audit["sources"].setdefault(source, _Group().row())
        row["in"] = _came_in(counts)
        row["left_out"] = {name: n for name, n in counts["skipped"].items() if name not in counts["quarantined"]}
        row["quarantined"] = _in_quarantine(folder, plan, source)
        row["duplicates"] = _duplicates(row, counts)
    return audit | {"stages": chosen["stages"]}


def _add(
    groups: dict[str, _Group],
    table: np.ndarray,
    owners: np.ndarray,
    called: Sequence[str],
    codes: np.ndarray,
    names: Sequence[str],
) -> None:
    """Add the documents of a piece to the groups that own them; weights are exact below 2^53."""
    weights = (np.ones(len(table)), table["length"].astype(float), table["bytes"].astype(float))
    size = len(called) * len(names)
    counts = np.stack([np.bincount(owners * len(names) + codes, weight, size) for weight in weights], axis=1)
    for at in np.flatnonzero(counts[:, 0]).tolist():
        group = groups.setdefault(called[at // len(names)], _Group())
        found = group.fates.setdefault(names[at % len(names)], np.zeros(len(KINDS), np.int64))
        found += counts[at].astype(np.int64)
    bins = np.frexp(table["length"].astype(float))[1]
    is_kept = codes == len(names) - len(FATES) + FATES.index(KEPT)
    for which, some in (("in", slice(None)), (KEPT, is_kept)):
        lengths = np.bincount(owners[some] * NUM_BINS + bins[some], minlength=len(called) * NUM_BINS)
        for name, row in zip(called, lengths.reshape(-1, NUM_BINS), strict=True):
            groups.setdefault(name, _Group()).lengths[which] += row


def _came_in(counts: Mapping[str, Any]) -> dict[str, int]:
    """Say what the readers gave, and all that they met and gave no document for."""
    documents = counts["read"]["documents"] + sum(counts["skipped"].values())
    return {"documents": documents, "tokens": counts["read"]["tokens"], "bytes": counts["bytes"]}


def _in_quarantine(folder: Path, plan: Plan, source: str) -> dict[str, int]:
    """Count the records that lie in quarantine, by reason."""
    paths = [quarantine_of(folder, piece.number) for piece in plan.pieces if piece.source == source]
    found = Counter(record["reason"] for path in [quarantine_path(folder, source), *paths] for record in _lines(path))
    return dict(sorted(found.items()))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open("rb") as file:
            yield from map(orjson.loads, file)


def _duplicates(row: Row, counts: Mapping[str, Any]) -> Row:
    """Say how many documents went as copies, of all that were read."""
    gone = {name: row["dropped"].get(name, {"documents": 0})["documents"] for name in (*CORPUS_FILTERS, NEAR_DUPLICATE)}
    share = sum(gone.values()) / max(1, counts["read"]["documents"])
    return {**gone, "share_of_documents": share, "stays_instead": counts["near_duplicates"]}


def require_balance(audit: Mapping[str, Any]) -> None:
    """Check that in = kept + held out + dropped + left out + quarantined, for each row, and that all rows agree."""
    for kind in ("sources", "languages", "licences"):
        for name, row in audit[kind].items():
            parts = [row[KEPT], row[HELD_OUT], *row["dropped"].values()]
            for unit in KINDS:
                found = sum(part[unit] for part in parts)
                if unit == "documents":
                    found += sum(row.get("left_out", {}).values()) + sum(row.get("quarantined", {}).values())
                assert found == row["in"][unit], f"{kind} {name}: {row['in'][unit]:,} {unit} in, {found:,} told"
        for unit in ("tokens", "bytes"):
            sums = [sum(row["in"][unit] for row in audit[each].values()) for each in ("sources", kind)]
            assert sums[0] == sums[1], f"{sums[0]:,} {unit} by source, {sums[1]:,} by {kind}"


def read_audit(folder: Path) -> dict[str, Any]:
    return read_json(folder / "audit.json")


def group_tables(audit: Mapping[str, Any]) -> Iterable[Table]:
    """Make a table for each way of grouping, the largest row first."""
    columns = ("", "documents", "tokens", "kept", "held out", "dropped", "tokens/byte")
    for kind in ("sources", "languages", "licences"):
        rows = sorted(audit[kind].items(), key=lambda item: (-item[1]["in"]["tokens"], item[0]))
        yield Table(
            f"By {kind[:-1]}, in tokens",
            (kind[:-1], *columns[1:]),
            tuple(
                (
                    name,
                    f"{row['in']['documents']:,}",
                    f"{row['in']['tokens']:,}",
                    *(f"{row[fate]['tokens']:,}" for fate in (KEPT, HELD_OUT)),
                    f"{sum(fate['tokens'] for fate in row['dropped'].values()):,}",
                    f"{row['tokens_per_byte']:.3f}",
                )
                for name, row in rows
            ),
        )
