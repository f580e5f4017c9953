"""Long-form QA: the appendix's prompts to the letter, and the way from a document to grades."""

import json
from pathlib import Path

import pytest

from judges.evaldata import EVALDATA, evaldata
from speakers.scripted import scripted
from xgen.core.errors import UserError
from xgen.judges import documents, long_form_qa
from xgen.judges.documents import LongText
from xgen.speakers.asking import Request

REPORT = EVALDATA.parent / "reference" / "technical-report-plain.txt"
GRADES = "Fine.\nCoherence: [[3]]\nRelevance: [[2]]\nAccuracy: [[1]]"
DOCUMENTS = [LongText("Gravity", "physics", "Things fall. " * 20), LongText("Rome", "history", "It fell too. " * 20)]


def writer(request: Request) -> str:
    purpose = request.name.split("/")[-1]
    if purpose == "questions":
        about = "summary" if "a summary of" in request.turns[0] else "passage"
        return f"1. Why, by the {about}?\n2) How?\n3. **When?**\n4. Who?"
    return "a summary of it" if purpose == "summary" else f"the answer to {request.turns[0].split('Question: ')[-1]}"


def test_the_prompts_of_the_appendix_stand_there_to_the_letter() -> None:
    if not REPORT.exists():
        pytest.skip("no copy of the report beside the project")
    text = " ".join(REPORT.read_text(encoding="utf-8").split())
    appendix = text[text.index("A.1 Long form QA") :]
    assert long_form_qa.SUMMARIZE in appendix
    assert appendix.count(long_form_qa.ASK) == 2
    assert "We set a maximum of 512 tokens for generation" in text
    assert long_form_qa.ANSWER_TOKENS == 512
    assert "on a scale of 0-3 for the following dimensions: coherence, relevance, and accuracy" in text


def test_three_questions_of_each_setting_with_their_reference_and_grades(tmp_path: Path) -> None:
    asked = scripted(writer, tmp_path, "writer")
    rows, cut = long_form_qa.write_questions(DOCUMENTS, asked)
    assert cut == 0
    assert [(row["document"], row["setting"], row["rank"]) for row in rows] == [
        (document, setting, rank) for document in (0, 1) for setting in long_form_qa.SETTINGS for rank in (1, 2, 3)
    ]
    assert [row["question"] for row in rows[:6]] == [
        "Why, by the passage?", "How?", "When?", "Why, by the summary?", "How?", "When?",
    ]  # fmt: skip
    assert rows[0]["reference"] == "the answer to Why, by the passage?"
    said = {request.name: request.turns[0] for request in asked.speaker.asked}
    assert said["long_form_qa/0/summary"].startswith(
        "Summarize the paragraphs below in the context of Gravity in physics.\n\nThings fall."
    )
    assert said["long_form_qa/1/QG-passage/questions"].endswith("display only the top 3. " + DOCUMENTS[1].text)
    assert said["long_form_qa/1/QG-summary/questions"].endswith("display only the top 3. a summary of it")
    model = scripted(lambda request: f"I say {len(request.turns[0])}", tmp_path, "model")
    answered, cut = long_form_qa.answer(DOCUMENTS, rows, model)
    assert cut == 0 and {request.max_tokens for request in model.speaker.asked} == {512}
    assert all(DOCUMENTS[row["document"]].text in request.turns[0] and row["question"] in request.turns[0]
               for row, request in zip(rows, model.speaker.asked, strict=True))  # fmt: skip
    judge = scripted(
        lambda request: GRADES if "/QG-passage/" in request.name else GRADES.replace("3", "2"), tmp_path, "j"
    )
    graded = long_form_qa.grade(answered, judge)
    shown = judge.speaker.asked[0].turns[0]
    assert all(part in shown for part in (rows[0]["question"], rows[0]["reference"], answered[0]["answer"]))
    found = long_form_qa.score(graded)
    assert (found["coherence"], found["relevance"], found["accuracy"]) == (2.5, 2.0, 1.0)
    assert found["average"] == pytest.approx(5.5 / 3)
    assert found["by_setting"] == {"QG-passage": 2.0, "QG-summary": pytest.approx(5 / 3)}
    assert (found["judged"], found["judge"], found["prompts"]) == (12, ["j"], "xgen-1")


