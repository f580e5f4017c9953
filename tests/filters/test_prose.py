"""Prose that people wrote stays; lists, tables, code, cut and repeated text go, each for its reason."""

import pytest

from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.prose import REPEATED_LIMITS, boilerplate_filter, quality_filter, repetition_filter
from xgen.filters.verdict import Drop

PROSE = (
    "The harbor was built in three stages, and every stage was begun before the one before it had been paid for.\n"
    "Old maps show a narrow channel between two banks of gravel, wide enough for a boat with a shallow keel.\n\n"
    "When the first crane arrived, nobody in the town knew how to run it. A clockmaker offered to learn; he had\n"
    "steady hands, he said, and disliked clocks. By the end of the summer he had unloaded forty ships, and the\n"
    "council, which had laughed at him, voted to give him a house with a view of the water."
)
JAPANESE = "港は三つの段階に分けて造られた。どの段階も、前の工事の支払いが終わらないうちに始まった。" * 1 + (
    "古い地図には、二つの砂利の岸の間に狭い水路が描かれている。浅い船なら通れるほどの幅だった。"
    "最初のクレーンが届いたとき、町には動かし方を知る者がいなかった。時計職人が学びたいと申し出た。"
)


def document(text: str, language: str = "") -> Document:
    return Document("it", "1", text, "CC0-1.0", language)


@pytest.mark.parametrize("maker", [quality_filter, repetition_filter, boilerplate_filter])
@pytest.mark.parametrize("text", [PROSE, JAPANESE], ids=["English", "Japanese"])
def test_prose_stays_as_it_is(maker, text):
    assert maker(FilterConfig())(document(text)) == document(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Too short to be of use.", "under 50 or over 100,000 words"),
        ("a bc " * 60, "words of odd length"),
        ("internationalization " * 60, "words of odd length"),
        (PROSE.replace(" the ", " # # the "), "symbols instead of words"),
        ("total 1042 3.55 8123 " * 30, "words without letters"),
        ("- a point that is made here\n" * 20, "nothing but a list"),
        ("a line that breaks off in the mid...\nanother line of ordinary words\n" * 10, "lines that are cut"),
        ("if (value of other) {return other;\nfor (each of them) {call each\n" * 10, "program code among prose"),
    ],
)
def test_a_rule_on_the_whole_text_names_itself(text, reason):
    assert quality_filter(FilterConfig())(document(text)) == Drop(reason)


def test_stop_words_are_asked_for_only_of_text_that_is_said_to_be_english():
    text = "Hafen Kran Schiff Karte Turm Uhr Haus Ufer Boot Wasser " * 6
    assert quality_filter(FilterConfig())(document(text, "de")) == document(text, "de")
    assert quality_filter(FilterConfig())(document(text, "en")) == Drop("no English sentence")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE + "\nRead more about harbors." * 4, "repeated lines"),
        (PROSE + " buy a crane" * 30, "one phrase again and again"),
        (PROSE + " " + " ".join(PROSE.split()[20:60]), "repeated phrases"),
    ],
)
def test_repetition_is_dropped_by_what_is_repeated(text, reason):
    assert repetition_filter(FilterConfig())(document(text)) == Drop(reason)


def test_the_share_of_repeated_phrases_is_that_of_the_definition():
    """The same share counted slowly, character by character, decides the same."""
    words = PROSE.split()
    for copied in range(2, 40):
        text = " ".join([*words, *words[10 : 10 + copied]])
        assert isinstance(repetition_filter(FilterConfig())(document(text)), Drop) == _slowly(text.lower().split())


def _slowly(words: list[str]) -> bool:
    def share(size: int) -> float:
        seen, covered = set(), set()
        for start in range(len(words) - size + 1):
            run = tuple(words[start : start + size])
            covered |= set(range(start, start + size)) if run in seen else set()
            seen.add(run)
        return sum(len(words[at]) for at in covered) / sum(map(len, words))

    return any(share(size) > limit for size, limit in REPEATED_LIMITS.items())


def test_lines_about_cookies_are_taken_out_and_the_rest_stays():
    judge = boilerplate_filter(FilterConfig())
    dirty = "This site uses cookies. Accept?\n" + PROSE + "\nPlease enable JavaScript.\nTerms of Use | Privacy Policy"
    assert judge(document(dirty)) == document(PROSE + "\n")
    assert judge(document("Lorem ipsum dolor sit amet")) == Drop("filler text")
    assert judge(document("Our cookie policy")) == Drop("nothing but boilerplate")
