"""The card and the chat template say what the model was trained on and how it is asked."""

import dataclasses

import pytest

from xgen.core.types import Conversation, Message
from xgen.export.card import Card, SourceTokens, StageResult, render
from xgen.export.chat_template import jinja
from xgen.tokenizer.chat import TEMPLATES, render_prompt
from xgen.tokenizer.chat import render as render_ids

CARD = Card(
    name="xgen-tiny",
    licence="Apache-2.0",
    num_parameters=13_918_336,
    context_length=512,
    tuned_on="",
    template="",
    sources=(SourceTokens("prose", "mixed", 301_000), SourceTokens("code", "PSF-2.0", 111_000)),
    stages=(StageResult("1a", 128, 220_000, 943.256, 900.0, 990.0), StageResult("2", 512, 32_000, 408.0, 390.1, 425.9)),
)
TUNED = dataclasses.replace(CARD, tuned_on="320 conversations", template="report")


def test_the_header_is_what_hubs_read():
    yaml = pytest.importorskip("yaml")
    opening, header, body = render(CARD).split("---\n", 2)
    assert opening == "" and body.startswith("\n# xgen-tiny\n")
    assert yaml.safe_load(header) == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["xgen", "llama", "long-context"],
    }


def test_every_number_that_was_given_is_told():
    text = render(CARD)
    for told in (
        "13,918,336 parameters",
        "context of 512 tokens",
        "| prose | mixed | 301,000 |",
        "| code | PSF-2.0 | 111,000 |",
        "| 1a | 128 | 220,000 | 943.26 (900.00 to 990.00) |",
        "| 2 | 512 | 32,000 | 408.00 (390.10 to 425.90) |",
        "at most 512 tokens",
        "a base model",
    ):
        assert told in text, told


def test_an_imported_instruct_model_is_for_research_only():
    yaml = pytest.importorskip("yaml")
    text = render(dataclasses.replace(CARD, origin="xgen-7b-8k-inst", research_only=True))
    header = yaml.safe_load(text.split("---\n", 2)[1])
    assert (header["license"], header["license_name"]) == ("other", "research-only")
    assert "## For research only" in text and "imported from xgen-7b-8k-inst" in text
    plain = render(CARD)
    assert "research only" not in plain and "imported" not in plain and "license: apache-2.0" in plain


def test_only_a_tuned_model_tells_a_prompt_and_in_the_form_that_it_was_tuned_with():
    assert "Human" not in render(CARD) and "apply_chat_template" not in render(CARD)
    assert "\n### Human: {prompt} ### Assistant: {response}\n" in render(TUNED)
    assert "tuned to follow instructions on 320 conversations" in render(TUNED)
    released = render(dataclasses.replace(TUNED, template="released"))
    assert "questions.\n\n### Human: {prompt}\n### Assistant: {response}\n" in released


def test_the_code_of_the_card_compiles():
    parts = render(TUNED).split("```python\n")[1:]
    assert len(parts) == 2
    for part in parts:
        compile(part.split("```")[0], "card", "exec")


@pytest.fixture(scope="module")
def tokenizer(exported):
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(exported.folder)


TEXTS = (
    "Hi.",
    "  def f(x):\n\n    return x\n",
    "a\tb \n",
    "",
    "## Human: me? # Assistant: no",
    "héllo 🤖 {{ x }}",
    "'\"\\n",
)


@pytest.mark.parity
@pytest.mark.parametrize("system", ["", "Be brief."])
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_chat_template_gives_the_ids_that_the_model_was_tuned_on(tokenizer, template, system):
    form = jinja(TEMPLATES[template])
    theirs = [{"role": "system", "content": system}] if system else []
    ours: list[Message] = []
    for turn, text in enumerate(TEXTS):
        theirs.append({"role": ("user", "assistant")[turn % 2], "content": text})
        ours.append(Message(("human", "assistant")[turn % 2], text))
        conversation = Conversation("test", "0", tuple(ours), system)
        found = tokenizer.apply_chat_template(
            theirs, chat_template=form, add_generation_prompt=turn % 2 == 0, return_dict=False
        )
        if turn % 2 == 0:
            assert found == render_prompt(conversation, template)
        else:
            assert found == [token for piece in render_ids(conversation, template) for token in piece.ids]


@pytest.mark.parity
def test_turns_in_another_order_are_refused(tokenizer):
    for roles in (("assistant",), ("user", "user"), ("user", "system")):
        with pytest.raises(Exception, match="must take turns"):
            tokenizer.apply_chat_template(
                [{"role": role, "content": "x"} for role in roles], chat_template=jinja(TEMPLATES["report"])
            )


@pytest.mark.parity
def test_the_folder_of_a_tuned_model_brings_its_template_along(exported, tmp_path):
    transformers = pytest.importorskip("transformers")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((exported.folder / name).read_bytes())
    (tmp_path / "chat_template.jinja").write_text(jinja(TEMPLATES["report"]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "Hi."}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == "### Human: Hi. ### Assistant:"
