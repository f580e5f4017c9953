"""Token stores made of lists, and a small recipe over folders of text: what the tests of data/ build on."""

import dataclasses
import hashlib
import random
from pathlib import Path

import numpy as np

from xgen.data.config import DataConfig, Mixture, Share
from xgen.pieces.store import TokenStore
from xgen.recipes.micro import MICRO
from xgen.recipes.schema import Recipe
from xgen.sources.config import Source

WORDS = [
    f"{start}{middle}{end}"
    for start in ("ba", "ke", "lo", "mu", "ri", "sto")
    for middle in ("n", "rd", "st", "ll")
    for end in ("a", "er", "ing", "ow")
]


def hashed(raw: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(raw, digest_size=16).digest(), np.uint64)


def store_of(source: str, documents: dict[str, list[int]]) -> TokenStore:
    """Hold documents in memory as if they had been read from the disk."""
    tokens = [np.array(document, np.uint16) for document in documents.values()]
    return TokenStore(
        source,
        np.array([hashed(key.encode()) for key in documents], np.uint64).reshape(-1, 2),
        np.concatenate([np.zeros(0, np.uint16), *tokens]),
        np.array([hashed(array.tobytes()) for array in tokens], np.uint64).reshape(-1, 2),
        np.cumsum([0, *map(len, tokens)]),
    )


def sentence(seed: int, num_words: int) -> str:
    """Make up text that shares no long run of words with another seed's."""
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(num_words))


def write_corpus(folder: Path, first_seed: int, num_documents: int = 40) -> Path:
    """Write plain texts of 27 to 520 words, every fourth one long."""
    folder.mkdir(parents=True)
    for number in range(num_documents):
        num_words = 520 if number % 4 == 0 else 20 + 7 * number
        (folder / f"{number:03}.txt").write_text(sentence(first_seed + number, num_words), encoding="utf-8")
    return folder


def recipe_over(prose: Path, code: Path, **changes: float) -> Recipe:
    """The recipe `micro` on two folders."""
    config = DataConfig(
        sources=(Source("prose", "files", str(prose), "CC0-1.0", 0), Source("code", "files", str(code), "MIT", 0)),
        mixtures=(
            Mixture("stage-1", (Share("prose", 0.7), Share("code", 0.3))),
            Mixture("stage-2", (Share("prose", 0.5), Share("code", 0.5))),
        ),
        min_document_tokens=100,
        held_out_documents=6,
        near_duplicate_share=0.5,
    )
    return dataclasses.replace(MICRO, data=dataclasses.replace(config, **changes))
