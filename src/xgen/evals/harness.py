"""lm-eval's own tasks on any candidate, by name (extra: eval; it needs no PyTorch).

lm-eval indexes some 14,000 names when it starts; here the one folder that holds a task is found by its file's name, and
only that is indexed.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from xgen.core.errors import UserError, suggest
from xgen.core.ledger import write_json
from xgen.core.types import Decoding
from xgen.evals.task import Candidate, Settings

PREFIX = "lm-eval:"
DEFAULT_NEW_TOKENS = 256


def adapter(candidate: Candidate) -> Any:
    """Make the object that lm-eval asks: its subclass of lm_eval.api.model.TemplateLM, answered by `candidate`."""
    template: Any = _library("lm_eval.api.model").TemplateLM
    model, tokenizer = candidate.model, candidate.tokenizer

    class Adapter(template):
        eot_token_id = property(lambda self: tokenizer.end_of_text)
        tokenizer_name = property(lambda self: candidate.about.get("tokenizer", "xgen"))

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
            return tokenizer.encode(string)

        def _loglikelihood_tokens(self, requests: Sequence[Any], **kwargs: Any) -> list[tuple[float, bool]]:
            """Cut the left end of what is too long, as lm-eval's own models do."""
            longest = model.context_length + 1
            pairs = [
                (context[max(0, len(context) + len(continuation) - longest) :], continuation)
                for _, context, continuation in requests
            ]
            return [(found.logprob, found.greedy) for found in model.score(pairs)]

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            return [_rolling(candidate, tokenizer.encode(request.args[0])) for request in requests]

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            return [_until(candidate, *request.args) for request in requests]

    return Adapter()


def _rolling(candidate: Candidate, ids: list[int]) -> float:
    """Sum the log-probabilities of a text in lm-eval's own windows: each token once, the last window full."""
    tools = _library("lm_eval.utils")
    windows = tools.get_rolling_token_windows(
        token_list=ids,
        prefix_token=candidate.tokenizer.end_of_text,
        max_seq_len=candidate.model.context_length,
        context_len=1,
    )
    likelihoods = candidate.model.score([tools.make_disjoint_window(window) for window in windows])
    return float(sum(likelihood.logprob for likelihood in likelihoods))


def _until(candidate: Candidate, context: str, how: dict[str, Any]) -> str:
    """Generate one answer as lm-eval's generation_kwargs ask; what is too long loses its left end."""
    stops = how.get("until") or []
    stops = (stops,) if isinstance(stops, str) else tuple(filter(None, stops))
    new = min(int(how.get("max_gen_toks", DEFAULT_NEW_TOKENS)), candidate.model.context_length // 2)
    sampled = bool(how.get("do_sample", False)) and float(how.get("temperature", 0)) > 0
    decoding = Decoding(float(how["temperature"]) if sampled else 0.0, float(how.get("top_p", 1.0)), 1, stops)
    ids = candidate.tokenizer.encode(context)[-(candidate.model.context_length - new) :]
    (found,) = candidate.model.generate([ids], new, 0, decoding)
    text = candidate.tokenizer.decode(found.tokens)
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def run(name: str, candidate: Candidate, settings: Settings, folder: Path) -> dict[str, Any]:
    """Run one task or group of lm-eval and write its result in the form of our own, with the reason where it failed."""
    try:
        result = _run(name, candidate, settings)
    except UserError as error:
        result = {"task": PREFIX + name, "title": f"{name} (lm-eval)", "headline": "acc", "error": str(error)}
    write_json(folder / f"lm-eval-{name}.json", result)
    return result


def _run(name: str, candidate: Candidate, settings: Settings) -> dict[str, Any]:
    """Ask lm-eval, whose data come as its own file says."""
    library = _library("lm_eval")
    manager = _library("lm_eval.tasks").TaskManager(include_path=str(folder_of(name)), include_defaults=False)
    try:
        found = library.simple_evaluate(
            model=adapter(candidate), tasks=[name], task_manager=manager, limit=settings.limit or None,
            bootstrap_iters=0,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"lm-eval could not run {name} ({type(error).__name__}: {reason})",
            "its data and libraries at hand",
            "Read what it asks for, and try again with a network.",
        ) from None
    return {
        "task": PREFIX + name,
        "title": f"{name} (lm-eval {library.__version__})",
        "headline": "acc",
        "scores": _scores(found["results"], found.get("n-samples", {})),
        "asked": {"candidate": candidate.about, "limit": settings.limit, "versions": found.get("versions", {})},
        "samples": [
            {"task": task, **{key: each.get(key) for key in ("doc_id", "arguments", "filtered_resps", "target")}}
            for task, records in (found.get("samples") or {}).items()
            for each in records
        ],
    }


def _scores(results: dict[str, Any], counts: dict[str, Any]) -> dict[str, dict[str, float | int]]:
    """Flatten lm-eval's "metric,filter" values, with the standard errors beside them."""
    scores = {}
    for task, values in results.items():
        for key, value in values.items():
            metric, _, chosen = key.partition(",")
            if not chosen or metric.endswith("_stderr") or not isinstance(value, int | float | np.number):
                continue
            error = values.get(f"{metric}_stderr,{chosen}")
            name = metric if len(results) == 1 else f"{task} {metric}"
            scores[name if chosen == "none" else f"{name} ({chosen})"] = {
                "value": float(value),
                "standard_error": float(error) if isinstance(error, int | float | np.number) else float("nan"),
                "count": int(counts.get(task, {}).get("effective", 0)),
            }
    return scores


def folder_of(name: str) -> Path:
    """Find the folder of lm-eval that defines a task, by the name of its file or of a folder, or by its text."""
    tasks = Path(_library("lm_eval").__file__).parent / "tasks"
    files = sorted(tasks.rglob("*.yaml"))
    likely = [path for path in files if path.stem.lstrip("_") == name]
    for path in (*likely, *files):
        if _defines(path, name):
            return path.parent
    if likely:
        return likely[0].parent
    raise UserError(f"lm-eval has no task '{name}'", "one of its tasks", suggest(name, {path.stem for path in files}))


def _defines(path: Path, name: str) -> bool:
    """Say whether a file of lm-eval gives this name to a task or a group; several files are called alike."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return any(line.replace('"', "").strip() in (f"task: {name}", f"group: {name}") for line in lines)


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UserError("lm-eval is not installed", "lm-eval for its own tasks", "pip install 'xgen[eval]'") from None
