"""What a run says of its steps: a line of metrics.jsonl each, one step behind the devices, and a sentence at times."""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xgen.core.ledger import RunFolder
from xgen.core.progress import say
from xgen.model.config import ModelConfig
from xgen.model.flops import flops_per_token, peak_flops
from xgen.train.followers import Follower
from xgen.train.stages import Place


@dataclass(frozen=True)
class Sent:
    """A step that was sent to the devices, whose numbers may not have arrived."""

    where: Place
    rate: float
    limits: np.ndarray
    numbers: dict[str, jax.Array]
    waited: float
    """Seconds that it waited for its program to be compiled."""


class Recorder:
    """Waits for the numbers of steps and makes their lines; only the first of several processes writes them."""

    def __init__(
        self,
        run: RunFolder,
        model: ModelConfig,
        total_tokens: int,
        say_every: float,
        followers: Sequence[Follower] = (),
    ) -> None:
        self._run, self._model, self._total, self._say_every = run, model, total_tokens, say_every
        self._followers = followers
        self._writes = jax.process_index() == 0
        self._arrived = self._said = time.perf_counter()
        self._peak = peak_flops(jax.devices()[0].device_kind)

    def line_of(self, sent: Sent) -> dict[str, Any]:
        """Wait for a step and describe it."""
        where = sent.where
        loss, grad_norm = (float(sent.numbers[name]) for name in ("loss", "grad_norm"))
        now = time.perf_counter()
        seconds, self._arrived = now - self._arrived, now
        line = {
            "step": where.step + 1,
            "stage": where.stage.name,
            "tokens": where.tokens_before + where.stage.batch_tokens,
            "loss": loss,
            "grad_norm": grad_norm,
            "learning_rate": sent.rate,
            "seconds": round(seconds, 4),
            "tokens_per_second": round(where.stage.batch_tokens / seconds, 1),
        }
        if sent.waited >= 0.01:
            line["compile_seconds"] = round(sent.waited, 3)
        if self._peak is not None:
            speed = line["tokens_per_second"] / (self._peak * jax.device_count())
            for name, causal in (("mfu", False), ("mfu_causal", True)):
                line[name] = round(speed * flops_per_token(self._model, where.stage.context_length, causal), 4)
        return line

    def validate(self, line: dict[str, Any], measure: Callable[..., float], *of: object) -> None:
        """Add the loss on held-out rows, `measure(*of)`, to a line; the time it takes is no part of a step's."""
        line["validation_loss"] = measure(*of)
        now = time.perf_counter()
        line["validation_seconds"], self._arrived = round(now - self._arrived, 4), now

    def write(self, line: dict[str, Any]) -> None:
        """Append a line, and say it where the last sentence is long ago."""
        if self._writes:
            self._run.metrics.append(line)
            for follower in self._followers:
                follower.add(line)
        if self._writes and self._arrived - self._said >= self._say_every:
            self._said = self._arrived
            say(sentence(line, self._total))

    def sync(self) -> None:
        """Bring every line to the disk; called before the checkpoint that relies on them."""
        if self._writes:
            self._run.metrics.sync()
            for follower in self._followers:
                follower.flush()


def sentence(line: dict[str, Any], total_tokens: int) -> str:
    """Tell a step to a person: tokens, stage, loss, speed, time left at this speed."""
    left = datetime.timedelta(seconds=round((total_tokens - line["tokens"]) / line["tokens_per_second"]))
    mfu = f", MFU {100 * line['mfu']:.1f} % ({100 * line['mfu_causal']:.1f} % causal)" if "mfu" in line else ""
    return (
        f"  step {line['step']:,}  stage {line['stage']}  {line['tokens']:,} of {total_tokens:,} tokens  "
        f"loss {line['loss']:.3f}  {line['tokens_per_second']:,.0f} tokens/s{mfu}  {left} left"
    )
