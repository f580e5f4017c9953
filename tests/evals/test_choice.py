"""Contexts and continuations are encoded as one text, and scored by the two accuracies of lm-eval."""

import dataclasses

import numpy as np
import pytest

from evals.candidates import noise
from xgen.core.errors import UserError
from xgen.evals.catalog import TASKS, tasks_named
from xgen.evals.choice import Question, accuracies, encode_pair
from xgen.evals.files import read, rows_of
from xgen.evals.suite import arc_challenge, boolq, hellaswag, openbookqa, piqa, truthfulqa, winogrande
from xgen.evals.task import Settings
from xgen.tokenizer.encoding import ReleasedTokenizer

RELEASED = dataclasses.replace(noise(), tokenizer=ReleasedTokenizer())


@pytest.mark.parametrize(
    ("context", "continuation", "start", "end"),
    [
        ("Answer:", " yes", "Answer:", " yes"),
        ("Answer: ", "yes", "Answer:", " yes"),
        ("Answer:\n\n", "yes", "Answer:", "\n\nyes"),
        ("see f", "(1)", "see f", "(1)"),
    ],
)
def test_spaces_that_end_a_context_begin_the_continuation(context, continuation, start, end):
    ids = RELEASED.tokenizer
    assert encode_pair(RELEASED, context, continuation) == (ids.encode(start), ids.encode(end))
    assert ids.encode(start + end) == ids.encode(start) + ids.encode(end)


@pytest.mark.parametrize("context", ["", "  "])
def test_no_context_is_the_end_of_a_text_before_it(context):
    assert encode_pair(RELEASED, context, "yes") == ([50_256], ReleasedTokenizer().encode(context + "yes"))


def test_acc_norm_counts_characters_and_equals_take_the_first():
    question = Question("q", (("?", " ab"), ("?", " abcd"), ("?", " é")), 1, ("ab", "abcd", "é"))
    assert accuracies(question, [-4.0, -6.0, -9.0])[0] == {"acc": 0.0, "acc_norm": 1.0}
    assert accuracies(dataclasses.replace(question, gold=0), [-4.0, -8.0, -4.0])[0] == {"acc": 1.0, "acc_norm": 1.0}


def test_mc2_of_likelihoods_that_underflow_is_their_ratio():
    targets = {"choices": ["a", "b", "c"], "labels": [1, 0, 0]}
    question = truthfulqa.question(
        {"question": "Why?", "mc1_targets": targets, "mc2_targets": targets | {"labels": [1, 1, 0]}}
    )
    logprobs = [-3.0, -2.0, -1.0, -5_000.0, -5_000.0 + np.log(2), -5_000.0]
    scores, chance = truthfulqa.judge(question, logprobs)
    assert scores == {"mc1": 0.0, "mc2": pytest.approx(0.75)}
    assert chance == {"mc1": pytest.approx(1 / 3), "mc2": pytest.approx(2 / 3)}


def test_rows_of_the_hub_and_of_the_authors_files_are_one_question():
    stem, texts, labels = "Why?", ["a", "b"], ["A", "B"]
    choices = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    original = {"id": "1", "question": {"stem": stem, "choices": choices}, "answerKey": "B"}
    listed = {"id": "1", "choices": {"text": texts, "label": labels}, "answerKey": "B"}
    assert arc_challenge.question(original) == arc_challenge.question(listed | {"question": stem})
    assert openbookqa.question(original) == openbookqa.question(listed | {"question_stem": stem})
    row = {"question": "is it", "passage": "It is."}
    titled = boolq.question(row | {"title": "It", "answer": True})
    assert titled.pairs[1] == ("It -- It is.\nQuestion: is it?\nAnswer:", " yes") and titled.gold == 1
    assert boolq.question(row | {"label": 0}).pairs[0] == ("It is.\nQuestion: is it?\nAnswer:", " no")
    lists = {"choices": texts, "labels": [1, 0]}
    dicts = {"question": "q", "mc1_targets": {"a": 1, "b": 0}, "mc2_targets": {"a": 1, "b": 0}}
    assert truthfulqa.question(dicts) == truthfulqa.question(dicts | {"mc1_targets": lists, "mc2_targets": lists})


def test_brackets_of_the_how_to_pages_go_and_the_second_half_begins_like_a_sentence():
    row = {"ind": 4, "activity_label": "Baking", "ctx_a": "[header] How [title] Mix.  Stir.", "ctx_b": "the DOUGH",
           "endings": ["rises [substeps] well."], "label": "0"}  # fmt: skip
    assert hellaswag.question(row).pairs == (("Baking: How. Mix. Stir. The dough", " rises well."),)


def test_a_blank_is_filled_by_either_name_and_its_rest_is_scored():
    row = {
        "sentence": "The cup broke the plate as _ was hard.",
        "option1": "the cup",
        "option2": "the plate",
        "answer": "1",
    }
    question = winogrande.question(row)
    assert question.pairs == (
        ("The cup broke the plate as the cup", " was hard."),
        ("The cup broke the plate as the plate", " was hard."),
    )
    assert question.gold == 0


def test_labels_of_piqa_come_from_their_own_file(tmp_path):
    folder = tmp_path / "piqa"
    folder.mkdir()
    (folder / "valid.jsonl").write_text('{"goal": "g", "sol1": "x", "sol2": "y"}\n' * 2)
    (folder / "valid-labels.lst").write_text("1\n0\n")
    assert [one.gold for one in piqa.TASKS[0].load(Settings(data=tmp_path)).items] == [1, 0]
    (folder / "valid-labels.lst").write_text("1\n")
    with pytest.raises(UserError, match="1 labels for 2 questions"):
        piqa.TASKS[0].load(Settings(data=tmp_path))


def test_a_missing_file_a_damaged_one_and_a_missing_field_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no file below .* ARC-Challenge-Test.jsonl"):
        read(arc_challenge.DATA, tmp_path)
    (tmp_path / "ARC-Challenge-Test.jsonl").write_text('{"id": "1", "question": "Why?"}\n')
    with pytest.raises(UserError, match=r"a row of arc_challenge that cannot be read \(KeyError: 'choices'"):
        TASKS["arc_challenge"].load(Settings(data=tmp_path))
    (tmp_path / "ARC-Challenge-Test.jsonl").write_text('{"id": ')
    with pytest.raises(UserError, match="cannot be read"):
        rows_of(tmp_path / "ARC-Challenge-Test.jsonl")


def test_an_unknown_task_is_answered_with_a_suggestion():
    with pytest.raises(UserError, match=r"there is no task 'helaswag'.*Did you mean 'hellaswag'"):
        tasks_named("mmlu,helaswag")
    assert [task.name for task in tasks_named("piqa, zero_shot,piqa")][:2] == ["piqa", "arc_challenge"]
    assert len(tasks_named("base")) == len(set(tasks_named("base")))
