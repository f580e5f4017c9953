"""Near duplicates over pieces on the disk, and what is counted of them."""

import importlib.util
import itertools
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import sentence, store_of
from xgen.core.ledger import write_array
from xgen.data import duplicates
from xgen.data.choice import FATES, NEAR_DUPLICATE, Comparisons, Quota, choose
from xgen.data.config import DataConfig, Mixture, Share
from xgen.data.duplicates import PieceSignatures, find_pairs, plan_search, settled
from xgen.data.filters import exact_duplicates
from xgen.pieces.make import stem_of
from xgen.similarity.near import Signer, near_duplicates, preferences, sign
from xgen.sources.config import Source
from xgen.tokenizer.encoding import encode

pytestmark = pytest.mark.skipif(importlib.util.find_spec("rensa") is None, reason="needs the extra data")


def changed(text: str, seed: int, num_words: int = 2) -> str:
    words, chance = text.split(" "), random.Random(seed)
    for place in chance.sample(range(len(words)), num_words):
        words[place] = f"other{seed}"
    return " ".join(words)


ORIGINALS = [sentence(seed, 120 + 20 * seed) for seed in range(6)]
TEXTS = [*ORIGINALS, *(changed(text, seed) for seed, text in enumerate(ORIGINALS[:4])), ORIGINALS[1], "too short"]


def stores(texts, first_of_b):
    """Two sources, the second from document `first_of_b` on."""
    named = {f"{number:03}": encode(text).tolist() for number, text in enumerate(texts)}
    keys = list(named)
    return {
        name: store_of(name, {key: named[key] for key in part})
        for name, part in (("a", keys[:first_of_b]), ("b", keys[first_of_b:]))
    }


def search(folder, texts, cuts, of_sources, alive):
    """Sign pieces, each on its own, and settle what is found in them."""
    bounds = sorted({0, *cuts, len(texts)})
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        signer = Signer()
        for text in texts[start:stop]:
            signer.add(text)
        for name, array in signer.arrays().items():
            write_array(Path(f"{stem_of(folder, number)}.{name}.npy"), array)
    tasks = plan_search(folder, of_sources, alive, len(bounds) - 1, 0.8)
    for task in reversed(tasks):
        find_pairs(task)
    return settled(tasks), len(tasks)


@settings(deadline=None, max_examples=10)
@given(
    st.randoms(use_true_random=False), st.sets(st.integers(1, 11), max_size=4), st.integers(1, 11), st.integers(3, 20)
)
def test_the_cut_into_pieces_and_parts_changes_nothing(chance, cuts, first_of_b, bucketed):
    texts = chance.sample(TEXTS, len(TEXTS))
    of_sources = stores(texts, first_of_b)
    alive = {name: np.ones(len(store), bool) for name, store in of_sources.items()}
    for name, marks in exact_duplicates(of_sources, alive, CONFIG).items():
        alive[name] &= ~marks
    whole = np.concatenate([store.lengths for store in of_sources.values()])
    ids = np.concatenate([store.ids for store in of_sources.values()])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BUCKETED", bucketed)
        patch.setattr(duplicates, "MAX_OPEN", 2)
        stays_instead, num_tasks = search(Path(folder), texts, cuts, of_sources, alive)
    assert num_tasks == -(-len(texts) // bucketed)
    living = np.flatnonzero(np.concatenate(list(alive.values())))
    expected = near_duplicates(
        [sign([texts[at] for at in living])], preferences(whole[living], ids[living, 0]), similarity=0.8
    )
    gone = np.flatnonzero(stays_instead >= 0)
    np.testing.assert_array_equal(gone, living[expected >= 0])
    np.testing.assert_array_equal(stays_instead[gone], living[expected[expected >= 0]])
    assert len(gone) == 4, "each of four copies, and no exact one a second time"


CONFIG = DataConfig(
    (Source("a", "files", "x", "MIT", 0), Source("b", "files", "y", "MIT", 0)),
    (Mixture("m", (Share("a", 0.5), Share("b", 0.5))),),
    min_document_tokens=1,
    held_out_documents=1,
    near_duplicate_share=0.5,
    duplicate_similarity=0.8,
)


def test_what_goes_is_counted_by_where_the_one_is_that_stays(tmp_path):
    pair, alone, *long = (sentence(100, 150), sentence(101, 150), sentence(102, 900), sentence(103, 900))
    shorter = [" ".join(text.split(" ")[:-3]) for text in (pair, *long)]
    texts = [*long, pair + " end", pair, alone, *shorter]
    of_sources = stores(texts, 5)
    choice = choose(
        of_sources,
        CONFIG,
        [Quota("s", {"a": 50})],
        {"a": 1.0, "b": 0.0},
        context_length=1000,
        seed=0,
        compare=Comparisons(lambda alive: search(tmp_path, texts, {3}, of_sources, alive)[0], lambda held_out: {}),
    )
    near = FATES.index(NEAR_DUPLICATE)
    assert np.flatnonzero(choice.fates["a"] == near).tolist() == [3]
    assert np.flatnonzero(choice.fates["b"] == near).tolist() == [0, 1, 2]
    assert len(choice.held_out["a"]) == 1 and choice.held_out["a"][0] in (0, 1)
    assert choice.stays_instead == {"a": {"a": 1}, "b": {"a": 2, "held out": 1}}


def test_pieces_are_opened_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_OPEN", 2)
    for number in range(5):
        signer = Signer()
        signer.add(ORIGINALS[number])
        for name, array in signer.arrays().items():
            write_array(Path(f"{stem_of(tmp_path, number)}.{name}.npy"), array)
    pieces = PieceSignatures(tmp_path, 5)
    for number, piece in enumerate(pieces):
        np.testing.assert_array_equal(piece.signatures, sign([ORIGINALS[number]]).signatures)
    assert pieces._open.cache_info().currsize == 2 and len(pieces) == 5
