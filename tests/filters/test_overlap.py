"""Documents that hold an evaluation go, however it is written; documents full of listed words go."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from contracts.tree import ROOT
from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.overlap import decontamination_filter, toxicity_filter
from xgen.filters.verdict import Drop

QUESTION = "Which of these towns stands on a river that freezes for more than three months of the year?"
OTHER = "Which of these towns stands on a river that never freezes, and has done so for a hundred years?"
SHARED = Drop("shared with an evaluation")
EVALDATA = ROOT.parent / "shared" / "evaldata"


def document(text: str) -> Document:
    return Document("it", "1", text, "CC0-1.0")


WRITTEN = {
    "a.json": lambda text: json.dumps({"tasks": [{"question": text, "answer": 3}]}).encode(),
    "a.jsonl": lambda text: b'{"id": 1}\n\n' + json.dumps({"q": text}).encode() + b"\n",
    "a.csv": lambda text: f'question,A,B\n"{text}",one,two\n'.encode(),
    "a.txt": lambda text: text.encode(),
    "a.jsonl.gz": lambda text: gzip.compress(json.dumps([text]).encode()),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_an_evaluation_is_found_in_every_kind_of_file_and_in_any_form(tmp_path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_bytes(WRITTEN[name](QUESTION))
    judge = decontamination_filter(FilterConfig(evaluations=str(tmp_path)))
    assert judge(document(f"A quiz.\n\n{QUESTION.upper().replace(' ', '  ')} Answer below.")) == SHARED
    words = QUESTION.split()
    assert judge(document(" ".join(words[2:15]))) == SHARED
    assert judge(document(" ".join(words[2:14]))) == document(" ".join(words[2:14]))
    assert judge(document(OTHER)) == document(OTHER)


def test_evaluations_that_are_not_there_or_broken_are_refused(tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    for location in ("", str(tmp_path / "missing"), str(tmp_path)):
        with pytest.raises(UserError, match="no run of 13 words"):
            decontamination_filter(FilterConfig(evaluations=location))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match=r"broken\.json cannot be read"):
        decontamination_filter(FilterConfig(evaluations=str(tmp_path)))


@pytest.mark.skipif(not EVALDATA.is_dir(), reason="needs the folder of evaluation data beside the checkout")
def test_real_questions_are_found_in_documents_and_other_text_is_not():
    folder = EVALDATA / "mmlu"
    judge = decontamination_filter(FilterConfig(evaluations=str(folder)))
    path = next(path for path in sorted(folder.rglob("*.csv")) if "test" in str(path))
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True)))[1:41]
    long = [" ".join(row) for row in rows if sum(len(cell.split()) for cell in row) >= 20]
    assert long and all(judge(document(f"Notes. {text} More.")) == SHARED for text in long)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert judge(document(page)) == document(page)


def test_listed_words_and_phrases_are_counted_against_the_length(tmp_path: Path):
    (tmp_path / "words.txt").write_text("Blorf\nvery grumpy gnome\n\n", encoding="utf-8")
    judge = toxicity_filter(FilterConfig(word_list=str(tmp_path / "words.txt"), listed_share=0.02))
    clean = "an ordinary sentence about a gnome " * 20
    assert judge(document(clean)) == document(clean)
    assert judge(document(clean + "blorf")) == document(clean + "blorf")
    assert judge(document(clean + "BLORF, very  grumpy gnome! blorf")) == Drop("too many listed words")
    assert judge(document("blorfing")) == document("blorfing")


def test_toxicity_without_a_list_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    for location in ("", str(tmp_path), str(tmp_path / "empty.txt")):
        with pytest.raises(UserError):
            toxicity_filter(FilterConfig(word_list=location))
