"""OpenAssistant's message trees: the threads that teach, of trees as they are published and of loose messages.

People wrote several replies to a message and ranked them. A thread follows the best reply at each turn of the
assistant, and each turn of a human on it; so a tree gives a conversation for each way that humans went on.
"""

from collections.abc import Iterator
from typing import Any

from xgen.sources.intake import Intake
from xgen.sources.layouts import BadRow
from xgen.sources.rows import Row

Node = dict[str, Any]
ROLES = {"prompter": "human", "assistant": "assistant"}


def threads_of(prompt: Node, intake: Intake) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the threads of a tree, each with the id of its last message, as (role, text) in turn."""
    _require_message(prompt)
    found = list(_threads(prompt, [], intake)) if _counts(prompt) else []
    if not found:
        intake.skip("a tree without a response")
    yield from found


def _threads(node: Node, before: list[tuple[str, str]], intake: Intake) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    said = [*before, (ROLES[node["role"]], node["text"].strip())]
    replies = node.get("replies") or []
    for reply in replies:
        _require_message(reply)
    living = [reply for reply in replies if _counts(reply)]
    if node["role"] == "prompter":
        best = min(living, key=_rank, default=None)
        for _ in living[1:]:
            intake.skip("a reply ranked below another")
        if best is not None:
            yield from _threads(best, said, intake)
        return
    went_on = False
    for reply in living:
        for thread in _threads(reply, said, intake):
            went_on = True
            yield thread
    if not went_on:
        yield f"/{node.get('message_id', '')}", said


def _rank(node: Node) -> float:
    """Order replies: 0 is the best, and one that nobody ranked comes last."""
    rank = node.get("rank")
    return float("inf") if rank is None else float(rank)


def _counts(node: Node) -> bool:
    return not node.get("deleted") and node.get("review_result") is not False


def _require_message(node: Any) -> None:
    if not isinstance(node, dict) or not isinstance(node.get("text"), str) or node.get("role") not in ROLES:
        raise BadRow("a message of a tree without text or role", '"text", and "role": "prompter" or "assistant"')


def trees_of(rows: Iterator[Row], intake: Intake) -> Iterator[Row]:
    """Put loose messages together; a message whose parent is not in the file is bad input, and so are its replies."""
    found: dict[str, Row] = {}
    for row in rows:
        if isinstance(row.fields.get("message_id"), str):
            found[row.fields["message_id"]] = row._replace(fields={**row.fields, "replies": []}, raw=b"")
        else:
            intake.bad("no `message_id`", row.place(), "a message of a tree", row.raw)
    for row in found.values():
        parent = row.fields.get("parent_id")
        if parent in found:
            found[parent].fields["replies"].append(row.fields)
        elif parent is not None:
            intake.bad("a message whose parent is missing", row.place(), "whole trees in a file", row.raw)
    for row in found.values():
        if row.fields.get("parent_id") is None:
            yield row._replace(fields={"prompt": row.fields})
