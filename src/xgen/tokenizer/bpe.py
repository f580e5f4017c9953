"""Byte-pair encoding as it is defined, to be read; slow, and the judge of the fast path in `encoding.py`.

1. The text is split at the special tokens, where they are allowed, and what lies between them into the pieces of
   GPT-2's pattern.
2. Each piece starts as its UTF-8 bytes. Of all neighbors that together are a token, the pair of the lowest rank is
   merged, the leftmost first among equals, until no two neighbors are a token.
3. The id of a token is its rank.

So N spaces alone become runs of 31 from the left and the rest as one token; before a word the last of them goes with
the word, because the pattern says so.
"""

import heapq
from collections.abc import Iterable, Mapping

import regex  # the standard library's `re` does not know \p{L}; tiktoken brings this along

from xgen.tokenizer.ranks import mergeable_ranks
from xgen.tokenizer.specials import NUM_TOKENS, SPECIALS, unused_name

# As GPT-2 published it. \s is spelled out: here it would take 1c to 1f too, which are not whitespace to tiktoken.
PIECE = regex.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+"
    r"|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+"
)
SPECIAL = regex.compile("|".join(map(regex.escape, SPECIALS)))


def encode(text: str) -> list[int]:
    """Encode text that is data: a special token that is written in it stays text."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    ranks = mergeable_ranks()
    return [token for piece in PIECE.findall(text) for token in merge(piece.encode(), ranks)]


def encode_with_specials(text: str) -> list[int]:
    """Encode text in which special tokens are meant."""
    ids: list[int] = []
    end = 0
    for found in SPECIAL.finditer(text):
        ids += [*encode(text[end : found.start()]), SPECIALS[found.group()]]
        end = found.end()
    return ids + encode(text[end:])


def merge(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """Merge the pair of the lowest rank, the leftmost among equals, until none is left.

    A heap holds each pair that could be merged as (rank, place of its left part). A part is known by the place where it
    begins; `end[place]` is where it stops, so the next part begins there, and `before[place]` is where the previous
    one begins. A pair that the heap remembers may be gone: then its parts no longer have its rank.
    """
    end = list(range(1, len(piece) + 1))
    before = list(range(-1, len(piece) - 1))
    alive = [True] * len(piece)
    pairs = [(ranks[piece[left : left + 2]], left) for left in range(len(piece) - 1) if piece[left : left + 2] in ranks]
    heapq.heapify(pairs)
    while pairs:
        rank, left = heapq.heappop(pairs)
        right = end[left]
        if not alive[left] or right == len(piece) or ranks.get(piece[left : end[right]]) != rank:
            continue
        alive[right] = False
        end[left] = end[right]
        if end[left] < len(piece):
            before[end[left]] = left
        for start in (before[left], left):
            if start >= 0 and end[start] < len(piece):
                pair = piece[start : end[end[start]]]
                if pair in ranks:
                    heapq.heappush(pairs, (ranks[pair], start))
    return [ranks[piece[place : end[place]]] for place in range(len(piece)) if alive[place]]


def decode(ids: Iterable[int]) -> str:
    """Join the bytes of the ids; a row without a token reads "<|unused_50313|>", broken UTF-8 reads U+FFFD."""
    tokens = {rank: token for token, rank in mergeable_ranks().items()}
    tokens |= {rank: name.encode() for name, rank in SPECIALS.items()}
    return b"".join(tokens[i] if i < NUM_TOKENS else unused_name(i).encode() for i in ids).decode("utf-8", "replace")
