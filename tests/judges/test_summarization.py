"""Dialogue summarization: ROUGE of recorded outputs, the layouts that are read, and what is left out or cut."""

import gzip
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("rouge_score", reason="the extra 'eval' is not installed")

import numpy as np
from rouge_score.tokenizers import DefaultTokenizer
from scipy.optimize import linear_sum_assignment

from judges.evaldata import evaldata
from speakers.scripted import scripted
from xgen.core.errors import UserError
from xgen.judges import summarization
from xgen.judges.summarization import Dialogue


def pairs(text: str) -> Counter:
    """Count the pairs of stemmed words in a text, which ROUGE-2 compares."""
    words = DefaultTokenizer(use_stemmer=True).tokenize(text)
    return Counter(itertools.pairwise(words))


def test_the_recorded_summaries_of_ami_give_their_rouge() -> None:
    """The outputs stand in another order than the meetings: the assignment with the most ROUGE-2 pairs them."""
    meetings = summarization.read_dialogues(evaldata("meetings/ami/test"))
    text = evaldata("meetings/dialogled_outputs/AMI_output.txt").read_text(encoding="utf-8")
    outputs = [line for line in text.splitlines() if line.strip()]
    assert len(meetings) == len(outputs) == 20
    ours, theirs = [pairs(each) for each in outputs], [pairs(meeting.summary) for meeting in meetings]
    gain = [[2 * (a & b).total() / (a.total() + b.total()) for b in ours] for a in theirs]
    first, second = linear_sum_assignment(-np.array(gain))
    found = summarization.rouge([outputs[j] for j in second], [meetings[i].summary for i in first])
    stemmed = {measure: round(value, 2) for measure, value in found["stemmed"].items()}
    assert stemmed == {"rouge1": 54.19, "rouge2": 20.60, "rougeL": 25.94, "rougeLsum": 51.56}
    assert all(found["plain"][measure] < found["stemmed"][measure] for measure in summarization.MEASURES)


def test_the_test_meetings_of_ami_are_read_and_measured_in_tokens(tmp_path: Path) -> None:
    model = scripted(lambda _: "They talk.", tmp_path)
    meetings = summarization.read_dialogues(evaldata("meetings/ami/test"))
    rows, scores = summarization.summarize("AMI", meetings, model)
    assert scores["summaries"] + scores["left_out"] == 20 and scores["left_out"] > 0
    assert 4_000 < scores["mean_source_tokens"] < 6_500, "the report: 5,570"
    assert scores["truncated"] == sum(length > 8_192 - 512 - 64 - 17 for length in (r["source_tokens"] for r in rows))
    assert scores["published_source_tokens"] == 5_570
    assert max(row["source_tokens"] for row in rows) < 8_192


def screenplay(folder: Path) -> Path:
    rows = [
        {"filename": "a", "Transcript": ["Ann : hello", "Bob : hi"], "Recap": ["They greet .", "They leave ."]},
        {"filename": "b", "Transcript": "Ann : bye", "Recap": "They part ."},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fd_test.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "splits.json").write_text('[{"source": "elsewhere"}]')
    return folder


def test_both_published_layouts_are_read(tmp_path: Path) -> None:
    found = summarization.read_dialogues(screenplay(tmp_path / "fd"))
    assert found == [
        Dialogue("a", "Ann : hello\nBob : hi", "They greet .\nThey leave ."), Dialogue("b", "Ann : bye", "They part .")
    ]  # fmt: skip
    meeting = {"id": "m", "meeting": [{"role": "PM", "utt": {"word": ["Well", "."]}}], "summary": ["It ends."]}
    (tmp_path / "ami").mkdir()
    with gzip.open(tmp_path / "ami" / "split_0.jsonl.gz", "wt") as file:
        file.write(json.dumps(meeting))
    assert summarization.read_dialogues(tmp_path / "ami") == [Dialogue("m", "PM: Well .", "It ends.")]


def test_what_is_cut_for_a_short_model_is_counted_and_its_beginning_kept(tmp_path: Path) -> None:
    model = scripted(lambda _: "Nothing.", tmp_path)
    model.speaker.context_length = 600
    long = Dialogue("long", "\n".join(f"Ann: line {i}" for i in range(400)), "They count.")
    rows, scores = summarization.summarize("FD", [Dialogue("short", "Ann: hi", "They greet."), long], model)
    assert (scores["truncated"], scores["left_out"], scores["failed"]) == (1, 0, 0)
    short, cut = model.speaker.asked
    assert short.turns[0] == summarization.PROMPT.replace("{dialogue}", "Ann: hi")
    assert cut.max_tokens == 150, "a quarter of the context"
    assert "Ann: line 0\n" in cut.turns[0] and "Ann: line 399" not in cut.turns[0]
    assert cut.turns[0].endswith("Write a summary of this dialogue.")
    assert len(model.speaker.encode(cut.turns[0])) + cut.max_tokens + 60 <= 600, "joined pieces may cost a token more"
    kept = rows[1]["summary"], rows[1]["cut_tokens"]
    assert kept[0] == "Nothing." and kept[1] > 0


def test_a_summary_is_scored_by_words_pairs_of_words_and_order() -> None:
    perfect = summarization.rouge(["One is here. Two are there."], ["One is here.\nTwo are there."])
    assert all(value == pytest.approx(100) for value in perfect["plain"].values())
    swapped = summarization.rouge(["Two are there. One is here."], ["One is here.\nTwo are there."])["plain"]
    assert swapped["rouge1"] == swapped["rougeLsum"] == pytest.approx(100)
    assert swapped["rougeL"] == pytest.approx(50)
    stems = summarization.rouge(["walking dogs"], ["walked dog"])
    assert (stems["stemmed"]["rouge1"], stems["plain"]["rouge1"]) == (pytest.approx(100), 0)


def test_what_is_no_dialogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no"):
        summarization.read_dialogues(tmp_path / "missing")
    with pytest.raises(UserError, match=r"holds no dialogues"):
        summarization.read_dialogues(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"Transcript": ["a"]}\n')
    with pytest.raises(UserError, match=r"row 1 of .* lacks 'Recap'"):
        summarization.read_dialogues(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"Transcript": \n')
    with pytest.raises(UserError, match=r"line 1 of .* is not valid JSON"):
        summarization.read_dialogues(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(UserError, match=r"cannot be read"):
        summarization.read_dialogues(tmp_path)
    long = Dialogue("long", "word " * 9_000, "s")
    with pytest.raises(UserError, match=r"all 1 dialogues of TMS are longer than 8,192 tokens"):
        summarization.summarize("TMS", [long], scripted(lambda _: "", tmp_path))
