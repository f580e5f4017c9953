"""Questions about a Python file with the true answers: the docstring of a function, its body, how code goes on."""

import ast
import hashlib
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xgen.core.types import Conversation, Document, Message
from xgen.data.mixture import shuffled
from xgen.sources.intake import Intake

T = TypeVar("T")

MAX_PER_DOCUMENT = 8
"""So that many files are asked about, and no large one fills the set."""
MAX_CHARACTERS = 1_500
"""Of a function: about 400 tokens."""
MIN_LINES = 4
MIN_WORDS = 3
"""Of a docstring."""

DOCSTRING_ASKS = (
    "Write the docstring of this function.",
    "What does this function do? Answer with its docstring.",
    "Document this function.",
    "Describe this function in a docstring.",
    "This function lacks a docstring. Write it.",
)
HEADER_ASKS = (
    "Write a docstring for a function that begins like this.",
    "What would the docstring of this function say?",
    "Here is the first line of a function. Write its docstring.",
    "Suggest a docstring for this function.",
)
BODY_ASKS = ("Now show its body.", "Now write the body.", "Good. And the code?", "Implement it.", "Show how it works.")
CONTINUE_ASKS = ("Continue this file.", "Continue this code.", "Complete this code.", "What comes next?", "Go on.")


@dataclass(frozen=True)
class Function:
    """A function as source text at the left margin. Where it has no docstring, only name and source say something."""

    name: str
    source: str
    docstring: str = ""
    undocumented: str = ""
    """The source without the lines of the docstring."""
    header: str = ""
    """What comes before the docstring."""
    body: str = ""
    """What comes after it, at the left margin."""


def tasks_of(document: Document, seed: int, intake: Intake) -> Iterator[Conversation]:
    """Yield at most eight conversations about a document, none about one that is no Python; a function gets one."""
    key = f"{document.source}/{document.key}"
    functions = functions_of(document.text)
    if not functions:
        intake.skip("no function to ask about")
    names = [f"{function.name}:{number}" for number, function in enumerate(functions)]
    documented_first = sorted(shuffled(seed, f"functions of {key}", names), key=lambda i: not functions[i].docstring)
    for index in documented_first[:MAX_PER_DOCUMENT]:
        function, choice = functions[index], f"{seed}\0{key}\0{names[index]}"
        tasks = DOCUMENTED_TASKS if function.docstring else BARE_TASKS
        turns = pick(tasks, f"task\0{choice}")(function, choice)
        said = tuple(Message("assistant" if turn % 2 else "human", text) for turn, text in enumerate(turns))
        yield Conversation(document.source, f"{document.key}:{names[index]}", said)


def write_docstring(function: Function, choice: str) -> list[str]:
    return [f"{pick(DOCSTRING_ASKS, choice)}\n\n{function.undocumented}", function.docstring]


def design_function(function: Function, choice: str) -> list[str]:
    """Take two turns: from the header to the docstring, then to the body."""
    return [
        f"{pick(HEADER_ASKS, choice)}\n\n{function.header}",
        function.docstring,
        pick(BODY_ASKS, choice),
        function.body,
    ]


def continue_code(function: Function, choice: str) -> list[str]:
    """Cut in the middle third, before a line with text: an answer does not begin with an empty one."""
    lines = function.source.split("\n")
    third = len(lines) // 3
    cut = pick(range(third, len(lines) - third), f"cut\0{choice}")
    while not lines[cut].strip():
        cut += 1
    return [f"{pick(CONTINUE_ASKS, choice)}\n\n" + "\n".join(lines[:cut]).rstrip(), "\n".join(lines[cut:])]


Task = Callable[[Function, str], list[str]]
"""From a function and a key for choices to what human and assistant say in turn."""

DOCUMENTED_TASKS: tuple[Task, ...] = (write_docstring, write_docstring, design_function, continue_code)
BARE_TASKS: tuple[Task, ...] = (continue_code,)


def pick(options: Sequence[T], choice: str) -> T:
    """Choose by a hash, which is the same on every machine and in every version of Python."""
    digest = hashlib.blake2b(choice.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return options[int.from_bytes(digest, "big") % len(options)]


def functions_of(text: str) -> list[Function]:
    """Find the functions of a file, methods too, that are long enough to ask about and short enough to answer."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    found: list[Function] = []
    nodes: list[ast.stmt] = _parse(text)
    while nodes:  # not ast.walk, which visits every expression and takes longer than the parser
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (function := _function(node, lines)):
            found.append(function)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.extend(reversed(node.body))
    return found


def _parse(text: str) -> list[ast.stmt]:
    """Parse without a word about the odd escapes of other people's files; what is no Python has no statements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text).body[::-1]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[str]) -> Function | None:
    """Cut a function out of its file; None for one too short or too long, or with text left of its margin."""
    start, margin = node.lineno - 1, lines[node.lineno - 1][: node.col_offset]
    cut = lines[start : node.end_lineno]
    own = [line[len(margin) :] for line in cut]
    source = "\n".join(own)
    outside = any(line.strip() and not line.startswith(margin) for line in cut)
    if outside or len(own) < MIN_LINES or len(source) > MAX_CHARACTERS:
        return None
    docstring = (ast.get_docstring(node) or "").strip()
    stated, *rest = node.body
    if len(docstring.split()) < MIN_WORDS or not rest:
        return Function(node.name, source)
    assert stated.end_lineno is not None
    before, after = stated.lineno - node.lineno, stated.end_lineno - node.lineno + 1
    if rest[0].lineno - node.lineno < after:  # they share a line, perhaps with the header too
        return Function(node.name, source)
    return Function(
        node.name,
        source,
        docstring,
        undocumented="\n".join(own[:before] + own[after:]),
        header="\n".join(own[:before]),
        body=textwrap.dedent("\n".join(own[after:])).strip("\n"),
    )
