"""Each published layout, on objects as its authors write them: who said what, and what is left out and counted."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from xgen.sources.intake import Intake
from xgen.tune.config import InstructionSet
from xgen.tune.datasets import read_set
from xgen.tune.layouts import LAYOUTS

SHARED = Path(__file__).parents[3] / "shared" / "evaldata"


def read(path: Path, layout: str, ask: str = "") -> tuple[list[list[str]], dict[str, int]]:
    """Give the texts of each conversation in turn, and what was left out."""
    intake = Intake("set", strict=False)
    config = InstructionSet("set", layout, str(path), "MIT", ask=ask)
    found = list(read_set(config, [], 0, intake))
    assert len({each.key for each in found}) == len(found)
    return [[*filter(None, [each.system]), *(said.text for said in each.messages)] for each in found], dict(
        intake.skipped
    )


def of(folder: Path, layout: str, *rows: Any, ask: str = "") -> tuple[list[list[str]], dict[str, int]]:
    path = folder / "set.json"
    path.write_text(json.dumps(rows))
    return read(path, layout, ask)


def said(*turns: str) -> list[dict[str, str]]:
    return [{"from": turn.partition(":")[0], "value": turn.partition(":")[2]} for turn in turns]


def test_sharegpt_and_what_splitting_left_of_it(tmp_path: Path) -> None:
    rows = [
        {"id": "a_0", "conversations": said("human: Hi.", "gpt:Hello. \n", "human:b", "gpt:c")},
        {"id": "a_1", "conversations": said("gpt:lost", "human:q", "gpt:r", "human:open")},
        {"id": "a_2", "conversations": said("gpt:alone")},
        {"id": "a_3", "conversations": []},
        {"id": "a_4", "conversations": said("human:a", "human:b", "gpt:c")},
        {"id": "a_5", "conversations": said("system:Be brief.", "user:a", "chatgpt:b")},
        {"id": "a_6", "conversations": said("human:a", "gpt: ")},
        {"id": "a_7", "conversations": [{"from": "human"}]},
        {"id": "a_8", "conversations": said("human:a", "oracle:b")},
    ]
    found, skipped = of(tmp_path, "sharegpt", *rows)
    assert found == [["Hi.", "Hello.", "b", "c"], ["q", "r"], ["Be brief.", "a", "b"]]
    assert skipped == {
        "a response before the first question": 1,
        "a last question without a response": 1,
        "no human turn": 2,
        "roles that do not alternate": 1,
        "an empty response": 1,
        "a message without text": 1,
        "the role 'oracle'": 1,
    }


def test_wizardlm_in_both_of_its_forms(tmp_path: Path) -> None:
    rows = [
        {"idx": "x", "conversations": said("human:a", "gpt:b")},
        {"instruction": "c", "output": "d"},
        {"instruction": "c"},
    ]
    assert of(tmp_path, "evol_instruct", *rows) == ([["a", "b"], ["c", "d"]], {"no text `output`": 1})


def test_alpaca_and_dolly_put_the_text_after_the_question(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "input": "b", "output": "c"}, {"instruction": "a", "input": "", "response": "c"}]
    assert of(tmp_path, "alpaca", *rows) == ([["a\n\nb", "c"], ["a", "c"]], {})
    rows = [{"instruction": "a", "context": "b\n", "response": "c", "category": "open_qa"}, {"instruction": "a"}]
    assert of(tmp_path, "dolly", *rows) == ([["a\n\nb", "c"]], {"no text `response`": 1})
    words = "Below is an instruction that describes a task. {}\n\n### Instruction:\n{}\n\n### Response:\n"
    rows = [{"prompt": words.format("Do it.", "q\n\nr"), "response": "c"}, {"prompt": "q", "response": "c"}]
    assert of(tmp_path, "dolly_hhrlhf", *rows) == ([["q\n\nr", "c"]], {"no `prompt` in Alpaca's words": 1})


def test_baize_is_text_with_marks(tmp_path: Path) -> None:
    text = "The conversation between human and AI assistant.\n[|Human|] Hi.\n[|AI|] Hello.\n[|Human|] b\n[|AI|] c\n"
    rows = [{"input": text + "[|Human|]"}, {"input": text + "[|Human|] open"}, {"input": "no marks"}]
    found, skipped = of(tmp_path, "baize", *rows)
    assert found == [["Hi.", "Hello.", "b", "c"]] * 2
    assert skipped == {"no turn in `input`": 1, "a last question without a response": 1}


def node(name: str, *replies: dict[str, Any], rank: int | None = None, **more: Any) -> dict[str, Any]:
    """Make a message of a tree; a name with a capital is the assistant's."""
    role = "assistant" if name[0].isupper() else "prompter"
    return {"message_id": name, "text": name, "role": role, "rank": rank, "replies": list(replies)} | more


