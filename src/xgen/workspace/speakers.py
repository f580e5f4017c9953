"""Models that hold a conversation, out of what a command names: a checkpoint, a folder of ours, a folder of others.

Each is asked in its own template: a run in its recipe's, a folder in the one that lies in it.
"""

from collections.abc import Sequence
from pathlib import Path

from xgen.core.errors import UserError
from xgen.core.types import Conversation, Decoding, Generation, Message
from xgen.export.chat_template import jinja
from xgen.peers.huggingface import HuggingFaceModel
from xgen.recipes.schema import Recipe
from xgen.serve.config import Sampling, Stops
from xgen.serve.engine import Engine
from xgen.speakers.asking import Request
from xgen.speakers.local import LocalSpeaker
from xgen.tokenizer.chat import TEMPLATES, render_prompt, template_named
from xgen.tokenizer.encoding import decode, encode
from xgen.workspace.folders import named_checkpoint, workspace_of
from xgen.workspace.loading import Loaded, load_checkpoint, load_folder
from xgen.workspace.target import Target


def speaker_of(target: Target, recipe: Recipe, root: Path, checkpoint: str) -> LocalSpeaker:
    """Load a checkpoint of a run, named after its step, or a Hugging Face folder of our architecture."""
    if target.kind == "huggingface" and target.folder is not None:
        loaded = load_folder(target.folder)
        template = _template_in(target.folder) if loaded.tuned else recipe.instruct.template
        return _speaker(loaded.name, loaded, recipe, template)
    workspace = workspace_of(target, recipe, root)
    run, step = named_checkpoint(workspace, checkpoint)
    return _speaker(f"{run.path.name}@{step}", load_checkpoint(workspace, checkpoint), recipe, recipe.instruct.template)


def _speaker(name: str, loaded: Loaded, recipe: Recipe, template: str) -> LocalSpeaker:
    engine: Engine = loaded.engine(recipe)
    # A base model knows no end of a turn: it would go on and ask itself.
    stops = Stops() if loaded.tuned else Stops(texts=(template_named(template).human,))

    def generate(prompts: Sequence[Sequence[int]], temperature: float, max_new_tokens: int) -> list[Generation]:
        return engine.sample(prompts, Sampling(temperature, 1.0, max_new_tokens, recipe.seed), stops)

    return LocalSpeaker(
        name,
        loaded.context_length,
        lambda request: render_prompt(conversation_of(request), template),
        generate,
        lambda text: encode(text).tolist(),
        lambda ids: decode(list(ids)),
    )


def conversation_of(request: Request) -> Conversation:
    """Write a request as a conversation whose last message waits for an answer."""
    roles = ("human", "assistant")
    messages = tuple(Message(roles[turn % 2], text) for turn, text in enumerate(request.turns))
    return Conversation("judges", request.name, messages, request.system)


def _template_in(folder: Path) -> str:
    """Find out which of our templates a folder holds."""
    text = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    found = [name for name, template in TEMPLATES.items() if jinja(template).strip() == text.strip()]
    if not found:
        raise UserError(
            f"{folder} has a chat template that is none of ours",
            "one of tokenizer/chat.py",
            f"Let transformers ask it in its own: --peer-folder {folder}",
        )
    return found[0]


def peer_of(folder: Path, seed: int) -> LocalSpeaker:
    """Load any causal model that transformers reads, in PyTorch, with the chat template of its folder."""
    peer = HuggingFaceModel(folder)
    if not peer.tokenizer.holds_conversations():
        raise UserError(
            f"{folder} has no chat template", "a model that holds conversations", "Add chat_template.jinja."
        )

    def render(request: Request) -> list[int]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        roles = ("user", "assistant")
        turns = [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(request.turns)]
        return peer.tokenizer.ask([*system, *turns])

    def generate(prompts: Sequence[Sequence[int]], temperature: float, max_new_tokens: int) -> list[Generation]:
        return peer.generate(prompts, max_new_tokens, seed, Decoding(temperature, 1.0))

    return LocalSpeaker(peer.name, peer.context_length, render, generate, peer.tokenizer.encode, peer.tokenizer.decode)
