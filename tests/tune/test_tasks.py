"""Questions about Python files: the true answers, and nothing but a function's own text."""

import ast
import warnings

import pytest

from tokenizer.texts import library_sources
from xgen.core.types import Conversation, Document
from xgen.sources.intake import Intake
from xgen.tune.tasks import BODY_ASKS, MAX_CHARACTERS, continue_code, functions_of, tasks_of

FILE = '''\
"""A module."""
import os

class Box:
    def area(self, unit="cm"):
        """Return the area of the box.

        In square `unit`.
        """
        # a comment
        side = self.side
        return side * side

    async def wait(self):
        await self.ready
        # then
        return True

def one_line(): "too short to ask about"

def shares(
        x): "says it on the line of its header"; y = """and

        goes on"""
def shares_too(x):
    "says it beside the body"; y = x
    z = y
    return z
def outer(n):
    def inner(m):
        """Add them up, really."""

        total = n + m

        return total
    return inner
'''


def asked(text: str, seed: int = 0) -> list[Conversation]:
    return list(tasks_of(Document("code", "f.py", text, "MIT"), seed, Intake("code", strict=False)))


def test_functions_are_cut_at_their_own_lines() -> None:
    found = {function.name: function for function in functions_of(FILE)}
    assert list(found) == ["area", "wait", "shares", "shares_too", "outer", "inner"]
    area = found["area"]
    assert area.docstring == "Return the area of the box.\n\nIn square `unit`."
    assert area.header == 'def area(self, unit="cm"):'
    assert area.body == "# a comment\nside = self.side\nreturn side * side"
    assert area.undocumented == (
        'def area(self, unit="cm"):\n    # a comment\n    side = self.side\n    return side * side'
    )
    assert not found["shares"].docstring and not found["shares_too"].docstring
    assert not found["wait"].docstring and found["wait"].source.startswith("async def wait(self):\n    await")


def test_the_docstring_is_true_and_is_not_in_the_question() -> None:
    num_documented = 0
    for source in library_sources(20):
        for function in functions_of(source):
            (tree,) = ast.parse(function.source).body
            assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
            if not function.docstring:
                continue
            num_documented += 1
            assert ast.get_docstring(tree).strip() == function.docstring
            (bare,) = ast.parse(function.undocumented).body
            del tree.body[0]
            assert ast.dump(bare) == ast.dump(tree), "only the docstring is gone"
            if "'''" not in function.body and '"""' not in function.body:
                indented = function.body.replace("\n", "\n ")
                (alone,) = ast.parse(f"async def f():\n {indented}").body
                assert isinstance(alone, ast.AsyncFunctionDef)
                assert list(map(ast.dump, alone.body)) == list(map(ast.dump, tree.body))
    assert num_documented > 50


def test_continuations_are_what_comes_next() -> None:
    for source in library_sources(8):
        for function in functions_of(source):
            question, answer = continue_code(function, "choice")
            shown = question.partition("\n\n")[2]
            assert shown.strip() and answer.split("\n")[0].strip()
            gap = function.source[len(shown) : -len(answer)]
            assert shown + gap + answer == function.source and gap.isspace() and gap.endswith("\n")


def test_a_file_gives_a_few_short_conversations_of_each_kind() -> None:
    found = [conversation for source in library_sources(20) for conversation in asked(source)]
    assert {len(conversation.messages) for conversation in found} == {2, 4}
    assert any(conversation.messages[2].text in BODY_ASKS for conversation in found if len(conversation.messages) == 4)
    assert all(len(asked(source)) <= 8 for source in library_sources(20))
    assert max(len(message.text) for conversation in found for message in conversation.messages) < MAX_CHARACTERS + 100
    for conversation in found:
        assert [message.role for message in conversation.messages] == ["human", "assistant"] * (
            len(conversation.messages) // 2
        )
        assert all(message.text.strip() for message in conversation.messages)


def test_the_seed_chooses() -> None:
    (source,) = library_sources(1)
    assert asked(source, seed=3) == asked(source, seed=3)
    assert len({repr(asked(source, seed=seed)) for seed in range(5)}) == 5


ODD = {
    "prose": ("This is no Python.", 0),
    "nothing": ("", 0),
    "a zero byte": ("\0", 0),
    "half a line": ("def f(:\n", 0),
    "too many parentheses": ("(" * 5_000, 0),
    "too deep for the parser": ("-" * 20_000 + "1", 0),
    "too deep for the tree": ("a" + ".b" * 20_000, 0),
    "text left of the margin": (
        "class C:\n    def f(self):\n        '''Text outside\nof the margin.'''\n\n        x = 1\n",
        0,
    ),
    "half a character": ("def f():\n    '''Text with \\ud800 in it.'''\n    x = 1\n    return x\n", 1),
    "what Python warns of": ("def f(x):\n    y = x is 1\n    z = '\\w'\n    return y\n", 1),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_raise_nothing_and_warn_of_nothing(name: str) -> None:
    text, num_tasks = ODD[name]
    intake = Intake("code", strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(tasks_of(Document("code", "f.py", text, "MIT"), 0, intake))
    assert len(found) == num_tasks
    assert sum(intake.skipped.values()) == 1 - num_tasks


def test_line_ends_of_other_systems_change_nothing() -> None:
    assert functions_of(FILE.replace("\n", "\r\n")) == functions_of(FILE.replace("\n", "\r")) == functions_of(FILE)
