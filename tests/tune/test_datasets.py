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
from xgen.tune.config import InstructionSet
from xgen.tune.datasets import MADE, files_of, read_set


def say(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


GOOD = say(("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), ("human", "Bye."), ("assistant", "Bye."))
BAD = {
    "broken JSON": '{"messages": [',
    "JSON that is not an object": [[1], 3],
    "no list `messages`": [{"text": "a"}, {"messages": "a"}, {"messages": None}],
    "a message without text": [{"messages": [{"role": "user"}]}, {"messages": ["a"]}, say(("user", 3))],  # type: ignore[arg-type]
    "the role 'tool'": say(("tool", "a"), ("assistant", "b")),
    "no human turn": [say(("assistant", "a")), {"messages": []}, say(("system", "a"))],
    "roles that do not alternate": [
        say(("user", "a"), ("user", "b"), ("assistant", "c")),
        say(("assistant", "a"), ("user", "b"), ("assistant", "c")),
        say(("user", "a"), ("system", "b"), ("assistant", "c")),
    ],
    "no last response": [say(("user", "a")), say(("user", "a"), ("assistant", "b"), ("user", "c"))],
    "an empty response": say(("user", "a"), ("assistant", " \n")),
    "an empty message": say(("user", ""), ("assistant", "b")),
}


def write(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(pack(text))
    return path


def chats(location: Path, layout: str = "messages") -> InstructionSet:
    return InstructionSet("chats", layout, str(location), "MIT")


def read(path: Path, *, strict: bool = False, layout: str = "messages") -> tuple[list[Conversation], Intake]:
    intake = Intake("chats", strict)
    return list(read_set(chats(path, layout), [], 0, intake)), intake


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


def test_a_location_without_files_is_refused(tmp_path: Path) -> None:
    for location in (tmp_path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(UserError, match=r"'chats'.*instruct\.datasets"):
            files_of(chats(location))


@pytest.mark.parametrize("layout, named", [("alpaca", "messages"), ("sharegpt", "messages"), ("messages", "alpaca")])
def test_a_file_of_another_layout_names_the_layout_that_it_has(tmp_path: Path, layout: str, named: str) -> None:
    row = GOOD if named == "messages" else {"instruction": "a", "input": "", "output": "b"}
    path = write(tmp_path / "a.jsonl", row, row)
    with pytest.raises(UserError, match=rf"no object of .*a\.jsonl has the layout '{layout}'.*the layout .*{named}"):
        read(path, layout=layout)


def test_a_folder_is_read_in_the_order_of_its_files_and_what_is_no_json_is_counted(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json"):
        write(tmp_path / name, GOOD)
    (tmp_path / "README.md").write_text("A data set.")
    found, intake = read(tmp_path)
    assert [each.key for each in found] == ["a.json:1", "b.jsonl:1"]
    assert intake.skipped == {"a file that is neither JSON nor Parquet": 1}


def test_tasks_do_not_depend_on_the_order_of_documents() -> None:
    code = "def {}(x):\n    '''Give it back twice.'''\n    y = 2 * x\n    return y\n"
    documents = [Document("code", f"{i}.py", code.format(f"f{i}"), "MIT") for i in range(9)]

    def tasks_from_source(documents, seed):
        made = InstructionSet("tasks", MADE, "", "see each document")
        return list(read_set(made, documents, seed, Intake("code", strict=False)))

    found = tasks_from_source(documents, 0)
    assert found == tasks_from_source(reversed(documents), 0)
    assert {each.key for each in found} == {f"{i}.py:f{i}:0" for i in range(9)}
    other = tasks_from_source(documents, 1)
    assert [each.key for each in other] != [each.key for each in found]


def test_an_unknown_layout_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'messages'"):
        files_of(chats(tmp_path, "message"))