TREE = node(
    "q",
    node("Worse", node("never", node("Read")), rank=1),
    node(
        "Best",
        node("why", node("Because", rank=None), node("Since", rank=0)),
        node("how", node("So", rank=0)),
        node("open"),
        node("gone", node("Too"), deleted=True),
        rank=0,
    ),
    node("Spam", rank=2, review_result=False),
)
THREADS = [["q", "Best", "why", "Since"], ["q", "Best", "how", "So"]]


def test_a_tree_gives_the_best_reply_to_each_way_that_humans_went_on(tmp_path: Path) -> None:
    rows = [
        {"message_tree_id": "q", "tree_state": "ready_for_export", "prompt": TREE},
        {"prompt": node("w", node("A"), node("B"))},
        {"prompt": node("nobody")},
        {"prompt": node("gone", node("A"), deleted=True)},
        {"prompt": "q"},
        {"prompt": node("q", {"text": "who?"})},
    ]
    found, skipped = of(tmp_path, "oasst_trees", *rows)
    assert found == [*THREADS, ["w", "A"]]
    assert skipped == {
        "a reply ranked below another": 3,
        "a tree without a response": 2,
        "no `prompt` of a tree": 1,
        "a message of a tree without text or role": 1,
    }


def test_loose_messages_give_the_threads_of_their_trees(tmp_path: Path) -> None:
    def flat(one: dict[str, Any], parent: str | None) -> list[dict[str, Any]]:
        own = {key: value for key, value in one.items() if key != "replies"} | {"parent_id": parent}
        own |= {"deleted": one.get("deleted", False), "review_result": one.get("review_result")}
        return [own, *(each for reply in one["replies"] for each in flat(reply, one["message_id"]))]

    rows = flat(TREE, None)
    found, skipped = of(tmp_path, "oasst_messages", *rows, flat(node("Lost"), "no such message")[0])
    assert (found, skipped["a message whose parent is missing"]) == (THREADS, 1)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "train.parquet")
    assert read(tmp_path / "train.parquet", "oasst_messages")[0] == THREADS


def test_scrolls_and_the_question_that_its_summaries_lack(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "pid": "1_0", "input": "Why?\n\nA text.", "output": "So."},
        {"id": "2", "input": "a", "output": None},
    ]
    assert of(tmp_path, "scrolls", *rows) == ([["Why?\n\nA text.", "So."]], {"no text `output`": 1})
    rows = [{"id": "1", "pid": "1_0", "input": "A report.", "output": "It says so."}]
    assert of(tmp_path, "scrolls", *rows, ask="Summarize.")[0] == [["Summarize.\n\nA report.", "It says so."]]


@pytest.mark.parametrize(
    "name, layout, conversations, skipped",
    [
        ("instruct/alpaca_5000.json", "alpaca", 4_998, {"an empty response": 2}),
        ("instruct/dolly_hhrlhf_train_small.jsonl", "dolly_hhrlhf", 1_000, {}),
        ("instruct/dummy_conversation.json", "sharegpt", 500, {}),
        ("qmsum/val.jsonl", "qmsum", 272, {}),
        ("squality/dev.jsonl", "squality", 500, {}),
    ],
)
def test_real_files_are_read_whole(name: str, layout: str, conversations: int, skipped: dict[str, int]) -> None:
    if not (SHARED / name).is_file():
        pytest.skip(f"{SHARED / name} is not there: real data sets are not part of the project")
    found, left_out = read(SHARED / name, layout)
    assert (len(found), left_out) == (conversations, skipped)
    assert all(len(texts) % 2 == 0 and all(texts) for texts in found)


def test_every_layout_is_told_at_the_top_of_its_file() -> None:
    import xgen.tune.layouts as layouts

    lines = (layouts.__doc__ or "").splitlines()
    told = [line.split()[0] for line in lines if line.startswith("    ") and not line.startswith("     ")]
    assert told == list(LAYOUTS)
