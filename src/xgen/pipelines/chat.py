"""`xgen chat`: a conversation in the terminal, with how much of the context it uses."""

from dataclasses import dataclass, replace
from pathlib import Path

from xgen.core.progress import say
from xgen.core.types import Conversation, Message
from xgen.parallel.launch import launch
from xgen.pipelines.generate import spoken
from xgen.recipes.schema import Recipe
from xgen.serve.engine import Engine
from xgen.serve.weights import Storage
from xgen.tokenizer.chat import render_prompt
from xgen.workspace.loading import load
from xgen.workspace.target import Target

COMMANDS = "/reset forgets the conversation, /exit ends (so does Ctrl-D)"


@dataclass(frozen=True)
class Options:
    checkpoint: str = "latest"
    """"latest" (tuned if there is a tuned run), "base", "tuned", a stage, or a context (4K: its end)."""
    system: str = ""
    """A system message of your own; empty takes the template's."""
    weights: Storage = "float32"
    """How matrices are held while generating: float32, bfloat16 or int8."""
    root: Path = Path()
    """Where runs/ and data/ lie."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Read lines, stream answers, and say after each how many of the context's tokens are used."""
    launch(options.root / ".cache")
    loaded = load(target, recipe, options.root, options.checkpoint)
    engine = loaded.engine(recipe, options.weights)
    say(f"{loaded.name}, context of {loaded.context_length:,} tokens. {COMMANDS}.")
    if not loaded.tuned:
        say("This model was not tuned on conversations; it continues text and may ramble.")
    conversation = Conversation("chat", "", (), options.system)
    while True:
        try:
            line = input("\n> ").strip()
        except EOFError:
            print()
            return
        if line == "/exit":
            return
        if line == "/reset":
            conversation = replace(conversation, messages=())
            say("The conversation starts anew.")
        elif line.startswith("/"):
            say(f"There is no command {line.split()[0]}. {COMMANDS}.")
        elif line:
            conversation = _answer(engine, recipe, conversation, line)


def _answer(engine: Engine, recipe: Recipe, conversation: Conversation, line: str) -> Conversation:
    asked = replace(conversation, messages=(*conversation.messages, Message("human", line)))
    ids = render_prompt(asked, recipe.instruct.template)
    left = engine.context_length - len(ids)
    if left < 1:
        say(f"{len(ids):,} of {engine.context_length:,} tokens are needed for this: /reset, or ask something shorter.")
        return conversation
    pieces: list[str] = []
    try:
        for text in spoken(engine, ids, recipe.sampling):
            text = text if pieces else text.lstrip()
            if text:
                pieces.append(text)
                print(text, end="", flush=True)
    except KeyboardInterrupt:
        pieces.append(" ...")
    answered = replace(asked, messages=(*asked.messages, Message("assistant", "".join(pieces).strip() or "...")))
    used = len(
        render_prompt(replace(answered, messages=(*answered.messages, Message("human", ""))), recipe.instruct.template)
    )
    print()
    say(f"[{min(used, engine.context_length):,} of {engine.context_length:,} tokens of context used]")
    return answered
