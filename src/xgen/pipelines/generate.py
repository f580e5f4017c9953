"""`xgen generate`: continue a prompt."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xgen.core.errors import UserError
from xgen.parallel.launch import launch
from xgen.recipes.schema import Recipe
from xgen.serve.config import Sampling
from xgen.serve.engine import Engine
from xgen.serve.weights import Storage
from xgen.tokenizer.encoding import StreamDecoder, encode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.workspace.loading import load, question_ids
from xgen.workspace.target import Target


@dataclass(frozen=True)
class Options:
    prompt: str = ""
    """The text to continue; empty reads standard input."""
    checkpoint: str = "latest"
    """"latest" (tuned if there is a tuned run), "base", "tuned", a stage, or a context (4K: its end)."""
    as_text: bool = False
    """Continue the text as it stands, also with a tuned model, which is otherwise asked in its template."""
    weights: Storage = "float32"
    """How matrices are held while generating: float32, bfloat16 or int8."""
    root: Path = Path()
    """Where runs/ and data/ lie."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Print the continuation of a prompt as it is sampled."""
    prompt = options.prompt or sys.stdin.read()
    if not prompt.strip():
        raise UserError("the prompt is empty", "some text", "Write it after --prompt, or send it to standard input.")
    launch(options.root / ".cache")
    loaded = load(target, recipe, options.root, options.checkpoint)
    asked = loaded.tuned and not options.as_text
    ids = question_ids(prompt, recipe) if asked else encode(prompt).tolist()
    print("" if asked else prompt, end="", flush=True)
    for text in spoken(loaded.engine(recipe, options.weights), ids, recipe.sampling):
        print(text, end="", flush=True)
    print()


def spoken(engine: Engine, ids: list[int], sampling: Sampling) -> Iterator[str]:
    """Yield the text of a continuation, whole characters at a time, without its end token."""
    decoder = StreamDecoder()
    for (new,) in engine.stream([ids], sampling):
        if new is not None and new[0] != END_OF_TEXT:
            yield decoder.feed(new[0])
    yield decoder.finish()
