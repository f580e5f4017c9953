"""The filters, against definitions in plain Python."""

import importlib.resources
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import sentence, store_of
from xgen.data.config import DataConfig
from xgen.data.copies import near_copies
from xgen.data.filters import WINDOW, HeldOut, HeldOutWindows, exact_duplicates
from xgen.similarity.windows import window_hashes
from xgen.tokenizer.encoding import encode, token_bytes

CONFIG = DataConfig((), (), min_document_tokens=100, held_out_documents=1, near_duplicate_share=0.5)
TEXT = sentence(1, 150)


def all_of(*stores):
    return {store.source: np.ones(len(store), bool) for store in stores}


def test_of_equal_documents_the_first_of_the_first_source_by_name_stays_whatever_the_recipe_names_first():
    same, other = [1, 2, 3], [1, 2, 4]
    one = store_of("b", {"z": same, "y": same, "x": other})
    two = store_of("a", {"w": [9], "v": other, "u": same, "t": same})
    for stores in ((one, two), (two, one)):
        drops = exact_duplicates({store.source: store for store in stores}, all_of(*stores), CONFIG)
        assert drops["b"].tolist() == [True, True, True] and drops["a"].tolist() == [False, False, False, True]


def test_a_duplicate_of_what_was_dropped_already_stays():
    store = store_of("a", {"x": [1, 2], "y": [1, 2]})
    assert not exact_duplicates({"a": store}, {"a": np.array([False, True])}, CONFIG)["a"].any()


def windows_by_definition(ids):
    words = [word for word in (token_bytes(int(token)).strip() for token in ids) if word]
    return [tuple(words[start : start + 13]) for start in range(len(words) - 12)]


def share_by_definition(ids, held_out, context_length):
    mine = windows_by_definition(ids)
    everything = {window for document in held_out for window in windows_by_definition(document)}
    shares = [sum(window in everything for window in mine) / len(mine)] if mine else [0.0]
    for document in held_out:
        judged = set(windows_by_definition(document[:context_length]))
        shares.append(len(judged & set(mine)) / len(judged) if judged else 0.0)
    return max(shares)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(5, 40)), min_size=1, max_size=6), st.integers(10, 120))
def test_the_share_of_windows_is_that_of_a_slow_definition(pieces, context_length):
    held_out = [
        encode("\n    ".join([sentence(0, 40), sentence(1, 60)])),
        encode(sentence(2, 40) + " ( ) " + sentence(0, 40)),
    ]
    document = encode("  ".join(sentence(seed, 60)[: 5 * size] for seed, size in pieces))
    fast = HeldOutWindows(HeldOut(held_out, context_length)).share_with(document)
    assert fast == pytest.approx(share_by_definition(document, held_out, context_length))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), max_size=4), max_size=6), st.integers(1, 9))
def test_many_documents_at_once_are_judged_as_each_alone(texts, tenths):
    held_out = [encode(sentence(0, 100)), encode(sentence(1, 80)), encode("too short")]
    windows = HeldOutWindows(HeldOut(held_out, 60))
    documents = [encode(" \n".join(sentence(seed, 60)[: 5 * size] for seed, size in pieces)) for pieces in texts]
    lengths = np.array([len(one) for one in documents], np.int64)
    flat = np.concatenate([np.zeros(0, np.uint16), *documents])
    assert near_copies(windows, flat, lengths, tenths / 10).tolist() == [
        windows.share_with(one) >= tenths / 10 for one in documents
    ]


def near(training, held_out, context_length=200):
    tokens = encode(training)
    windows = HeldOutWindows(HeldOut([encode(held_out)], context_length))
    return bool(near_copies(windows, tokens, np.array([len(tokens)]), CONFIG.near_duplicate_share)[0])


def test_near_copies_are_found_in_both_directions_and_in_any_layout():
    assert near(TEXT, TEXT)
    assert near(TEXT.replace(" ", "\n    "), TEXT)  # indented
    assert near(TEXT + " and then " + sentence(2, 900), TEXT)  # the held-out document inside a long one
    assert near(TEXT[500:], TEXT + sentence(3, 900))  # a part of the held-out document, behind its first ids
    assert near(TEXT + sentence(3, 40), TEXT + " " + sentence(4, 2000))  # of its first ids, which evaluation reads
    assert not near(sentence(2, 150), TEXT)
    assert not near(sentence(2, 150) + TEXT[:200], TEXT)  # a quotation


def test_prose_that_was_wrapped_at_another_width_is_still_a_copy():
    documents = importlib.resources.files("xgen.sources") / "corpus" / "prose"
    text = (documents / "how-tides-work.md").read_text(encoding="utf-8")
    wrapped = "\n".join(textwrap.fill(paragraph, 50, subsequent_indent="\t") for paragraph in text.split("\n\n"))
    assert near(wrapped, text) and near(text, wrapped)
    assert not near((documents / "how-a-sail-works.md").read_text(encoding="utf-8"), text)


def test_windows_count_no_whitespace_and_short_texts_have_none():
    assert len(window_hashes(encode("a b c d e f g h i j k l m"), WINDOW)) == 1
    assert len(window_hashes(encode("a\n\n\tb c d e f g h i  j k\r\nl m"), WINDOW)) == 1
    assert len(window_hashes(encode("a b c d e f g h i j k l \n \n"), WINDOW)) == 0
    assert not near("short", TEXT) and not near(TEXT, "short")
