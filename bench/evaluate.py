"""MMLU questions a second of our scoring beside lm-eval's own PyTorch model, and programs a second of the sandbox.

Run: PYTHONPATH=src python bench/evaluate.py --data FOLDER. One run exports a small model with random weights, asks the
same five-shot questions of both in lm-eval's flavor, checks that they give the same answers, and times each in turn,
three times, tokenization included: wall time, and processor time, which other work disturbs less. FOLDER holds MMLU and
HumanEval as their authors published them. Float32.
"""

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xgen.evals.choice import Question
from xgen.evals.suite import humaneval, mmlu
from xgen.evals.task import Candidate, Settings
from xgen.export.huggingface import Release, read_folder, write_folder
from xgen.export.verify import Proof
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import init
from xgen.model.transformer import forward
from xgen.sandbox.box import Program, opened
from xgen.serve.engine import Engine
from xgen.tokenizer.encoding import ReleasedTokenizer

CONFIG = ModelConfig(4, 256, 8, 688, 51_200, 1e-6, 10_000.0, 0.05)
COMPUTE = Compute("float32", "definition", attention_block=64, loss_chunk=64, remat="none")
SUBJECTS, CONTEXT = ("anatomy", "high_school_biology", "philosophy"), 2_048


def exported(root: Path) -> Path:
    """Write the model as a Hugging Face folder."""
    params = init(CONFIG, jax.random.key(0))
    tokens = np.arange(20, dtype=np.int32)
    logits = np.asarray(forward(params, jnp.asarray(tokens)[None], CONFIG, COMPUTE)[0])
    arrays = {name: np.asarray(value) for name, value in params.items()}
    write_folder(root / "model", CONFIG, arrays, Release(CONTEXT, "# bench\n", ""), Proof(tokens, logits, 1e-3))
    return root / "model"


def ours(folder: Path, asked: Sequence[Question]) -> Callable[[], list[list[float]]]:
    """Score with xgen's engine, through the task that the command line runs."""
    config, arrays, context = read_folder(folder)
    engine = Engine("bench", {name: jnp.asarray(value) for name, value in arrays.items()}, config, COMPUTE, context)
    candidate, task = Candidate(engine, ReleasedTokenizer(), {}), mmlu.TASKS[2]
    return lambda: [record["logprobs"] for record in task.answer(candidate, asked, Settings())]


def lm_eval(folder: Path, asked: Sequence[Question], batch: int) -> Callable[[], list[list[float]]]:
    """Score the same pairs with lm-eval's HFLM, which makes one forward pass for the four answers of a question."""
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(os.cpu_count() or 1)
    model = HFLM(pretrained=str(folder), batch_size=batch, device="cpu", dtype="float32", max_length=CONTEXT)
    pairs = [
        (one.head + "".join(one.shots) + context, continuation) for one in asked for context, continuation in one.pairs
    ]

    def score() -> list[list[float]]:
        requests: list[Any] = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
        flat = [logprob for logprob, _ in model.loglikelihood(requests, disable_tqdm=True)]
        return [flat[at : at + 4] for at in range(0, len(flat), 4)]

    return score


def questions(data: Path, number: int) -> list[Question]:
    """Take the first questions of each subject, with their five examples, in lm-eval's flavor."""
    tables = mmlu.read_folder(data)[0]
    return [
        question
        for subject in SUBJECTS
        for question in mmlu.questions(subject, tables[subject]["dev"], tables[subject]["test"][:number], "lm_eval")
    ]


def time_scoring(data: Path, number: int, batch: int, repeats: int) -> None:
    """Time both, one after the other, and compare what they answer."""
    asked = questions(data, number)
    with tempfile.TemporaryDirectory() as root:
        folder = exported(Path(root))
        makers = {"xgen": ours(folder, asked), f"lm-eval hf, batches of {batch}": lm_eval(folder, asked, batch)}
        answers = {name: np.array(score()) for name, score in makers.items()}  # compiles and warms up
        first, second = answers.values()
        same = (first.argmax(axis=1) == second.argmax(axis=1)).mean()
        difference = np.abs(first - second).max()
        print(f"{len(asked)} questions; answers differ by {difference:.1e} at most, {same:.1%} choose the same")
        for clock, kind in ((time.perf_counter, "wall"), (time.process_time, "processor")):
            spent: dict[str, list[float]] = {name: [] for name in makers}
            for _ in range(repeats):
                for name, score in makers.items():
                    started = clock()
                    score()
                    spent[name].append(clock() - started)
            speeds = {name: len(asked) / statistics.median(times) for name, times in spent.items()}
            for name, speed in speeds.items():
                seconds = ", ".join(f"{each:.1f}" for each in spent[name])
                print(f"{name:<28} {speed:8.2f} questions a second of {kind} time   {seconds} s", flush=True)
            fast, slow = speeds.values()
            print(f"ratio {fast / slow:.2f}", flush=True)


def time_sandbox(data: Path, number: int) -> None:
    """Time the published solutions in the sandbox beside as many bare starts of the interpreter."""
    problems = list(humaneval.load(Settings(limit=number, data=data)).items)
    programs = [Program(one.prompt + one.canonical, one.entry_point, one.prompt, one.tests) for one in problems]
    with opened("strict") as box:
        box.judge(programs[:4])
        started = time.perf_counter()
        passed = sum(verdict.passed for verdict in box.judge(programs))
        confined = time.perf_counter() - started
    command = [os.path.realpath(sys.executable), "-I", "-S", "-c", "import json, ctypes"]
    started = time.perf_counter()
    pending: list[subprocess.Popen[bytes]] = []
    for _ in programs:
        pending.append(subprocess.Popen(command))
        if len(pending) == (os.cpu_count() or 1):
            pending.pop(0).wait()
    for process in pending:
        process.wait()
    bare = time.perf_counter() - started
    print(f"sandbox: {len(programs) / confined:.1f} programs/s, {passed} of {len(programs)} pass; "
          f"bare interpreters {len(programs) / bare:.1f}/s; overhead {1000 * (confined - bare) / len(programs):.1f} ms "
          "a program", flush=True)  # fmt: skip


def main() -> None:
    """Print both measurements."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=16, help="of each of three subjects")
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch of lm-eval")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--programs", type=int, default=164)
    options = parser.parse_args()
    time_sandbox(options.data, options.programs)
    time_scoring(options.data, options.questions, options.batch, options.repeats)


if __name__ == "__main__":
    main()