def test_grades_that_cannot_be_read_are_dropped_and_counted(tmp_path: Path) -> None:
    row = {"document": 0, "setting": "QG-passage", "rank": 1, "question": "q", "reference": "r", "answer": "a"}
    rows = [{**row, "rank": rank} for rank in (1, 2, 3)]
    judge = scripted(lambda request: GRADES if "/2/" in request.name else "great", tmp_path)
    graded = long_form_qa.grade(rows, judge)
    assert [each["judgment"] for each in graded] == ["great", GRADES, "great"]
    found = long_form_qa.score(graded)
    assert (found["judged"], found["not_understood"], found["by_setting"]) == (1, 2, {"QG-passage": 2.0})
    with pytest.raises(UserError, match=r"none of 1 replies has three grades"):
        long_form_qa.score(graded[:1])


@pytest.mark.parametrize(
    ("reply", "grades"),
    [
        (GRADES, (3, 2, 1)),
        ("**Coherence**: [[0]] relevance [[0]] ACCURACY - [[3]]", (0, 0, 3)),
        (GRADES + "\nNo: Coherence: [[1]]", (1, 2, 1)),
        ("Coherence: [[4]]\nRelevance: [[2]]\nAccuracy: [[1]]", None),
        ("Coherence: [[3]]\nRelevance: [[2]]", None),
        ("Coherence: 3\nRelevance: 2\nAccuracy: 1", None),
    ],
)
def test_three_grades_from_0_to_3_are_read(reply: str, grades: tuple[int, ...] | None) -> None:
    found = long_form_qa.grades_of(reply)
    assert (found and tuple(found.values())) == grades


@pytest.mark.parametrize(
    ("reply", "questions"),
    [
        ("Sure:\n1. A?\n2. B?\n\n3. C?\n4. D?", ["A?", "B?", "C?"]),
        ("Question 1: A?\nQ2) B?", ["A?", "B?"]),
        ("- A?\n- B?\nThat was all.", ["A?", "B?"]),
        ("I have none.", []),
    ],
)
def test_the_top_three_are_the_first_numbered_lines(reply: str, questions: list[str]) -> None:
    assert long_form_qa.questions_of(reply) == questions


def test_a_writer_that_asks_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wrote no question about any of 2 documents"):
        long_form_qa.write_questions(DOCUMENTS, scripted(lambda _: "no", tmp_path))


def test_a_folder_of_texts_is_read_by_domain(tmp_path: Path) -> None:
    for domain in ("physics", "history"):
        (tmp_path / domain).mkdir()
        rows = [{"id": str(i), "title": f"{domain} {i}", "text": "words", "url": "u"} for i in range(3)]
        (tmp_path / domain / "wiki.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_notes.md").write_text("a long note")
    (tmp_path / "empty.txt").write_text(" ")
    found = documents.read_documents(tmp_path, limit=2)
    assert [(each.title, each.domain) for each in found] == [
        ("history 0", "history"), ("history 1", "history"), ("my notes", "my_notes"),
        ("physics 0", "physics"), ("physics 1", "physics"),
    ]  # fmt: skip
    (tmp_path / "odd.jsonl").write_text('{"body": "text"}\n')
    with pytest.raises(UserError, match=r"row 1 of .* has no text in a layout that is known"):
        documents.read_documents(tmp_path)
    with pytest.raises(UserError, match=r"holds no long texts"):
        documents.read_documents(tmp_path / "empty.txt")
    with pytest.raises(UserError, match=r"there is no"):
        documents.read_documents(tmp_path / "missing")


def test_real_meetings_and_stories_are_read() -> None:
    meetings = documents.read_documents(evaldata("qmsum/val.jsonl"))
    assert len(meetings) == 35 and all(": " in meeting.text for meeting in meetings)
    stories = documents.read_documents(evaldata("squality/dev.jsonl"))
    assert len(stories) == 25
    assert not any("Proofreading" in story.title or "Produced" in story.title for story in stories)
    assert sum(len(story.text.split()) for story in stories) / 25 > 4_000
