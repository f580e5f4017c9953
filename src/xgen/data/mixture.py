"""Decide from the seed which documents are held out, which stage reads which, and in what order.

Every order is that of a keyed hash of (source, key): uniform, and the same whatever the order of reading.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Slice:
    """What one stage takes of one source: n documents, and how many ids of each, the separator counted."""

    source: str
    documents: Int64[np.ndarray, "n"]
    epochs: Int64[np.ndarray, "n"]
    """How often each was taken before."""
    taken: Int64[np.ndarray, "n"]
    part_documents: int
    part_tokens: int
    """The part of the source that was this stage's to read, separators counted."""
    cut: int
    """Documents cut at the quota."""
    draw: str = "part"
    """"part", or "again" where the stage drew from all documents of the source: config.Share."""

    @property
    def tokens(self) -> int:
        return int(self.taken.sum())

    @property
    def repeats(self) -> float:
        """How many times the part was read: below one, not all of it was needed."""
        return self.tokens / self.part_tokens


def shuffled(seed: int, purpose: str, names: Sequence[str]) -> Int64[np.ndarray, "n"]:
    """Return the order of `names` under the seed, for one purpose: orders for two purposes are independent."""
    keyed = hashlib.blake2b(key=hashlib.sha256(f"{seed}\0{purpose}".encode()).digest(), digest_size=8)
    hashes = np.empty(len(names), ">u8")
    for index, name in enumerate(names):
        each = keyed.copy()
        each.update(name.encode())
        hashes[index] = int.from_bytes(each.digest(), "big")
    return np.argsort(hashes, kind="stable")


def apportion(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Share out a whole number exactly, by the largest remainder; the fractions add up to one."""
    shares = {name: int(total * fraction) for name, fraction in fractions.items()}
    by_remainder = sorted(fractions, key=lambda name: (shares[name] - total * fractions[name], name))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    assert sum(shares.values()) == total
    return shares


def choose_held_out(
    seed: int,
    keys: Mapping[str, Sequence[str]],
    long: Mapping[str, Bool[np.ndarray, "_"]],
    number: int,
    fractions: Mapping[str, float],
) -> dict[str, Int64[np.ndarray, "_"]]:
    """Set documents apart by key, from each source in proportion to `fractions`.

    `long` marks what may be taken. No source gives more than half of it, so that training sees long documents too;
    what one cannot give, the others give.
    """
    spare = {source: int(np.count_nonzero(long[source])) // 2 if fractions.get(source, 0) else 0 for source in keys}
    if sum(spare.values()) < number:
        raise UserError(
            f"{sum(spare.values())} documents are long enough to be held out and can be spared (half of "
            f"those as long as the longest context: {spare})",
            f"{number}",
            "Add longer documents, or lower held-out-documents.",
        )
    wanted = apportion(number, fractions)
    given = {source: min(wanted.get(source, 0), spare[source]) for source in keys}
    for source in sorted(keys, key=lambda source: (given[source] - spare[source], source)):
        given[source] += min(spare[source] - given[source], number - sum(given.values()))
    chosen = {}
    for source in keys:
        candidates = np.flatnonzero(long[source])
        order = shuffled(seed, f"held out {source}", [keys[source][int(index)] for index in candidates])
        chosen[source] = candidates[order[: given[source]]]
    return chosen


def split(costs: Int64[np.ndarray, "n"], wanted: Sequence[int]) -> list[slice]:
    """Cut an order of documents into one part for each stage, in proportion to the tokens that the stages want.

    A stage that wants any gets at least one document; where there are fewer documents than such stages, IndexError.
    """
    takers = [stage for stage, tokens in enumerate(wanted) if tokens]
    if len(takers) > len(costs):
        raise IndexError(f"{len(costs)} documents for {len(takers)} stages")
    middles = np.cumsum(costs) - costs / 2
    shares = np.cumsum([wanted[stage] for stage in takers]) / sum(wanted)
    ends = np.searchsorted(middles, shares * costs.sum())
    for number in range(len(takers)):
        after = len(takers) - number - 1
        ends[number] = min(max(ends[number], 1 + (ends[number - 1] if number else 0)), len(costs) - after)
    ends[-1:] = len(costs)
    parts = [slice(0, 0)] * len(wanted)
    for number, stage in enumerate(takers):
        parts[stage] = slice(int(ends[number - 1]) if number else 0, int(ends[number]))
    return parts


def take(
    source: str,
    part: Int64[np.ndarray, "p"],
    costs: Int64[np.ndarray, "p"],
    names: Sequence[str],
    quota: int,
    seed: int,
    draw: str = "part",
) -> Slice:
    """Take documents of a part in order until exactly `quota` tokens are reached, the last one cut.

    A part that is too short is read again, whole, in another order. `costs` are lengths with the separator.
    """
    part_tokens, left, epoch = int(costs.sum()), quota, 0
    orders, epochs, taken = [], [], []
    while left > 0:
        order = shuffled(seed, f"epoch {epoch}", names) if epoch else np.arange(len(part))
        ends = np.cumsum(costs[order])
        number = min(len(part), int(np.searchsorted(ends, left)) + 1)
        amounts = costs[order[:number]]
        amounts[-1] -= max(0, ends[number - 1] - left)
        orders.append(order[:number])
        epochs.append(np.full(number, epoch))
        taken.append(amounts)
        left, epoch = left - int(amounts.sum()), epoch + 1
    order, amounts = np.concatenate(orders), np.concatenate(taken)
    _leave_no_bare_separator(source, amounts)
    return Slice(
        source,
        part[order],
        np.concatenate(epochs),
        amounts,
        len(part),
        part_tokens,
        int(np.count_nonzero(amounts < costs[order])),
        draw,
    )


def _leave_no_bare_separator(source: str, amounts: Int64[np.ndarray, "n"]) -> None:
    """Where the quota leaves one token for the last document, let an earlier one give a second."""
    if amounts[-1] > 1:
        return
    donors = np.flatnonzero(amounts[:-1] > 2)
    if not len(donors):
        raise UserError(
            f"a stage wants {amounts.sum()} tokens of the source '{source}'",
            "at least one document's",
            "Give the source a larger weight or none, or the stage more tokens.",
        )
    amounts[donors[-1]] -= 1
    amounts[-1] += 1
