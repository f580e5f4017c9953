"""HumanEval: the true solutions pass, broken ones fail, and pass@k is the estimate without bias."""

import dataclasses
import itertools

import pytest

from evals.candidates import Bytes, Noise, real_files
from xgen.core.errors import UserError
from xgen.core.types import Decoding, Generation
from xgen.evals.suite import humaneval
from xgen.evals.suite.humaneval import Problem, cut, judged, pass_at
from xgen.evals.task import Candidate, Settings, scores_of

ADD = Problem(
    "own/0",
    '\ndef add(a, b):\n    """Add.\n    >>> add(1, 2)\n    3\n    """\n',
    "add",
    "    return a + b\n",
    "\n\ndef check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n",
)


class Writer(Noise):
    """Writes what it was told for each prompt, in turn; keeps how it was asked."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        super().__init__()
        self.texts, self.asked_how = texts, []

    def generate(self, prompts, max_new_tokens, seed, decoding=Decoding()):  # noqa: B008
        self.asked_how.append((seed, decoding))
        (prompt,) = prompts
        written = itertools.cycle(self.texts[Bytes().decode(prompt)])
        texts = [next(written) for _ in range(decoding.num_samples)]
        return [Generation(tuple(text.encode()), (), "stop") for text in texts]


def asked(writer: Writer, problems, task=humaneval.TASKS[0], **settings) -> list[dict]:
    return task.answer(Candidate(writer, Bytes(), {}), problems, Settings(**settings))


def test_pass_at_k_is_the_share_of_draws_that_hold_a_sample_that_passes():
    for n, c in itertools.product(range(1, 8), range(8)):
        for k in range(1, n + 1):
            if c <= n:
                draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
                assert pass_at(k, n, c) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at(1, 200, 28) == pytest.approx(0.14)


def test_samples_are_drawn_in_batches_joined_to_the_prompt_and_counted():
    body = ["\n    return a + b\n", "\n    return a - b\n", "\n    return b + a\n\ndef more():\n    pass\n"]
    writer = Writer({ADD.prompt.strip(): body})
    (record,) = asked(writer, [ADD], samples=120)
    assert [how.num_samples for _, how in writer.asked_how] == [50, 50, 20]
    assert len({seed for seed, _ in writer.asked_how}) == 3
    assert {(how.temperature, how.top_p) for _, how in writer.asked_how} == {(0.2, 0.95)}
    assert record["scores"]["pass@1"] == pytest.approx(sum(record["passed"]) / 120)
    assert record["passed"] == [body.index(text) != 1 for text in _cycled(body, (50, 50, 20))]
    assert set(record["scores"]) == {"pass@1", "pass@10", "pass@100"} and record["prompt_is"] == "stripped"
    (kept,) = asked(Writer({ADD.prompt: ["    return a + b\n"]}), [ADD], humaneval.TASKS[1], samples=3)
    assert kept["scores"] == {"pass@1": 1.0} and kept["prompt_is"] == "as published"


def _cycled(texts: list[str], sizes: tuple[int, ...]) -> list[str]:
    return [text for size in sizes for text in itertools.islice(itertools.cycle(texts), size)]


def test_a_sample_ends_where_a_new_top_level_statement_begins():
    assert cut("\n    return 1\n\nprint(f(2))") == "\n    return 1\n"
    assert cut("\n    x = 1\n    # if \n    return x\nif True:\n") == "\n    x = 1\n    # if \n    return x"
    assert cut("\n    return 1") == "\n    return 1"


def test_a_problem_that_fills_the_window_is_told():
    writer = Writer({})
    writer.context_length = 20
    with pytest.raises(UserError, match=r"a problem of .* tokens; expected less than 20"):
        asked(writer, [ADD], samples=1)


MUTANTS = {
    "nothing": lambda one, others: "    pass\n",
    "a constant": lambda one, others: "    return 'mutant'\n",
    "an error": lambda one, others: "    raise NotImplementedError\n",
    "not the solution": lambda one, others: one.canonical.replace("return ", "return not "),
    "an end": lambda one, others: "    import os\n    os._exit(0)\n",
}


def real_problems() -> list[Problem]:
    real_files()
    return list(humaneval.load(Settings(data=real_files())).items)


@pytest.mark.parametrize("part", [slice(0, 164, 12), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_the_published_solutions_pass_all_tests(part):
    problems = real_problems()
    assert len(problems) == 164
    verdicts = judged([(one, one.prompt + one.canonical) for one in problems[part]], "strict")
    assert [
        (one.key, verdict) for one, verdict in zip(problems[part], verdicts, strict=True) if not verdict.passed
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", MUTANTS)
def test_a_mutant_passes_nowhere(how):
    problems = real_problems()
    mutants = [(one, one.prompt + MUTANTS[how](one, problems)) for one in problems]
    changed = [(one, code) for one, code in mutants if code != one.prompt + one.canonical]
    assert len(changed) > 150
    passed = [one.key for (one, _), verdict in zip(changed, judged(changed, "strict"), strict=True) if verdict.passed]
    assert passed == []


@pytest.mark.slow
def test_the_true_solutions_through_the_whole_task_score_one():
    problems = real_problems()[:40]
    writer = Writer({one.prompt.strip(): ["\n" + one.canonical] for one in problems})
    records = asked(writer, problems, samples=2)
    assert scores_of(records)["pass@1"]["value"] == 1.0
    assert dataclasses.asdict(problems[0])["key"] == "HumanEval/0"
