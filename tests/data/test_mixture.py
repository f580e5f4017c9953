"""Orders from keys, exact quotas, and which documents are held out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.stores import hashed, store_of
from xgen.core.errors import UserError
from xgen.data.choice import FATES, Comparisons, Quota, choose
from xgen.data.config import DataConfig, Mixture, Share
from xgen.data.mixture import apportion, choose_held_out, in_order, permuted, ranks, shuffled, split, take
from xgen.recipes.starcoder import LANGUAGES
from xgen.recipes.xgen_7b import XGEN_7B
from xgen.sources.config import Source

GIGABYTES = dict(LANGUAGES)
WEIGHTS = st.lists(st.floats(0.001, 100), min_size=1, max_size=20)


@settings(deadline=None, max_examples=100)
@given(WEIGHTS, st.integers(0, 10**7))
def test_shares_add_up_exactly_and_each_is_within_one_of_its_fraction(weights, total):
    fractions = {str(number): weight / sum(weights) for number, weight in enumerate(weights)}
    shares = apportion(total, fractions)
    assert sum(shares.values()) == total
    assert all(abs(shares[name] - total * fraction) < 1 for name, fraction in fractions.items())


def test_the_mixture_of_table_2_comes_out_to_a_hundredth_of_a_point():
    shares = apportion(10_000_000, XGEN_7B.data.mixture("stage-1").fractions())
    code = shares.pop("redpajama-github") + shares.pop("apex")
    assert round(sum(shares.values()) / 100_000, 2) == 95.31 and round(code / 100_000, 2) == 4.69


def test_stage_2_of_the_report_is_half_a_second_draw_of_stage_1_and_half_starcoder():
    first, second = (XGEN_7B.data.unfolded().mixture(name) for name in ("stage-1", "stage-2"))
    assert round(first.total, 2) == 1374.52 and round(second.total, 6) == 110 and not first.second_draws
    shares = apportion(110_000_000, second.fractions())
    languages = {name: shares.pop(f"starcoder-{name}") for name in GIGABYTES}
    assert len(languages) == 86 and abs(sum(languages.values()) - 55_000_000) < 86 and min(languages.values()) > 0
    for name, gigabytes in GIGABYTES.items():
        assert abs(languages[name] - 55_000_000 * gigabytes / sum(GIGABYTES.values())) < 1
    assert second.second_draws == set(shares) == set(first.fractions())
    for name, fraction in first.fractions().items():
        assert abs(shares[name] - 55_000_000 * fraction) < 1


def test_the_languages_of_starcoder_weigh_what_its_report_adds_up_to():
    formats, issues, commits, notebooks = 2.0, 54.40, 32.00, 7.12 + 6.00
    assert sum(GIGABYTES.values()) + formats + issues + commits + notebooks == pytest.approx(766.95, abs=0.05)
    percent = {name: round(100 * gigabytes / 766.95, 1) for name, gigabytes in GIGABYTES.items()}
    stated = {"python": 7.9, "java": 11.3, "javascript": 8.4, "php": 7.9, "c": 7.0, "cpp": 6.4, "c-sharp": 5.8}
    assert {name: percent[name] for name in stated} == stated


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.randoms(use_true_random=False))
def test_an_order_depends_on_the_names_and_not_on_the_order_of_reading(names, chance):
    other = names.copy()
    chance.shuffle(other)
    assert [names[index] for index in shuffled(0, "p", names)] == [other[index] for index in shuffled(0, "p", other)]


def test_orders_are_uniform_and_differ_by_seed_and_by_purpose():
    names = [str(number) for number in range(6)]
    orders = [tuple(shuffled(seed, "p", names)) for seed in range(3_600)]
    counts = np.zeros((6, 6))
    for order in orders:
        counts[order, range(6)] += 1
    assert abs(counts / 600 - 1).max() < 0.2  # 5 standard deviations are 0.19
    assert len(set(orders)) > 700  # nearly all of 720
    many = [str(number) for number in range(400)]
    other = np.argsort(shuffled(0, "q", many))
    assert abs(np.corrcoef(np.argsort(shuffled(0, "p", many)), other)[0, 1]) < 0.2


def ids_of(*names):
    return np.array([hashed(str(name).encode()) for name in names], np.uint64).reshape(-1, 2)


def test_orders_of_documents_are_uniform_and_differ_by_seed_purpose_and_both_halves_of_an_id():
    ids, counts = ids_of(*range(6)), np.zeros((6, 6))
    orders = [tuple(in_order(seed, "p", ids)) for seed in range(3_600)]
    for order in orders:
        counts[order, range(6)] += 1
    assert abs(counts / 600 - 1).max() < 0.2  # 5 standard deviations are 0.19
    assert len(set(orders)) > 700  # nearly all of 720
    many = ids_of(*range(400))
    one, other = (np.argsort(in_order(0, purpose, many)) for purpose in ("p", "q"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
    for half in range(2):
        close = np.zeros((1000, 2), np.uint64)
        close[:, half] = np.arange(1000)
        assert abs(np.corrcoef(ranks(0, "p", close).astype(float), np.arange(1000))[0, 1]) < 0.16
        assert len(np.unique(ranks(0, "p", close))) == 1000


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3_000), st.integers(0, 9), st.data())
def test_a_permutation_sends_every_number_to_another_whoever_asks_for_a_part_of_it(size, seed, data):
    whole = permuted(seed, "p", size, np.arange(size))
    assert sorted(whole.tolist()) == list(range(size))
    first = data.draw(st.integers(0, size - 1))
    np.testing.assert_array_equal(permuted(seed, "p", size, np.arange(first, size)), whole[first:])


def test_permutations_are_uniform_and_reach_beyond_32_bits():
    counts = np.zeros((6, 6))
    for seed in range(900):
        counts[permuted(seed, "p", 6, np.arange(6)), range(6)] += 1
    assert abs(counts / 150 - 1).max() < 0.4  # 5 standard deviations are 0.37
    far = permuted(0, "p", 3 << 33, np.arange(2_000))
    assert len(set(far.tolist())) == 2_000 and far.min() >= 0 and far.max() < 3 << 33
    assert abs(far.mean() / (3 << 32) - 1) < 0.07 and far.max() > 1 << 34  # 5 standard errors are 0.065
    assert abs(np.corrcoef(far, np.arange(2_000))[0, 1]) < 0.12


COSTS = st.lists(st.integers(3, 40), min_size=1, max_size=40).map(lambda costs: np.array(costs, np.int64))


@settings(deadline=None, max_examples=300)
@given(COSTS, st.integers(2, 300), st.integers(0, 5))
def test_a_quota_is_met_exactly_by_whole_documents_in_order_and_one_that_is_cut(costs, quota, seed):
    part = np.arange(100, 100 + len(costs))
    got = take("it", part, costs, ids_of(*range(len(costs))), quota, seed)
    assert got.tokens == quota and got.taken.min() >= 2
    assert got.part_tokens == costs.sum() and got.repeats == quota / costs.sum()
    whole = costs[got.documents - 100]
    shortened = np.flatnonzero(got.taken < whole)
    assert len(shortened) == got.cut <= 2  # two only where the quota would leave a separator without a document
    for epoch in range(got.epochs.max() + 1):
        documents = got.documents[got.epochs == epoch]
        assert len(set(documents.tolist())) == len(documents)
        if epoch < got.epochs.max():
            assert sorted(documents) == sorted(part)
    first = got.documents[got.epochs == 0]
    np.testing.assert_array_equal(first, part[: len(first)])


def test_a_second_epoch_has_another_order():
    costs = np.full(20, 5)
    got = take("it", np.arange(20), costs, ids_of(*range(20)), 300, 0)
    assert got.repeats == 3.0 and set(got.epochs.tolist()) == {0, 1, 2}
    assert len({tuple(got.documents[got.epochs == epoch]) for epoch in range(3)}) == 3


@pytest.mark.parametrize(("costs", "quota"), [([5, 5], 1), ([2, 2], 3)])
def test_a_quota_that_would_leave_a_bare_separator_is_refused(costs, quota):
    with pytest.raises(UserError, match=f"wants {quota} tokens of the source 'it'"):
        take("it", np.arange(2), np.array(costs), ids_of("a", "b"), quota, 0)


@settings(deadline=None, max_examples=100)
@given(COSTS, st.lists(st.integers(0, 1000), min_size=1, max_size=5))
def test_stages_share_a_sources_documents_without_gap_or_overlap(costs, wanted):
    takers = sum(tokens > 0 for tokens in wanted)
    assume(takers > 0)
    if len(costs) < takers:
        with pytest.raises(IndexError):
            split(costs, wanted)
        return
    parts = split(costs, wanted)
    assert np.concatenate([np.arange(len(costs))[part] for part in parts]).tolist() == list(range(len(costs)))
    assert [part.stop > part.start for part in parts] == [tokens > 0 for tokens in wanted]


def test_parts_are_in_proportion_to_what_the_stages_want():
    costs = np.full(1000, 7)
    assert [part.stop - part.start for part in split(costs, [400, 200, 0, 100])] == [571, 286, 0, 143]


def test_held_out_documents_are_spread_like_the_first_mixture_and_leave_half_of_the_long_ones():
    keys = {name: ids_of(*(f"{name}{number}" for number in range(100))) for name in ("prose", "code", "unread")}
    long = {name: np.arange(100) < (20 if name == "prose" else 80) for name in keys}
    chosen = choose_held_out(0, keys, long, 8, {"prose": 0.75, "code": 0.25})
    assert {name: len(indices) for name, indices in chosen.items()} == {"prose": 6, "code": 2, "unread": 0}
    chosen = choose_held_out(0, keys, long, 24, {"prose": 0.75, "code": 0.25})
    assert {name: len(indices) for name, indices in chosen.items()} == {"prose": 10, "code": 14, "unread": 0}
    assert all(long[name][indices].all() for name, indices in chosen.items())
    with pytest.raises(UserError, match=r"50 documents are long enough.*expected 51"):
        choose_held_out(0, keys, long, 51, {"prose": 0.75, "code": 0.25})


def config(**changes):
    plain = DataConfig(
        (Source("a", "files", "x", "MIT", 0),),
        (Mixture("m", (Share("a", 1.0),)),),
        min_document_tokens=1,
        held_out_documents=0,
        near_duplicate_share=0.5,
    )
    return dataclasses.replace(plain, **changes)


nothing_near = Comparisons(lambda alive: np.full(sum(map(len, alive.values())), -1), lambda held_out: {})


def test_max_tokens_takes_whole_documents_in_the_order_of_the_shuffle():
    store = store_of("a", {str(number): [number] * 10 for number in range(30)})
    capped = config(sources=(Source("a", "files", "x", "MIT", 95),))
    choice = choose({"a": store}, capped, [Quota("s", {"a": 50})], {"a": 1.0}, 5, 0, nothing_near)
    assert np.count_nonzero(choice.fates["a"] == FATES.index("kept")) == 10
    all_of_it = choose({"a": store}, config(), [Quota("s", {"a": 50})], {"a": 1.0}, 5, 0, nothing_near)
    np.testing.assert_array_equal(choice.slices[0][0].documents, all_of_it.slices[0][0].documents)


def test_a_source_with_nothing_left_for_a_stage_is_one_sentence_with_the_numbers():
    store = store_of("a", {"x": [1] * 10, "y": [2] * 10})
    with pytest.raises(UserError, match=r"2 documents for 3 stages .*\(22 tokens where 27 are wanted\)"):
        choose(
            {"a": store}, config(), [Quota(str(stage), {"a": 9}) for stage in range(3)], {"a": 1.0}, 5, 0, nothing_near
        )


def test_a_stage_that_draws_again_reads_from_all_documents_and_leaves_the_others_their_parts():
    store = store_of("a", {str(number): [number] * 9 for number in range(40)})
    once = [Quota("1", {"a": 200}), Quota("2", {"a": 200})]
    alone = choose({"a": store}, config(), once, {"a": 1.0}, 5, 0, nothing_near)
    both = choose(
        {"a": store}, config(), [*once, Quota("3", {"a": 300}, frozenset("a"))], {"a": 1.0}, 5, 0, nothing_near
    )
    for stage in range(2):
        np.testing.assert_array_equal(both.slices[stage][0].documents, alone.slices[stage][0].documents)
    again = both.slices[2][0]
    assert (again.draw, again.tokens, again.part_documents) == ("again", 300, 40)
    parts = [set(both.slices[stage][0].documents.tolist()) for stage in range(2)]
    assert len(set(again.documents.tolist())) == 30 and all(set(again.documents.tolist()) & part for part in parts)
    assert again.documents.tolist() != sorted(again.documents.tolist())


def test_a_source_that_may_not_repeat_refuses_a_quota_that_it_cannot_fill_with_the_numbers():
    store = store_of("a", {str(number): [number] * 9 for number in range(10)})
    strict = config(sources=(Source("a", "files", "x", "MIT", 0, when_short="refuse"),))
    assert (
        choose({"a": store}, strict, [Quota("s", {"a": 100})], {"a": 1.0}, 5, 0, nothing_near).slices[0][0].repeats
        == 1.0
    )
    with pytest.raises(UserError, match=r"stage s wants 101 tokens of the source 'a'.* 100 in 10 documents"):
        choose({"a": store}, strict, [Quota("s", {"a": 101})], {"a": 1.0}, 5, 0, nothing_near)
    with pytest.raises(UserError, match=r"whose documents have 100"):
        choose({"a": store}, strict, [Quota("s", {"a": 101}, frozenset("a"))], {"a": 1.0}, 5, 0, nothing_near)
