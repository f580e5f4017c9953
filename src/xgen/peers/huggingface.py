"""A peer: any causal model that transformers can load, behind the same three calls as our engine (extra: parity).

Its code is theirs, its batches are plain, so that what the engine answers can be compared with it. No code of the
folder is run, and weights are read from safetensors alone.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int32

from xgen.core.errors import UserError
from xgen.core.types import Decoding, Generation, Likelihood

BATCH_ROWS = 8
Dtype = Literal["float32", "bfloat16"]


class HuggingFaceTokenizer:
    """The folder's own tokenizer, without the tokens that it would put around a text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end_of_text = int(tokenizer.eos_token_id)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)

    def ask(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """Write messages (role, content) as ids, ready to be answered, in the chat template of the folder."""
        text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return self.encode(text)

    def holds_conversations(self) -> bool:
        """Say whether the folder has a chat template."""
        return self._tokenizer.chat_template is not None


class HuggingFaceModel:
    """A model of a folder, in PyTorch, on the device that PyTorch finds."""

    def __init__(self, folder: Path, dtype: Dtype = "float32") -> None:
        try:
            self._torch, transformers = import_module("torch"), import_module("transformers")
        except ImportError as error:
            raise UserError(
                f"the peer needs {error.name}, which is not installed", "PyTorch", "pip install 'xgen[parity]'"
            ) from None
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        try:
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, trust_remote_code=False, use_safetensors=True, local_files_only=True
            ).to(self._device)
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        except (OSError, ValueError) as error:
            why = str(error).partition("\n")[0][:200]
            raise UserError(
                f"transformers cannot load {folder} ({why})", "a model in safetensors", "Check the folder."
            ) from None
        self._model.eval()
        self.tokenizer = HuggingFaceTokenizer(tokenizer)
        self.name = folder.resolve().name
        self.context_length = int(self._model.config.max_position_embeddings)

    def score(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        """Score rows of similar length together, filled up on the right, which nothing to the left can see."""
        found: dict[int, Likelihood] = {}
        rows = [[*context, *continuation] for context, continuation in requests]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), BATCH_ROWS):
            part = order[start : start + BATCH_ROWS]
            for index, (logprobs, best) in zip(part, self._read([rows[index] for index in part]), strict=True):
                continuation = requests[index][1]
                logprobs, best = logprobs[-len(continuation) :], best[-len(continuation) :]
                greedy = bool((best == np.asarray(continuation)).all())
                found[index] = Likelihood(float(logprobs.sum(dtype=np.float64)), greedy)
        return [found[index] for index in range(len(requests))]

    def window(self, rows: Int32[np.ndarray, "N L"]) -> Float32[np.ndarray, "N L-1"]:
        """Give the log-probability of every token of full rows given the tokens before it, except the first."""
        parts = [rows[start : start + BATCH_ROWS].tolist() for start in range(0, len(rows), BATCH_ROWS)]
        return np.stack([logprobs for part in parts for logprobs, _ in self._read(part)]).astype(np.float32)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        seed: int,
        decoding: Decoding = Decoding(),  # noqa: B008  (a frozen value)
    ) -> list[Generation]:
        """Continue the prompts one after the other; a text that stops is looked for when all tokens are there."""
        torch, found = self._torch, []
        torch.manual_seed(seed)
        how: dict[str, Any] = {"do_sample": False}
        if decoding.temperature > 0:
            how = {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
        for prompt in prompts:
            ids = torch.tensor([list(prompt)], device=self._device)
            with torch.inference_mode():
                out = self._model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=min(max_new_tokens, self.context_length - len(prompt)),
                    num_return_sequences=decoding.num_samples,
                    eos_token_id=self.tokenizer.end_of_text,
                    pad_token_id=self.tokenizer.end_of_text,
                    **how,
                )
            found += [self._generation(prompt, row[len(prompt) :], decoding) for row in out.tolist()]
        return found

    def _generation(self, prompt: Sequence[int], new: list[int], decoding: Decoding) -> Generation:
        ended = self.tokenizer.end_of_text in new
        kept = new[: new.index(self.tokenizer.end_of_text)] if ended else new
        text = self.tokenizer.decode(kept)
        starts = [text.find(stop) for stop in decoding.stops if stop in text]
        if starts:
            kept = next(
                kept[:num] for num in range(len(kept), -1, -1) if len(self.tokenizer.decode(kept[:num])) <= min(starts)
            )
        logprobs = self._read([[*prompt, *kept]])[0][0][len(prompt) - 1 :] if kept else np.zeros(0)
        return Generation(tuple(kept), tuple(map(float, logprobs)), "stop" if ended or starts else "length")

    def _read(self, rows: Sequence[Sequence[int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Give each row's log-probabilities from its second token on, and the likeliest token at each place."""
        torch = self._torch
        longest = max(map(len, rows))
        filled = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=self._device)
        with torch.inference_mode():
            logits = self._model(filled[:, :-1]).logits.float()
            logprobs = torch.log_softmax(logits, dim=-1).gather(-1, filled[:, 1:, None])[..., 0].cpu().numpy()
            best = logits.argmax(dim=-1).cpu().numpy()
        return [(logprobs[i, : len(row) - 1], best[i, : len(row) - 1]) for i, row in enumerate(rows)]
