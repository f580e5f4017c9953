"""Retrieval and perplexity by language: texts fill their share and hide what they ask for where they say."""

import json

import numpy as np
import pytest

from evals.candidates import Bytes, Noise, noise
from xgen.core.errors import UserError
from xgen.core.types import Decoding, Generation
from xgen.evals.long import retrieval
from xgen.evals.long.languages import by_language, read_documents
from xgen.evals.task import Candidate, Settings, scores_of
from xgen.tokenizer.encoding import ReleasedTokenizer

WINDOW = 4_096


class Reader(Noise):
    """Reads the last `sees` tokens of a prompt and answers with every number and variable in them."""

    def __init__(self, sees: int) -> None:
        super().__init__(WINDOW)
        self.sees = sees

    def generate(self, prompts, max_new_tokens, seed, decoding=Decoding()):  # noqa: B008
        found = []
        for prompt in prompts:
            assert len(prompt) + max_new_tokens <= self.context_length
            seen = Bytes().decode(list(prompt)[-self.sees :]).split("\n\nQuestion")[0].replace(".", " ").split()
            words = [word for word in seen if any(map(str.isdigit, word))]
            found.append(Generation(tuple(" ".join(words).encode()), (), "length"))
        return found


def judged(model: Noise) -> list[dict]:
    hunts = list(retrieval.TASK.load(Settings(limit=2)).items)
    return retrieval.answer(Candidate(model, Bytes(), {}), hunts, Settings())


def test_who_reads_everything_finds_everything_and_who_reads_nothing_finds_nothing():
    assert all(score["value"] == 1.0 for score in scores_of(judged(Reader(WINDOW))).values())
    assert all(score["value"] == 0.0 for score in scores_of(judged(Noise(WINDOW))).values())


def test_who_reads_the_last_half_finds_what_is_less_than_half_deep_from_the_end():
    cells = retrieval.summarize(judged(Reader(WINDOW // 2)))["cells"]
    full = {cell["depth"]: cell["found"] for cell in cells if cell["kind"] == "needle" and cell["tokens"] > 3_000}
    assert full[0.0] == full[0.25] == 0.0 and full[0.75] == full[1.0] == 1.0
    assert {cell["found"] for cell in cells if cell["tokens"] < WINDOW // 2} == {1.0}


def test_texts_fill_their_share_of_the_window_and_the_same_seed_writes_the_same():
    for hunt in retrieval.TASK.load(Settings()).items:
        ids, wanted = retrieval.written(hunt, noise(WINDOW), 0)
        room = WINDOW * hunt.share - retrieval.NEW_TOKENS
        assert room - 80 < len(ids) <= room
        text = Bytes().decode(ids)
        body, question = text.split("\n\nQuestion")
        assert all(body.count(each) >= 1 for each in wanted) and not any(each in question for each in wanted)
        if hunt.kind == "needle":
            at = body.index(wanted[0]) / len(body)
            assert abs(at - hunt.depth) < 0.2
    again = [retrieval.written(hunt, noise(WINDOW), 0) for hunt in retrieval.TASK.load(Settings()).items[:9]]
    assert again == [retrieval.written(hunt, noise(WINDOW), 0) for hunt in retrieval.TASK.load(Settings()).items[:9]]
    other = retrieval.written(retrieval.TASK.load(Settings()).items[0], noise(WINDOW), 1)
    assert other != again[0]


def test_a_window_without_room_is_told():
    with pytest.raises(UserError, match="room for what is hidden"):
        retrieval.answer(noise(256), retrieval.TASK.load(Settings()).items[:1], Settings())


class Known(Noise):
    """Costs one nat a token more for each language of the rows."""

    def window(self, rows: np.ndarray) -> np.ndarray:
        return np.full((len(rows), rows.shape[1] - 1), -1.0 - (rows[:, :1] % 2), np.float32)


def test_each_language_is_measured_on_whole_documents_of_the_given_length(tmp_path):
    path = tmp_path / "long.jsonl"
    text = "The tide comes in twice a day, and the harbor wakes with it. " * 8
    rows = [{"text": text, "language": "en"}] * 5 + [{"text": text.upper(), "language": "apex"}] * 4
    rows += [{"text": text, "language": "bg"}] * 3 + [{"text": "short", "language": "en"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    documents = read_documents(path, ReleasedTokenizer(), 64)
    assert {language: own.shape for language, own in documents.items()} == {"apex": (4, 64), "en": (5, 64)}
    assert documents["en"][0].tolist() == ReleasedTokenizer().encode(text)[:64]
    found = by_language(Known(WINDOW), documents, 64)
    assert found["en"]["documents"] == 5 and found["en"]["overall"]["nll"] in (1.0, 2.0)
    with pytest.raises(UserError, match="no language with 4 documents of 4,096 tokens"):
        read_documents(path, ReleasedTokenizer(), 4_096)
    path.write_text('{"language": "en"}\n')
    with pytest.raises(UserError, match=r"row 1 of .* has no text"):
        read_documents(path, ReleasedTokenizer(), 64)
