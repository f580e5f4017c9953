"""The same random weights judged by lm-eval's own PyTorch model and by ours: equal prompts and equal answers."""

from pathlib import Path
from typing import Any

import pytest

from evals.candidates import real_files
from evals.folders import write_small
from xgen.evals import harness
from xgen.evals.catalog import TASKS, ZERO_SHOT
from xgen.evals.files import find, rows_of
from xgen.evals.suite import mmlu
from xgen.evals.task import Candidate, Settings
from xgen.peers.huggingface import HuggingFaceModel
from xgen.serve.engine import Engine
from xgen.tokenizer.encoding import ReleasedTokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
]
LIMIT = 24
WINDOW = 384
"""Short, so that some prompts of BoolQ and MMLU are cut."""
# The files that both read, and what lm-eval is told of them; its own data sets come from the hub.
FILES = {
    "hellaswag": ("rubriks_hellaswag.jsonl", "json"),
    "winogrande": ("winogrande/winogrande_xl/validation/*.arrow", "arrow"),
    "boolq": ("boolq/**/validation/*.arrow", "arrow"),
    "piqa": ("piqa/**/validation/*.arrow", "arrow"),
    "openbookqa": ("openbookqa/**/validation/*.arrow", "arrow"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_small(tmp_path_factory.mktemp("model") / "small", WINDOW)


@pytest.fixture(scope="module")
def ours(folder) -> Candidate:
    return Candidate(engine_of(folder), ReleasedTokenizer(), {"model": "small"})


def engine_of(folder: Path) -> Engine:
    from evals.folders import FLOAT32
    from xgen.workspace.loading import load_folder

    loaded = load_folder(folder)
    return Engine("small", loaded.params, loaded.config, FLOAT32, loaded.context_length)


@pytest.fixture(scope="module")
def theirs(folder) -> Any:
    pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), batch_size=4, device="cpu", dtype="float32", max_length=WINDOW)


def rewritten(name: str, out: Path) -> tuple[str, str]:
    """Give lm-eval rows of a kind that no file here has: the hub's form of ARC, TruthfulQA and MMLU."""
    import json

    path = out / f"{name}.jsonl"
    if name == "arc_challenge":
        rows = [
            {"id": row["id"], "question": row["question"]["stem"], "answerKey": row["answerKey"]}
            | {"choices": {key: [one[key] for one in row["question"]["choices"]] for key in ("text", "label")}}
            for row in rows_of(find(real_files(), ("ARC-Challenge-Test.jsonl",)))
        ]
    elif name == "truthfulqa":
        rows = [
            {"question": row["question"]}
            | {
                kind: {"choices": list(row[kind]), "labels": list(row[kind].values())}
                for kind in ("mc1_targets", "mc2_targets")
            }
            for row in rows_of(find(real_files(), ("mc_task.json",)))
        ]
    else:
        rows = [
            {"question": text, "choices": answers, "answer": gold}
            for text, answers, gold in mmlu.read_rows(find(real_files(), (f"{name}.csv",)))
        ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path), "json"


