"""A few samples of a run for its report: the base model continues held-out documents, the tuned one answers."""

from xgen.core.ledger import RunFolder
from xgen.core.progress import say
from xgen.core.types import Generation
from xgen.data.shards import open_prepared
from xgen.tokenizer.encoding import decode
from xgen.workspace.folders import Workspace, data_folder
from xgen.workspace.loading import load_checkpoint, question_ids

QUESTIONS = (
    "Write the docstring of this function.\n\ndef area(width, height):\n    return width * height",
    "Continue this file.\n\nimport os\n\ndef read_lines(path):\n",
    "What is a list in Python?",
)
CONTINUED_DOCUMENTS = 3
PROMPT_TOKENS = 24


def sample(workspace: Workspace) -> None:
    """Sample both models once; what is there already is not sampled again."""
    recipe, base = workspace.recipe, RunFolder.open(workspace.base)
    if base.read_result("samples") is None:
        held_out = open_prepared(data_folder(recipe, workspace.root)).held_out()
        starts = [row[:PROMPT_TOKENS].tolist() for row in held_out[:CONTINUED_DOCUMENTS]]
        found = load_checkpoint(workspace, "base").engine(recipe).sample(starts, recipe.sampling)
        base.write_result(
            "samples",
            {"base": [_plain(decode(start), continuation) for start, continuation in zip(starts, found, strict=True)]},
        )
    tuned = RunFolder.open(workspace.tuned)
    if tuned.read_result("samples") is None:
        prompts = [question_ids(question, recipe) for question in QUESTIONS]
        found = load_checkpoint(workspace, "tuned").engine(recipe).sample(prompts, recipe.sampling)
        tuned.write_result(
            "samples", {"tuned": [_plain(question, answer) for question, answer in zip(QUESTIONS, found, strict=True)]}
        )
    for run, kind in ((base, "base"), (tuned, "tuned")):
        shown = (run.read_result("samples") or {})[kind][0]
        say(f"  {_one_line(shown['prompt'])} -> {_one_line(shown['text'])}")


def _plain(prompt: str, generation: Generation) -> dict[str, str]:
    return {"prompt": prompt, "text": decode(list(generation.tokens)), "finish": generation.finish}


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
