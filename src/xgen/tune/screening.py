"""The filters of documents on conversations: judged as one text, so that a rule sees questions with their answers."""

from collections.abc import Callable
from dataclasses import replace

from xgen.core.types import Conversation, Document
from xgen.filters.catalog import Screen
from xgen.filters.verdict import Drop

PRIVATE_USE = range(0xE000, 0xF900)
"""Characters without a meaning; one that a conversation does not hold stands between its messages."""


def screening(screen: Screen, licence: str) -> Callable[[Conversation], Conversation | Drop]:
    """Make a judge of conversations under a licence, which gives one back, perhaps changed, or why it is dropped.

    What `screen` counts, it counts in conversations. A conversation in which a filter leaves a message empty goes.
    """

    def judge(conversation: Conversation) -> Conversation | Drop:
        texts = [message.text for message in conversation.messages]
        if conversation.system:
            texts.insert(0, conversation.system)
        whole = "".join(texts)
        mark = next(chr(code) for code in PRIVATE_USE if chr(code) not in whole)
        judged = screen(Document(conversation.source, conversation.key, f"\n{mark}\n".join(texts), licence))
        if isinstance(judged, Drop):
            return judged
        left = _apart(judged.text, mark)
        assert len(left) == len(texts), f"a filter joined messages of {conversation.source}/{conversation.key}"
        if left == texts:
            return conversation
        if not all(text.strip() for text in left):
            return Drop("nothing left of a message")
        system = left.pop(0) if conversation.system else ""
        said = (replace(message, text=text) for message, text in zip(conversation.messages, left, strict=True))
        return replace(conversation, messages=tuple(said), system=system)

    return judge


def _apart(text: str, mark: str) -> list[str]:
    """Undo the joining of messages, of which a filter may have taken the last line with its end."""
    parts = text.split(mark)
    ended = [part.removesuffix("\n") for part in parts[:-1]] + parts[-1:]
    return ended[:1] + [part.removeprefix("\n") for part in ended[1:]]