def asked_by_lm_eval(task: str, data: dict[str, str], kind: str, theirs: Any, tmp_path: Path, shots: int = 0):
    """Run one task of lm-eval on local files; one list of (prompt, answer, log-likelihood, greedy) a document."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    source = next(path for path in harness.folder_of(task).glob("*.yaml") if harness._defines(path, task))
    splits = {"training_split": None, "validation_split": None, "test_split": "test"}
    lines = [f"include: {source}", f"task: local_{task}", f"dataset_path: {kind}", "dataset_name: null"]
    lines += [f"{key}: {value or 'null'}" for key, value in splits.items()]
    lines += ["dataset_kwargs:", "  data_files:", *[f"    {split}: {path}" for split, path in data.items()]]
    if task == "boolq" and kind == "arrow":
        lines.append("doc_to_target: answer")
    (tmp_path / f"{task}.yaml").write_text("\n".join(lines) + "\n")
    found = lm_eval.simple_evaluate(
        model=theirs,
        tasks=[f"local_{task}"],
        num_fewshot=shots,
        limit=LIMIT,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
    )
    samples = sorted(found["samples"][f"local_{task}"], key=lambda sample: sample["doc_id"])
    answers = [
        [
            (*arguments, float(logprob), bool(greedy))
            for arguments, (logprob, greedy) in zip(sample["arguments"], sample["filtered_resps"], strict=True)
        ]
        for sample in samples
    ]
    return answers, samples


def compare(name: str, theirs_asked: list, theirs_samples: list, ours: Candidate, data: Path, metrics: dict) -> None:
    task = TASKS[name]
    items = list(task.load(Settings(limit=LIMIT, data=data)).items)[: len(theirs_asked)]
    assert len(items) == len(theirs_asked)
    records = task.answer(ours, items, Settings())
    for item, record, their_pairs, sample in zip(items, records, theirs_asked, theirs_samples, strict=True):
        before = item.head + "".join(item.shots)
        pairs = [(before + context, continuation) for context, continuation in item.pairs]
        own = pairs[: len(their_pairs)] if metrics != {"mc2": "acc"} else pairs[-len(their_pairs) :]
        logprobs = dict(zip(pairs, record["logprobs"], strict=True))
        assert own == [(context, continuation) for context, continuation, _, _ in their_pairs], "to the letter"
        for pair, (_, _, logprob, _) in zip(own, their_pairs, strict=True):
            assert logprobs[pair] == pytest.approx(logprob, abs=2e-3 + 1e-5 * abs(logprob))
        for metric, theirs_name in metrics.items():
            if metric != "mc2":
                assert record["scores"][metric] == sample[theirs_name], (name, item.key)


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_every_document_of_the_zero_shot_sets_gets_the_answer_of_lm_eval(name, ours, theirs, tmp_path):
    if name in FILES:
        pattern, kind = FILES[name]
        path = str(find(real_files(), (pattern,)))
    else:
        path, kind = rewritten(name, tmp_path)
    both = {"acc": "acc", "acc_norm": "acc_norm"}
    runs = {
        "truthfulqa": [("truthfulqa_mc1", {"mc1": "acc"}), ("truthfulqa_mc2", {"mc2": "acc"})],
        "winogrande": [("winogrande", {"acc": "acc"})],
        "boolq": [("boolq", {"acc": "acc"})],
    }.get(name, [(name, both)])
    for task, metrics in runs:
        asked, samples = asked_by_lm_eval(task, {"test": path}, kind, theirs, tmp_path)
        compare(name, asked, samples, ours, real_files(), metrics)


@pytest.mark.parametrize("subject", ["anatomy", "high_school_european_history"])
def test_the_flavor_of_lm_eval_gives_its_prompts_and_its_answers(subject, ours, theirs, tmp_path):
    data = {split: rewritten(f"{subject}_{split}", tmp_path)[0] for split in ("dev", "test")}
    asked, samples = asked_by_lm_eval(f"mmlu_{subject}", data, "json", theirs, tmp_path, shots=5)
    task = TASKS["mmlu_lm_eval"]
    tables = mmlu.read_folder(real_files())[0][subject]
    items = mmlu.questions(subject, tables["dev"], tables["test"][:LIMIT], "lm_eval")
    records = task.answer(ours, items, Settings())
    for item, record, pairs, sample in zip(items, records, asked, samples, strict=True):
        before = item.head + "".join(item.shots)
        assert [(before + context, answer) for context, answer in item.pairs] == [pair[:2] for pair in pairs]
        assert record["logprobs"] == pytest.approx([pair[2] for pair in pairs], abs=2e-3)
        assert record["scores"]["acc"] == sample["acc"]
    assert any(record["counts"]["tokens_cut"] for record in records), "some prompts are too long for the window"


def test_the_peer_and_the_engine_agree_through_the_same_contract(ours, folder):
    peer = HuggingFaceModel(folder)
    judged = Candidate(peer, peer.tokenizer, {"model": "small"})
    items = TASKS["boolq"].load(Settings(limit=6, data=real_files())).items
    for own, other in zip(
        TASKS["boolq"].answer(ours, items, Settings()), TASKS["boolq"].answer(judged, items, Settings()), strict=True
    ):
        assert own["logprobs"] == pytest.approx(other["logprobs"], abs=2e-3)
        assert {**own, "logprobs": 0} == {**other, "logprobs": 0}
    prompt = ours.tokenizer.encode("The tide comes in")
    assert peer.generate([prompt], 8, 0) == pytest.approx(peer.generate([prompt], 8, 0))
    assert peer.generate([prompt], 8, 0)[0].tokens == ours.model.generate([prompt], 8, 0)[0].tokens
    rows = __import__("numpy").array([prompt], "int32")
    assert peer.window(rows) == pytest.approx(ours.model.window(rows), abs=1e-3)
    best = list(peer.generate([prompt], 2, 0)[0].tokens)
    assert [one.greedy for one in peer.score([(prompt, best), (prompt, [best[0], best[1] + 1])])] == [True, False]


def test_a_task_of_lm_eval_on_our_engine_equals_it_on_their_model(ours, theirs, tmp_path):
    """A task that is not in our suite, with greedy accuracy and perplexity, through the adapter."""
    path = str(find(real_files(), ("openbookqa/**/validation/*.arrow",)))
    adapter = harness.adapter(ours)
    for pair in zip(
        asked_by_lm_eval("openbookqa", {"test": path}, "arrow", adapter, tmp_path)[0],
        asked_by_lm_eval("openbookqa", {"test": path}, "arrow", theirs, tmp_path)[0],
        strict=True,
    ):
        for (*own, own_logprob, own_greedy), (*other, other_logprob, other_greedy) in zip(*pair, strict=True):
            assert own == other and own_greedy == other_greedy
            assert own_logprob == pytest.approx(other_logprob, abs=2e-3)
    from lm_eval.api.instance import Instance

    texts = ["The tide comes in twice a day. " * 80, "A short one."]
    requests = [Instance("loglikelihood_rolling", {}, (text,), index) for index, text in enumerate(texts)]
    assert adapter.loglikelihood_rolling(requests) == pytest.approx(theirs.loglikelihood_rolling(requests), rel=1e-4)
    asked = Instance("generate_until", {}, ("The tide", {"until": ["\n\n"], "max_gen_toks": 8, "do_sample": False}), 0)
    assert adapter.generate_until([asked]) == theirs.generate_until([asked])
