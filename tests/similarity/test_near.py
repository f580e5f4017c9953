"""Near duplicates: against definitions in plain Python, and on texts with changes of known size."""

import importlib.resources
import itertools
import random
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import sentence
from xgen.core.errors import UserError
from xgen.similarity import near
from xgen.similarity.near import (
    BANDS,
    EMPTY,
    NUM_LEADERS,
    NUM_SLOTS,
    ROWS,
    SHINGLE,
    banded,
    near_duplicates,
    preferences,
    settle,
    sign,
    similar_pairs,
)
from xgen.similarity.words import run_hashes, word_hashes

PROSE = importlib.resources.files("xgen.sources") / "corpus" / "prose"
SIMILARITY = 0.8


def families(seed, num_families, num_members):
    """Draw signatures of which some differ in few slots, some in many, as near and far copies do."""
    chance = np.random.default_rng(seed)
    bases = chance.integers(0, 1 << 32, (num_families, NUM_SLOTS), np.uint32)
    signatures = np.repeat(bases, num_members, axis=0)
    others = chance.integers(0, 1 << 32, signatures.shape, np.uint32)
    changed = chance.random(signatures.shape) < chance.choice([0.0, 0.1, 0.25, 0.6], (len(signatures), 1))
    return np.where(changed, others, signatures)


def cut(signatures, cuts):
    ends = [0, *sorted(cuts), len(signatures)]
    return [banded(signatures[start:stop]) for start, stop in itertools.pairwise(ends)]


def pairs_by_definition(signatures, preference):
    found = set()
    for one, other in itertools.combinations(range(len(signatures)), 2):
        same = signatures[one] == signatures[other]
        if same[: BANDS * ROWS].reshape(BANDS, ROWS).all(axis=1).any() and same.mean() >= SIMILARITY:
            found.add((one, other) if preference[one] < preference[other] else (other, one))
    return found


def settled_by_definition(pairs, preference):
    gone: set[int] = set()
    for document in np.argsort(preference).tolist():
        if any(second == document and first not in gone for first, second in pairs):
            gone.add(document)
    return gone


draws = st.tuples(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, NUM_LEADERS))


@settings(deadline=None, max_examples=40)
@given(draws, st.lists(st.integers(0, 40), max_size=4), st.integers(1, 5))
def test_the_pairs_of_all_parts_and_shards_are_those_of_a_slow_definition(draw, cuts, num_parts):
    signatures = families(*draw)
    preference = np.random.default_rng(draw[0]).permutation(len(signatures)).astype(np.uint64)
    shards = cut(signatures, [min(place, len(signatures)) for place in cuts])
    parts = [similar_pairs(shards, preference, SIMILARITY, part, num_parts) for part in range(num_parts)]
    assert {tuple(pair) for pair in np.concatenate(parts).tolist()} == pairs_by_definition(signatures, preference)


@settings(deadline=None, max_examples=100)
@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30), st.permutations(range(12)))
def test_a_document_goes_only_for_one_that_stays_and_no_two_that_stay_are_a_pair(drawn, order):
    preference = np.array(order, np.uint64)
    pairs = {tuple(sorted(pair, key=order.__getitem__)) for pair in drawn if pair[0] != pair[1]}
    instead = settle(np.array(sorted(pairs), np.int64).reshape(-1, 2), preference)
    gone = set(np.flatnonzero(instead >= 0).tolist())
    assert gone == settled_by_definition(pairs, preference)
    assert all((instead[document], document) in pairs and instead[document] not in gone for document in gone)
    assert not any({first, second}.isdisjoint(gone) for first, second in pairs)


@settings(deadline=None, max_examples=30)
@given(draws, st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=3))
def test_what_stays_does_not_depend_on_the_order_of_documents_or_on_shards(draw, chance, cuts):
    signatures = families(*draw)
    lengths = np.random.default_rng(draw[0]).integers(100, 104, len(signatures))
    hashes = np.random.default_rng(draw[0] + 1).integers(0, 1 << 63, len(signatures)).astype(np.uint64)
    order = list(range(len(signatures)))
    chance.shuffle(order)
    straight = near_duplicates([banded(signatures)], preferences(lengths, hashes), SIMILARITY)
    shards = cut(signatures[order], [min(place, len(order)) for place in cuts])
    mixed = near_duplicates(shards, preferences(lengths[order], hashes[order]), SIMILARITY)
    named = [-1 if place < 0 else order[place] for place in mixed]
    assert named == straight[order].tolist()


