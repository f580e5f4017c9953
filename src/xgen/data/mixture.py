"""Decide from the seed which documents are held out, which stage reads which, and in what order.

Every order is that of a keyed hash of what is ordered: uniform, and the same whatever the order of reading. Documents
are called by their ids, the hashes of their keys.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from xgen.core.errors import UserError
from xgen.similarity.windows import mixed


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


NUM_ROUNDS = 8
"""Of the permutation of row numbers: four make it pseudorandom (Luby and Rackoff 1988), small sizes want some more."""


def ranks(seed: int, purpose: str, ids: UInt64[np.ndarray, "n 2"]) -> UInt64[np.ndarray, "n"]:
    """Give each document a number under the seed, for one purpose; their order is the shuffle.

    Numbers of several sources for one purpose may be compared.
    """
    first, second = np.frombuffer(_key(seed, purpose), np.uint64)[:2]
    return mixed((mixed(ids[:, 0] ^ first) + ids[:, 1]) ^ second)


def in_order(seed: int, purpose: str, ids: UInt64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n"]:
    """Return the order of documents under the seed, for one purpose: orders for two purposes are independent."""
    return np.argsort(ranks(seed, purpose, ids), kind="stable")


def permuted(seed: int, purpose: str, size: int, numbers: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return where a permutation of the numbers below `size` sends `numbers`, without making all of it.

    A Feistel network on the smallest square of a power of two that holds `size`; what falls outside is sent on.
    """
    half = max(1, -(-(size - 1).bit_length() // 2))
    mask, keys = np.uint64((1 << half) - 1), np.frombuffer(_key(seed, purpose), np.uint64)
    values, outside = numbers.astype(np.uint64), np.ones(len(numbers), bool)
    while outside.any():
        left, right = values[outside] >> np.uint64(half), values[outside] & mask
        for number in range(NUM_ROUNDS):
            left, right = right, left ^ (mixed(right + keys[number % 4] + np.uint64(number)) & mask)
        values[outside] = (left << np.uint64(half)) | right
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def _key(seed: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{purpose}".encode()).digest()


def shuffled(seed: int, purpose: str, names: Sequence[str]) -> Int64[np.ndarray, "n"]:
    """Return the order of `names` under the seed, for one purpose: orders for two purposes are independent."""
    keyed = hashlib.blake2b(key=_key(seed, purpose), digest_size=8)
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
    ids: Mapping[str, UInt64[np.ndarray, "_ 2"]],
    long: Mapping[str, Bool[np.ndarray, "_"]],
    number: int,
    fractions: Mapping[str, float],
) -> dict[str, Int64[np.ndarray, "_"]]:
    """Set documents apart by their ids, from each source in proportion to `fractions`.

    `long` marks what may be taken. No source gives more than half of it, so that training sees long documents too;
    what one cannot give, the others give.
    """
    spare = {source: int(np.count_nonzero(long[source])) // 2 if fractions.get(source, 0) else 0 for source in ids}
    if sum(spare.values()) < number:
        raise UserError(
            f"{sum(spare.values())} documents are long enough to be held out and can be spared (half of "
            f"those as long as the longest context: {spare})",
            f"{number}",
            "Add longer documents, or lower held-out-documents.",
        )
    wanted = apportion(number, fractions)
    given = {source: min(wanted.get(source, 0), spare[source]) for source in ids}
    for source in sorted(ids, key=lambda source: (given[source] - spare[source], source)):
        given[source] += min(spare[source] - given[source], number - sum(given.values()))
    chosen = {}
    for source in ids:
        candidates = np.flatnonzero(long[source])
        order = in_order(seed, f"held out {source}", ids[source][candidates])
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
    ids: UInt64[np.ndarray, "p 2"],
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
        order = in_order(seed, f"epoch {epoch} of {source}", ids) if epoch else np.arange(len(part))
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
