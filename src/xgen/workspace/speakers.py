"""Models that hold a conversation, out of what a command names: a checkpoint, a folder of ours, a folder of others.

Each is asked in its own template: a run in its recipe's, a folder in the one that lies in it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.types import Conversation, Generation, Message
from xgen.export.chat_template import jinja
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
    """Load any causal model that transformers reads, in PyTorch, with the chat template of its folder.

    No code of the folder runs, and weights are read from safetensors alone.
    """
    try:
        import transformers
    except ImportError:
        raise UserError(
            "transformers is not installed", "it, to ask a folder of another architecture", "pip install 'xgen[parity]'"
        ) from None
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"transformers cannot load {folder} ({_first_line(error)})", "a model in safetensors", "Check the folder."
        ) from None
    if tokenizer.chat_template is None:
        raise UserError(
            f"{folder} has no chat template", "a model that holds conversations", "Add chat_template.jinja."
        )
    context_length = int(model.config.max_position_embeddings)

    def render(request: Request) -> list[int]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        roles = ("user", "assistant")
        messages = system + [{"role": roles[i % 2], "content": text} for i, text in enumerate(request.turns)]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def generate(prompts: Sequence[Sequence[int]], temperature: float, max_new_tokens: int) -> list[Generation]:
        """Continue one prompt after the other, so that nothing is padded."""
        transformers.set_seed(seed)
        how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
        found = []
        for prompt in prompts:
            asked = transformers.BatchEncoding(
                {"input_ids": [list(prompt)], "attention_mask": [[1] * len(prompt)]}, tensor_type="pt"
            )
            room = min(max_new_tokens, context_length - len(prompt))
            made = model.generate(**asked, max_new_tokens=room, pad_token_id=tokenizer.eos_token_id, **how)
            new = made[0].tolist()[len(prompt) :]
            ended = bool(new) and new[-1] == tokenizer.eos_token_id
            kept = tuple(new[:-1] if ended else new)
            found.append(Generation(kept, (0.0,) * len(kept), "stop" if ended else "length"))
        return found

    return LocalSpeaker(
        folder.resolve().name,
        context_length,
        render,
        generate,
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True),
    )


def _first_line(error: Exception) -> str:
    return re.split(r"\n", str(error), maxsplit=1)[0][:200]
