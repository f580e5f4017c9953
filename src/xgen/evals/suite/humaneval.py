"""HumanEval (Chen et al. 2021): programs from docstrings, judged by running them (section 5.1.2 of the report).

200 samples a problem at temperature 0.2 and top-p 0.95; pass@k is the unbiased estimate, so pass@1 is the share of
samples that pass. A sample ends where a new top-level statement begins. The prompt loses the white space around it:
with its last newline it would end in the middle of a token, since a newline and the indentation after it are one.
`humaneval_unstripped` keeps it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xgen.core.errors import UserError
from xgen.core.types import Decoding
from xgen.evals.files import DataSet, read
from xgen.evals.task import Candidate, Items, Record, Settings, Task
from xgen.sandbox.box import Program, Verdict, opened

DATA = DataSet(
    ("HumanEval.jsonl.gz", "HumanEval.jsonl", "openai_humaneval/**/test*.parquet"),
    "openai/openai_humaneval",
    None,
    "test",
)
TEMPERATURE, TOP_P, NEW_TOKENS = 0.2, 0.95, 512
SAMPLES_AT_ONCE = 50
"""Rows of one batch; the prompt is read once for each batch."""
STOPS = ("\nclass ", "\ndef ", "\n#", "\n@", "\nprint", "\nif ", "\n```")
ESTIMATES = (1, 10, 100)


@dataclass(frozen=True)
class Problem:
    """One problem as it was published."""

    key: str
    prompt: str
    entry_point: str
    canonical: str
    tests: str


def pass_at(k: int, num_samples: int, num_passed: int) -> float:
    """Estimate without bias the chance that one of k samples passes: 1 - C(n - c, k) / C(n, k)."""
    assert k <= num_samples
    none = 1.0
    for others in range(num_samples - num_passed + 1, num_samples + 1):
        none *= 1 - k / others
    return 1 - max(0.0, none)


def cut(completion: str) -> str:
    """End a completion where a new top-level statement begins."""
    return completion[: min((completion.find(stop) for stop in STOPS if stop in completion), default=len(completion))]


def problem(row: dict[str, Any]) -> Problem:
    """Read a row of the authors' file."""
    try:
        return Problem(row["task_id"], row["prompt"], row["entry_point"], row["canonical_solution"], row["test"])
    except KeyError as error:
        raise UserError(
            f"a row of HumanEval without {error}", "the fields of the authors' file", "Fetch it again."
        ) from None


def load(settings: Settings) -> Items:
    """Read all problems."""
    rows, origin = read(DATA, settings.data)
    return Items([problem(row) for row in rows[: settings.limit or None]], origin)


def judged(problems: Sequence[tuple[Problem, str]], mode: str) -> list[Verdict]:
    """Run whole programs against the tests of their problems; equal ones once."""
    unique = list(dict.fromkeys(problems))
    with opened(mode) as box:
        verdicts = box.judge([Program(code, one.entry_point, one.prompt, one.tests) for one, code in unique])
    known = dict(zip(unique, verdicts, strict=True))
    return [known[each] for each in problems]


def answering(stripped: bool) -> Callable[[Candidate, Sequence[Problem], Settings], list[Record]]:
    """Make the function that draws samples of problems, joins each to its prompt, and runs it."""

    def answer(candidate: Candidate, problems: Sequence[Problem], settings: Settings) -> list[Record]:
        records = []
        for one in problems:
            prompt = one.prompt.strip() if stripped else one.prompt
            completions = draw(candidate, prompt, settings)
            verdicts = judged([(one, prompt + completion) for completion in completions], settings.sandbox)
            passed = [verdict.passed for verdict in verdicts]
            estimates = [k for k in ESTIMATES if k <= len(passed)]
            records.append(
                {
                    "key": one.key,
                    "prompts": [prompt],
                    "prompt_is": "stripped" if stripped else "as published",
                    "answers": completions,
                    "passed": passed,
                    "reasons": [verdict.reason for verdict in verdicts],
                    "scores": {f"pass@{k}": pass_at(k, len(passed), sum(passed)) for k in estimates},
                    "chance": {f"pass@{k}": 0.0 for k in estimates},
                    "sandbox": settings.sandbox,
                }
            )
        return records

    return answer


def draw(candidate: Candidate, prompt: str, settings: Settings) -> list[str]:
    """Draw the samples of one problem, a batch at a time, each batch with a seed of its own."""
    ids, found = candidate.tokenizer.encode(prompt), []
    if len(ids) >= candidate.model.context_length:
        raise UserError(
            f"a problem of {len(ids):,} tokens",
            f"less than {candidate.model.context_length:,}, the window of {candidate.model.name}",
            "Take a longer context.",
        )
    for start in range(0, settings.samples, SAMPLES_AT_ONCE):
        number = min(SAMPLES_AT_ONCE, settings.samples - start)
        decoding = Decoding(TEMPERATURE, TOP_P, number, STOPS)
        found += candidate.model.generate([ids], NEW_TOKENS, settings.seed + start, decoding)
    return [cut(candidate.tokenizer.decode(generation.tokens)) for generation in found]


TASKS = (
    Task("humaneval", 1, "HumanEval", "pass@1", load, answering(stripped=True), at_once=1),
    Task("humaneval_unstripped", 1, "HumanEval, prompt as published", "pass@1", load, answering(stripped=False),
         at_once=1),
)  # fmt: skip
