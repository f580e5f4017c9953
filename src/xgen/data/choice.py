"""Decide the fate of every document of every source: trained on, held out, or dropped and why; a pure function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8, UInt16

from xgen.core.errors import UserError
from xgen.data.config import DataConfig
from xgen.data.filters import CORPUS_FILTERS, HeldOut, Marks
from xgen.data.mixture import Slice, choose_held_out, in_order, ranks, split, take
from xgen.pieces.store import TokenStore

KEPT, HELD_OUT, OVER_MAX = "kept", "held out", "over max_tokens of the source"
NEAR_COPY, NEAR_DUPLICATE = "near copy of a held-out document", "near duplicate"
FATES = (KEPT, HELD_OUT, OVER_MAX, *CORPUS_FILTERS, NEAR_COPY, NEAR_DUPLICATE)
"""What can become of a document in a token store; stored as its place here."""


@dataclass(frozen=True)
class Quota:
    """How many tokens, separators counted, a stage reads of each source."""

    stage: str
    tokens: Mapping[str, int]
    again: frozenset[str] = frozenset()
    """Sources that the stage draws from as a whole, whatever other stages read of them."""


@dataclass(frozen=True)
class Comparisons:
    """What looks at the texts of all documents, and so is left to workers."""

    near_duplicates: Callable[[Marks], Int64[np.ndarray, "D"]]
    """Give, of those that are marked, for each document of all sources the one that stays instead, or -1."""
    near_copies: Callable[[HeldOut], Marks]
    """Mark what is too similar to held-out documents."""


@dataclass(frozen=True)
class Choice:
    """What becomes of every document, and what each stage reads."""

    fates: dict[str, UInt8[np.ndarray, "_"]]
    held_out: dict[str, Int64[np.ndarray, "_"]]
    """Indices into the token store of each source."""
    slices: tuple[tuple[Slice, ...], ...]
    """What each stage takes of each source that it reads."""
    stays_instead: dict[str, dict[str, int]]
    """For each source, where the documents are for which its near duplicates went: in which source, or held out."""


def choose(
    stores: Mapping[str, TokenStore],
    config: DataConfig,
    quotas: Sequence[Quota],
    held_out_fractions: Mapping[str, float],
    context_length: int,
    seed: int,
    compare: Comparisons,
) -> Choice:
    """Filter, hold out, and split the rest over the stages; `context_length` is the longest of all stages."""
    fates = {source: np.zeros(len(store), np.uint8) for source, store in stores.items()}

    def alive() -> Marks:
        return {source: marks == 0 for source, marks in fates.items()}

    def mark(fate: str, drops: Marks) -> None:
        for source, marks in drops.items():
            fates[source][marks] = FATES.index(fate)

    for name, corpus_filter in CORPUS_FILTERS.items():
        mark(name, corpus_filter(stores, alive(), config))
    stays_instead = compare.near_duplicates(alive())
    ends = np.cumsum([len(store) for store in stores.values()])
    mark(NEAR_DUPLICATE, dict(zip(stores, np.split(stays_instead >= 0, ends[:-1]), strict=True)))
    mark(OVER_MAX, _over_max_tokens(stores, alive(), config, seed))
    long = {source: marks & (stores[source].lengths >= context_length) for source, marks in alive().items()}
    held_out = choose_held_out(
        seed,
        {source: store.ids for source, store in stores.items()},
        long,
        config.held_out_documents,
        held_out_fractions,
    )
    for source, indices in held_out.items():
        fates[source][indices] = FATES.index(HELD_OUT)
    apart = HeldOut(
        [stores[source].document(index) for source, indices in held_out.items() for index in indices], context_length
    )
    near, left = compare.near_copies(apart), alive()
    mark(NEAR_COPY, {source: marks & left[source] for source, marks in near.items()})
    repeats = {source.name: source.when_short == "repeat" for source in config.sources}
    by_source = {
        source: _slices(stores[source], np.flatnonzero(marks), quotas, repeats[source], seed)
        for source, marks in alive().items()
    }
    slices = tuple(
        tuple(of_stages[number] for of_stages in by_source.values() if number in of_stages)
        for number in range(len(quotas))
    )
    return Choice(fates, held_out, slices, _counted(stays_instead, fates))


def _counted(
    stays_instead: Int64[np.ndarray, "D"], fates: Mapping[str, UInt8[np.ndarray, "_"]]
) -> dict[str, dict[str, int]]:
    """Count the near duplicates of each source by where the document is that stays instead."""
    names = [*fates, HELD_OUT]
    owners = np.repeat(np.arange(len(fates)), [len(marks) for marks in fates.values()])
    gone = np.flatnonzero(stays_instead >= 0)
    stays = stays_instead[gone]
    is_held_out = np.concatenate([np.zeros(0, np.uint8), *fates.values()])[stays] == FATES.index(HELD_OUT)
    whose = np.where(is_held_out, len(fates), owners[stays])
    table = np.zeros((len(fates), len(names)), np.int64)
    np.add.at(table, (owners[gone], whose), 1)
    return {
        source: {name: count for name, count in zip(names, row.tolist(), strict=True) if count}
        for source, row in zip(fates, table, strict=True)
    }


def held_out_rows(
    stores: Mapping[str, TokenStore], choice: Choice, context_length: int, seed: int
) -> UInt16[np.ndarray, "H C"]:
    """Return what evaluation reads: the first ids of each held-out document, in an order of their own."""
    places = [(source, index) for source, indices in choice.held_out.items() for index in indices]
    numbers = [
        ranks(seed, f"held out rows of {source}", stores[source].ids[indices])
        for source, indices in choice.held_out.items()
    ]
    order = np.argsort(np.concatenate([np.zeros(0, np.uint64), *numbers]), kind="stable")
    rows = np.empty((len(places), context_length), np.uint16)
    for row, (source, index) in zip(rows, (places[at] for at in order), strict=True):
        row[:] = stores[source].document(index)[:context_length]
    return rows


def _over_max_tokens(stores: Mapping[str, TokenStore], alive: Marks, config: DataConfig, seed: int) -> Marks:
    drops: Marks = {}
    for source in config.sources:
        store = stores[source.name]
        drops[source.name] = np.zeros(len(store), bool)
        if source.max_tokens:
            order = _order_of(store, np.flatnonzero(alive[source.name]), seed)
            before = np.cumsum(store.lengths[order]) - store.lengths[order]
            drops[source.name][order[before >= source.max_tokens]] = True
    return drops


def _order_of(
    store: TokenStore, documents: Int64[np.ndarray, "n"], seed: int, purpose: str = "shuffle"
) -> Int64[np.ndarray, "n"]:
    """Put documents of a source into the order of the shuffle, or of another draw."""
    return documents[in_order(seed, f"{purpose} {store.source}", store.ids[documents])]


def _slices(
    store: TokenStore, documents: Int64[np.ndarray, "n"], quotas: Sequence[Quota], repeats: bool, seed: int
) -> dict[int, Slice]:
    """Split the documents of a source over the stages that want a part, and take from each what its stage wants.

    A stage that draws again has all documents for its part, in an order of its own.
    """
    wanted = [0 if store.source in quota.again else quota.tokens.get(store.source, 0) for quota in quotas]
    order = _order_of(store, documents, seed)
    costs = store.lengths[order] + 1
    try:
        parts = dict(enumerate(order[part] for part in split(costs, wanted)) if any(wanted) else ())
    except IndexError as error:
        raise UserError(
            f"the source '{store.source}' has {error} after filters and held-out documents "
            f"({costs.sum():,} tokens where {sum(wanted):,} are wanted)",
            "a document for each stage",
            "Add documents, lower min-document-tokens or held-out-documents, or use fewer stages.",
        ) from None
    slices = {}
    for number, quota in enumerate(quotas):
        if not (tokens := quota.tokens.get(store.source, 0)):
            continue
        again = store.source in quota.again
        part = _order_of(store, documents, seed, f"again in stage {quota.stage}") if again else parts[number]
        part_costs = store.lengths[part] + 1
        if not len(part) or (tokens > part_costs.sum() and not repeats):
            raise UserError(
                f"stage {quota.stage} wants {tokens:,} tokens of the source '{store.source}', whose "
                f"{'documents have' if again else 'part of this stage has'} {part_costs.sum():,} in {len(part):,} "
                "documents",
                "as many, since the source says when_short: refuse" if len(part) else "a document",
                "Add documents, lower its weight or the stage's tokens, or let it repeat.",
            )
        slices[number] = take(
            store.source, part, part_costs, store.ids[part], tokens, seed, "again" if again else "part"
        )
    return slices
