"""The suite `instruct` of `xgen evaluate`: a model answers, a judge or a program scores, tables 8 to 13 are printed.

Every request and reply stands in <root>/judged/<who>.jsonl, and what each score was made of in
<run>/judged/<model>/; scores are in the run's results. The same command continues where it was.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgen.core.ledger import RunFolder, locked, write_json_lines, write_text
from xgen.core.progress import say
from xgen.judges import recorded
from xgen.judges.tasks import NOT_NAMED, TASKS, Files, Session, file_name
from xgen.recipes.schema import Recipe
from xgen.report import judged
from xgen.report.tables import as_text
from xgen.speakers.asking import Asked, Record, Replay, Speaker
from xgen.speakers.config import Endpoint
from xgen.speakers.endpoint import EndpointSpeaker
from xgen.stress import suite
from xgen.workspace.folders import named_checkpoint, workspace_of
from xgen.workspace.speakers import peer_of, speaker_of
from xgen.workspace.target import Target, resolve

Models = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """Who judges, who writes questions, and who answers in place of the target's model."""

    judge: Endpoint = field(default_factory=Endpoint)
    writer: Endpoint = field(default_factory=Endpoint)
    """Asks about long texts (ChatGPT in the report); without one the judge does."""
    peer: Endpoint = field(default_factory=Endpoint)
    """Another model that answers, for a row to compare with."""
    peer_folder: Path = NOT_NAMED
    """A Hugging Face folder that answers, in PyTorch and in its own chat template."""
    judge_folder: Path = NOT_NAMED
    """A run or a Hugging Face folder of ours that judges, instead of an endpoint."""
    replay: bool = False
    """Ask no endpoint: take all that they said from the record of an earlier run, and fail where it lacks something."""
    files: Files = field(default_factory=Files)
    stress: int = 10
    """Items of each short category of the stress test; 0 leaves it out."""
    words: Path = NOT_NAMED
    """A list of words, one a line, whose use in answers to the stress test is counted."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and where."""

    target: Target
    recipe: Recipe
    root: Path
    checkpoint: str
    limit: int


def run(subject: Subject, options: Options) -> None:
    """Measure the tasks whose files are named, keep each result as soon as it is there, print all that is known."""
    files = options.files
    if files.recorded != NOT_NAMED:
        _print(recorded.scores(files.recorded, _named(files.alpaca_eval), _named(files.mt_bench), files.baseline))
        return
    with locked(subject.root / "judged"):
        session, home = _session(subject, options)
        known: Models = home.read_result("instruct") or {}
        found = known.setdefault(session.model.name, {})
        judge = session.judge.name if session.judge else "nobody"
        say(f"evaluate {session.model.name}: suite instruct, judged by {judge}")
        for task in TASKS:
            if gap := task.gap(session):
                found.setdefault(task.name, {"error": gap})
            else:
                found[task.name] = task.measure(session)
                say(f"  {judged.TASKS[task.name]}: done")
            home.write_result("instruct", known)
        if options.stress:
            found["stress"] = _stress(session, subject.recipe.seed, options)
            home.write_result("instruct", known)
        models = _neighbors(subject) | known
        _draw(models, session.folder)
        _print(models)
        for asked, config in ((session.judge, options.judge), (session.writer, options.writer)):
            if asked is not None and config.price_in + config.price_out > 0:
                say(f"{asked.name}: ${asked.record.spent:.2f} spent in all, {asked.record.path}")


def _session(subject: Subject, options: Options) -> tuple[Session, RunFolder]:
    """Make everybody who is asked ready, and find the folder of the results: the run's, or one for a folder."""
    records, target, recipe = subject.root / "judged", subject.target, subject.recipe

    def asked(speaker: Speaker) -> Asked:
        return Asked(speaker, Record(records / f"{file_name(speaker.name)}.jsonl", speaker.name))

    def endpoint(config: Endpoint) -> Asked | None:
        if not config.url:
            return None
        return asked(Replay(config.model, config.context_length) if options.replay else EndpointSpeaker(config))

    if target.kind == "huggingface":
        home = RunFolder(records / file_name(target.text))
    else:
        home, _ = named_checkpoint(workspace_of(target, recipe, subject.root), subject.checkpoint)
    model, judge = endpoint(options.peer), endpoint(options.judge)
    if options.peer_folder != NOT_NAMED:
        model = asked(peer_of(options.peer_folder, recipe.seed))
    if judge is None and options.judge_folder != NOT_NAMED:
        named = resolve(str(options.judge_folder))
        judge = asked(speaker_of(named, named.recipe, subject.root, "latest"))
    model = model or asked(speaker_of(target, recipe, subject.root, subject.checkpoint))
    folder = home.path / "judged" / file_name(model.name)
    writer = endpoint(options.writer) or judge
    return Session(model, judge, writer, options.files, subject.limit, folder), home


def _stress(session: Session, seed: int, options: Options) -> dict[str, Any]:
    listed = suite.read_words(options.words) if options.words != NOT_NAMED else frozenset()
    rows, scores = suite.measure(session.model, seed, options.stress, listed)
    write_json_lines(session.folder / "stress.jsonl", rows)
    say("  Stress test: done")
    return scores


def _neighbors(subject: Subject) -> Models:
    """Find what was measured of the other runs of the same recipe, so that base and tuned stand side by side."""
    if subject.target.kind == "huggingface":
        return {}
    workspace = workspace_of(subject.target, subject.recipe, subject.root)
    found: Models = {}
    for path in (workspace.base, workspace.tuned):
        found |= RunFolder(path).read_result("instruct") or {}
    return found


def _draw(models: Models, folder: Path) -> None:
    from xgen.report.figures import scores_by_category

    singles = {name: found.get("mt_bench_single", {}) for name, found in models.items()}
    scores = {name: found["by_category"] for name, found in singles.items() if "by_category" in found}
    if scores:
        write_text(folder / "mt_bench.svg", scores_by_category(scores, highest=10))
        say(f"scores by category: {folder / 'mt_bench.svg'}")


def _print(models: Models) -> None:
    for title, table in judged.tables(models):
        say(f"\n{title}\n\n{as_text(table)}")


def _named(place: Path) -> Path | None:
    return None if place == NOT_NAMED else place
