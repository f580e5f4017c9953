"""Near duplicates against labelled examples: real texts of this machine, and copies of them with changes of known size.

    python bench/near_duplicates.py [--documents 1000]

For each kind of change: how many of the copies go, and what they really share (the Jaccard index of their shingles).
Then, over all pairs that have an equal band: precision and recall against the index itself, and the speed of each part.
"""

import argparse
import importlib.metadata
import random
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from xgen.similarity.near import SHINGLE, near_duplicates, preferences, sign, similar_pairs
from xgen.similarity.words import run_hashes, word_hashes

SIMILARITY = 0.8


def texts_of_this_machine(number: int) -> list[str]:
    """Take modules of the standard library and descriptions of installed packages, none of them twice."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py"))
    found = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    found += [str(each.metadata.json.get("description", "")) for each in importlib.metadata.distributions()]
    for path in sorted(Path(sysconfig.get_path("purelib")).glob("[a-t]*/**/*.py")):
        if len(found) > 3 * number:
            break
        found.append(path.read_text(encoding="utf-8", errors="replace"))
    whole = [text for text in dict.fromkeys(found) if len(text) > 2_000]
    random.Random(0).shuffle(whole)
    return whole[:number]


def replaced(share: float) -> Callable[[str, random.Random], str]:
    def change(text: str, chance: random.Random) -> str:
        words = text.split(" ")
        for place in chance.sample(range(len(words)), round(share * len(words))):
            words[place] = f"w{chance.randrange(10**6)}"
        return " ".join(words)

    return change


def cut_to(share: float) -> Callable[[str, random.Random], str]:
    return lambda text, chance: text[: round(share * len(text))]


def framed(share: float) -> Callable[[str, random.Random], str]:
    def change(text: str, chance: random.Random) -> str:
        size = round(share * len(text.split()) / 2)
        return " ".join([*(f"a{chance.randrange(10**6)}" for _ in range(size)), text, *("menu" for _ in range(size))])

    return change


CHANGES = {
    "wrapped anew, in capitals": lambda text, chance: "\n".join(text.upper().split()),
    **{f"{share:.1%} of words replaced": replaced(share) for share in (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)},
    **{f"cut to {share:.0%}": cut_to(share) for share in (0.95, 0.85, 0.7, 0.5)},
    **{f"{share:.0%} more words around it": framed(share) for share in (0.1, 0.3, 1.0)},
}


def index_of(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


def copies(texts: list[str]) -> Iterator[tuple[str, str]]:
    for kind, change in CHANGES.items():
        chance = random.Random(kind)
        yield from ((kind, change(text, chance)) for text in texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=1000)
    originals = texts_of_this_machine(parser.parse_args().documents)
    labelled = list(copies(originals))
    texts = originals + [text for _, text in labelled]
    num_characters = sum(map(len, texts))
    begun = time.process_time()
    signed = sign(texts)
    print(f"{len(texts):,} documents, {num_characters / 1e6:.0f} million characters")
    print(
        f"signed: {num_characters / 1e6 / (time.process_time() - begun):.0f} million characters a second of processor"
    )
    sets = [np.unique(run_hashes(word_hashes(text), SHINGLE)) for text in texts]
    size = len(originals)
    print(f"\n{'change':32}{'index':>8}{'found':>8}")
    for number, kind in enumerate(CHANGES):
        mine = np.arange(size) + (number + 1) * size
        places = np.stack([np.arange(size), mine], axis=1)
        indices = [index_of(sets[one], sets[other]) for one, other in places]
        chosen = [
            len(similar_pairs([sign([texts[one], texts[other]])], np.arange(2, dtype=np.uint64), SIMILARITY))
            for one, other in places
        ]
        print(f"{kind:32}{np.mean(indices):8.3f}{np.mean(chosen):8.3f}")
    preference = preferences(np.array([*map(len, texts)]), np.arange(len(texts), dtype=np.uint64) << np.uint64(32))
    begun = time.process_time()
    found = {tuple(pair) for pair in similar_pairs([signed], preference, SIMILARITY).tolist()}
    print(f"\nall pairs of {len(texts):,} documents: {time.process_time() - begun:.1f} s of processor")
    candidates = similar_pairs([signed], preference, 0.0)
    true = np.array([index_of(sets[one], sets[other]) for one, other in candidates])
    is_found = np.array([tuple(pair) in found for pair in candidates.tolist()])
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.75), (0.75, 0.8), (0.8, 0.85), (0.85, 0.9), (0.9, 1.01)):
        within = (true >= low) & (true < high)
        print(f"index {low:.2f} to {min(high, 1):.2f}: {is_found[within].sum():,} of {within.sum():,} found")
    right = true >= SIMILARITY
    print(f"precision {right[is_found].mean():.3f}, recall {is_found[right].mean():.3f} of pairs with an equal band")
    alone = near_duplicates([sign(originals)], preference[:size], SIMILARITY)
    print(f"of the {size:,} originals {np.count_nonzero(alone >= 0)} go as copies of one another")


if __name__ == "__main__":
    main()
