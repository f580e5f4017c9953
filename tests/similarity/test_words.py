"""Words of a text as numbers, against a regular expression and in scripts without spaces."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.similarity.words import LONGEST_WORD, run_hashes, run_hashes_of, word_hashes

ASCII = st.text(st.characters(max_codepoint=127), max_size=60)


def same(one, other):
    return word_hashes(one).tolist() == word_hashes(other).tolist()


@settings(deadline=None, max_examples=200)
@given(ASCII, ASCII)
def test_texts_have_equal_hashes_where_their_words_are_equal_and_only_there(one, other):
    words, others = (re.findall("[a-z0-9]+", text.lower()) for text in (one, other))
    assert len(word_hashes(one)) == len(words)
    assert same(one, "  " + "\t--".join(words).upper() + "\n")
    assert same(one, other) == (words == others)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_at_all_is_hashed_alike_after_other_text(text):
    assert word_hashes("Here: " + text).tolist() == [*word_hashes("here").tolist(), *word_hashes(text).tolist()]


def test_characters_of_scripts_without_spaces_are_words():
    assert len(word_hashes("\u6f22\u5b57\u304b\u306a")) == 4
    assert len(word_hashes("a\u6f22b \u6f22")) == 4
    assert same("\u6f22 \u5b57", "\u6f22\u5b57")
    assert not same("\u6f22\u5b57", "\u5b57\u6f22")


def test_marks_beyond_ascii_are_no_words_and_letters_are():
    assert same("\u201cna\u00efve\u201d \u2014 \u00abM\u00e4rz\u00bb\u00a0", "na\u00efve M\u00e4rz")
    assert len(word_hashes("\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440")) == 2


def test_a_word_beyond_the_longest_still_tells_its_beginning():
    long = "a" * LONGEST_WORD
    assert not same("b" + long, "c" + long)
    assert not same("form", "from")


def test_runs_are_equal_where_their_values_are():
    values = np.array([1, 2, 3, 1, 2, 3, 1], np.uint64)
    hashes = run_hashes(values, 3)
    assert len(hashes) == 5 and hashes[0] == hashes[3] and len(set(hashes.tolist())) == 3
    assert len(run_hashes(values[:2], 3)) == 0


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.sampled_from("ab \u6f22\u201c.\ud800"), max_size=12), max_size=5), st.integers(1, 4))
def test_the_runs_of_many_texts_are_those_of_each(texts, size):
    hashes, ends = run_hashes_of(texts, size)
    apart = [run_hashes(word_hashes(text), size).tolist() for text in texts]
    assert [part.tolist() for part in np.split(hashes, ends)[: len(texts)]] == apart
    assert len(hashes) == sum(map(len, apart))