def test_a_signature_agrees_in_as_many_slots_as_the_documents_share_of_their_shingles():
    for seed, num_shared in ((0, 100), (1, 400), (2, 800), (3, 950)):
        shared = sentence(seed, num_shared)
        one, other = (shared + " " + sentence(seed + of, 1000 - num_shared) for of in (10, 20))
        words = [text.split() for text in (one, other)]
        sets = [{tuple(each[start : start + 5]) for start in range(len(each) - 4)} for each in words]
        assert [len(np.unique(run_hashes(word_hashes(text), SHINGLE))) for text in (one, other)] == [*map(len, sets)]
        true = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        signatures = sign([one, other]).signatures
        agreement = np.mean(signatures[0] == signatures[1])
        assert abs(agreement - true) < 4 * np.sqrt(true * (1 - true) / NUM_SLOTS) + 1e-9


def test_a_document_is_signed_alike_in_any_company(monkeypatch):
    monkeypatch.setattr(near, "BATCH", 1_000)
    texts = [sentence(seed, 50 + 20 * seed) for seed in range(5)]
    together = sign(texts).signatures
    assert all((sign([alone]).signatures[0] == row).all() for alone, row in zip(texts, together, strict=True))


def test_documents_have_a_key_of_a_band_in_common_where_all_of_its_slots_agree():
    signature = families(3, 1, 1)[0]
    others = np.repeat(signature[None], BANDS * ROWS, axis=0)
    others[np.arange(BANDS * ROWS), np.arange(BANDS * ROWS)] ^= 1
    signed = banded(np.concatenate([signature[None], others]))
    keys = np.take_along_axis(signed.keys, np.argsort(signed.places, axis=1), axis=1)
    assert (np.sort(signed.keys, axis=1) == signed.keys).all()
    assert ((keys[:, 1:] == keys[:, :1]) != (np.arange(BANDS * ROWS) // ROWS == np.arange(BANDS)[:, None])).all()


def test_a_document_of_no_shingle_is_no_copy():
    signed = sign(["-" * 200, "one two three four", "one two three four"])
    assert (signed.signatures == EMPTY).all()
    assert near_duplicates([signed], np.arange(3, dtype=np.uint64), SIMILARITY).tolist() == [-1, -1, -1]
    assert near_duplicates([], np.zeros(0, np.uint64), SIMILARITY).shape == (0,)
    assert len(sign([]).signatures) == 0


def test_a_page_that_many_share_costs_no_square():
    signed = banded(np.repeat(families(1, 1, 1), 600, axis=0))
    preference = np.arange(600, dtype=np.uint64)[::-1].copy()
    assert len(similar_pairs([signed], preference, SIMILARITY)) <= NUM_LEADERS * 600
    instead = near_duplicates([signed], preference, SIMILARITY)
    assert instead[599] == -1 and (instead[:599] == 599).all()


def test_the_longest_stays_and_of_equal_ones_the_first_by_hash():
    lengths = np.array([5, 9, 9, 2**40])
    hashes = np.array([1, 2 << 32, 1 << 32, 3], np.uint64)
    assert np.argsort(preferences(lengths, hashes)).tolist() == [3, 2, 1, 0]


def changed(text, every, seed):
    """Replace one word in so many by another of the text."""
    words = text.split(" ")
    chance = random.Random(seed)
    for place in range(seed % every, len(words), every):
        words[place] = chance.choice(words)
    return " ".join(words)


def test_of_real_texts_near_copies_go_and_others_stay():
    texts = [path.read_text(encoding="utf-8") for path in sorted(PROSE.iterdir(), key=lambda path: path.name)]
    longer = [f"{text}\n\nShared by a friend.\n" for text in texts]
    copies = [changed(text, 100, number) for number, text in enumerate(texts)]
    wrapped = [textwrap.fill(text.upper(), 50, initial_indent="* ") for text in texts]
    far = [changed(text, 8, number) for number, text in enumerate(texts)]
    every = [*texts, *longer, *copies, *wrapped, *far]
    lengths = np.array([len(text) for text in every]) + 100 * np.repeat([0, 1, 0, 0, 0], len(texts))
    hashes = np.arange(len(every), dtype=np.uint64) << np.uint64(32)
    instead = near_duplicates([sign(every[:77]), sign(every[77:])], preferences(lengths, hashes), SIMILARITY)
    kinds = instead.reshape(5, len(texts))
    longest = np.arange(len(texts)) + len(texts)
    assert (kinds[1] == -1).all() and (kinds[4] == -1).all()
    assert (kinds[[0, 2, 3]] == longest).all()


def test_without_rensa_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(UserError, match="rensa"):
        sign(["some text"])
