"""Tuning data pass the filters that documents pass, as whole conversations, and what goes is counted by reason."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import sentence
from xgen.core.types import Conversation, Document, Message
from xgen.filters.catalog import Screen
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop
from xgen.tune.screening import screening

PROSE = "We walked along the river, and the water that had been low for weeks was now up to the stones. "
QUESTION = "Which of these towns stands on a river that freezes for more than three months"
ANSWER = "of the year? The one in the north."


def conversation(*texts, system=""):
    turns = [Message(("human", "assistant")[turn % 2], text) for turn, text in enumerate(texts)]
    return Conversation("set", "1", tuple(turns), system)


def judge(said, *names, licence="MIT", **values):
    screen = Screen(names, FilterConfig(**values))
    return screening(screen, licence)(said), screen.effects


texts = st.text(st.sampled_from("a \n\r\t\x1e\ue000\ue001.é"), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(st.lists(texts, min_size=1, max_size=5), texts | st.just(""))
def test_what_no_filter_changes_comes_back_as_it_was(said, system):
    before = conversation(*said, system=system)
    assert judge(before, "secrets", "pii")[0] == before


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["Ask ann@example.org.", "me\n", "\n+49 30 901820 ", "8.8.8.8", "no"]), min_size=1))
def test_each_message_is_masked_as_it_would_be_as_a_document(said):
    screen = Screen(["pii"], FilterConfig())
    alone = [screen(Document("set", "1", text, "MIT")) for text in said]
    assert not any(isinstance(each, Drop) for each in alone)
    masked, _ = judge(conversation(*said, system=said[0]), "pii")
    assert isinstance(masked, Conversation)
    assert [message.text for message in masked.messages] == [each.text for each in alone]
    assert masked.system == alone[0].text
    assert [message.role for message in masked.messages] == [message.role for message in conversation(*said).messages]


def test_a_rule_sees_the_conversation_as_one_text():
    short, long = "Where were you?", PROSE * 3
    assert judge(conversation(short, long), "quality")[0] == conversation(short, long)
    assert judge(conversation(short, "At home."), "quality")[0] == Drop("under 50 or over 100,000 words")


def test_a_question_and_its_answer_are_one_run_of_an_evaluation(tmp_path):
    (tmp_path / "it.txt").write_text(f"{QUESTION} {ANSWER}", encoding="utf-8")
    values = {"evaluations": str(tmp_path)}
    halves = QUESTION.rpartition(" that ")
    assert judge(conversation(halves[0], f"that {halves[2]} {ANSWER}"), "decontamination", **values)[0] == Drop(
        "shared with an evaluation"
    )
    assert isinstance(judge(conversation(halves[0], sentence(1, 40)), "decontamination", **values)[0], Conversation)


def test_the_last_line_of_a_message_may_go_and_a_message_may_not():
    cookies = "We use cookies."
    for said in (f"An answer.\n{cookies}", f"{cookies}\nAn answer."):
        kept, _ = judge(conversation("Hello?", said, "And then?", said), "boilerplate")
        assert isinstance(kept, Conversation)
        assert [message.text.strip() for message in kept.messages] == [
            "Hello?",
            "An answer.",
            "And then?",
            "An answer.",
        ]
    assert judge(conversation(cookies, "An answer."), "boilerplate")[0] == Drop("nothing left of a message")
    assert judge(conversation("Hello?", cookies), "boilerplate")[0] == Drop("nothing left of a message")


def test_the_licence_of_the_set_is_judged():
    said = conversation("Hello?", "Yes.")
    assert judge(said, "licence")[0] == said
    assert judge(said, "licence", licence="GPL-3.0-only")[0] == Drop("a licence that is not on the list")
    assert judge(said, "licence", licence="not stated")[0] == Drop("a licence that is no SPDX expression")


def test_the_effect_of_each_filter_is_counted_in_conversations():
    screen = Screen(["pii", "quality"], FilterConfig())
    judged = screening(screen, "MIT")
    found = [
        judged(conversation("Hello?", text))
        for text in (PROSE * 3, "Yes.", "Ask ann@example.org.", "Extraordinarily " * 60)
    ]
    reasons = Counter(each.reason for each in found if isinstance(each, Drop))
    assert reasons == {"under 50 or over 100,000 words": 2, "words of odd length": 1}
    assert screen.effects == {
        "pii": {"seen": 4, "dropped": 0, "changed": 1},
        "quality": {"seen": 4, "dropped": 3, "changed": 0},
    }
