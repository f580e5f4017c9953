"""Reading conversations: what is one, what is dropped and why, and the order."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from xgen.core.errors import UserError
from xgen.core.types import Conversation, Document, Message
from xgen.sources.intake import Intake
from xgen.tune.datasets import DATASETS, dataset_named, messages, tasks_from_source


def say(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


GOOD = say(("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), ("human", "Bye."), ("assistant", "Bye."))
BAD = {
    "broken JSON": '{"messages": [',
    "no list `messages`": [{"text": "a"}, {"messages": "a"}, [1], 3, {"messages": None}],
    "a message without text": [{"messages": [{"role": "user"}]}, {"messages": ["a"]}, say(("user", 3))],  # type: ignore[arg-type]
    "the role 'tool'": say(("tool", "a"), ("assistant", "b")),
    "no human turn": [say(("assistant", "a")), {"messages": []}, say(("system", "a"))],
    "roles that do not alternate": [
        say(("user", "a"), ("user", "b"), ("assistant", "c")),
        say(("assistant", "a"), ("user", "b"), ("assistant", "c")),
        say(("user", "a"), ("system", "b"), ("assistant", "c")),
    ],
    "no last response": [say(("user", "a")), say(("user", "a"), ("assistant", "b"), ("user", "c"))],
    "an empty message": [say(("user", "a"), ("assistant", " \n")), say(("user", ""), ("assistant", "b"))],
}


def write(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(pack(text))
    return path


def read(path: Path, *, strict: bool = False, seed: int = 0) -> tuple[list[Conversation], Intake]:
    intake = Intake("chats", strict)
    return list(messages([], str(path), seed, intake)), intake


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_good_line_is_a_conversation(tmp_path: Path, name: str) -> None:
    (found,), intake = read(write(tmp_path / name, GOOD))
    assert found == Conversation(
        "chats",
        f"{name}:1",
        (
            Message("human", "Hi."),
            Message("assistant", "Hello."),
            Message("human", "Bye."),
            Message("assistant", "Bye."),
        ),
        system="Be brief.",
    )
    assert not intake.skipped


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_conversation_is_counted_with_its_line(tmp_path: Path, reason: str) -> None:
    rows = BAD[reason] if isinstance(BAD[reason], list) else [BAD[reason]]
    path = write(tmp_path / "a.jsonl", GOOD, *rows, GOOD)
    found, intake = read(path)
    assert len(found) == 2
    assert intake.skipped == {reason: len(rows)}
    assert f"{path}, line 2" in intake.examples[0]
    with pytest.raises(UserError, match="line 2"):
        read(path, strict=True)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_that_was_cut_short_is_told(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, *[GOOD] * 50)
    path.write_bytes(path.read_bytes()[:-12])
    assert read(path)[1].skipped == {"a damaged file": 1}
    with pytest.raises(UserError, match="a whole file"):
        read(path, strict=True)


def test_a_location_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for location in (tmp_path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(UserError, match=r"instruct\.location"):
            read(location)


def test_conversations_come_in_the_order_of_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *[say(("user", str(i)), ("assistant", "b")) for i in range(40)])
    orders = [[each.messages[0].text for each in read(path, seed=seed)[0]] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=int) == sorted(orders[2], key=int) == [str(i) for i in range(40)] != orders[0]


def test_tasks_do_not_depend_on_the_order_of_documents() -> None:
    code = "def {}(x):\n    '''Give it back twice.'''\n    y = 2 * x\n    return y\n"
    documents = [Document("code", f"{i}.py", code.format(f"f{i}"), "MIT") for i in range(9)]
    intake = Intake("code", strict=False)
    found = list(tasks_from_source(documents, "", 0, intake))
    assert found == list(tasks_from_source(reversed(documents), "", 0, intake))
    assert {each.key for each in found} == {f"{i}.py:f{i}:0" for i in range(9)}
    other = list(tasks_from_source(documents, "", 1, intake))
    assert [each.key for each in other] != [each.key for each in found]


def test_an_unknown_dataset_is_named_with_the_nearest() -> None:
    assert dataset_named("messages") is DATASETS["messages"]
    with pytest.raises(UserError, match="Did you mean 'messages'"):
        dataset_named("message")
