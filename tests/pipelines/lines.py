"""A corpus of JSON lines and texts that takes many pieces, prepared in processes that a test can disturb."""

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from data.stores import recipe_over, sentence
from xgen.data import shards
from xgen.pieces import plan
from xgen.pipelines import prepare as verb
from xgen.recipes.schema import Recipe, to_plain

SMALL = {"PIECE_BYTES": 9_000, "INLINE_BYTES": 0, "ROW_FILE_TOKENS": 700}
"""Limits that give this corpus some twenty pieces and ten files of rows, made by real workers."""

COPIES = 4


def write_lines(folder: Path, first_seed: int, num_documents: int = 60) -> Path:
    """Write documents of 30 to 520 words: three quarters as lines of two files, the rest as texts."""
    folder.mkdir(parents=True)
    texts = [
        sentence(first_seed + number, 520 if number % 5 == 0 else 30 + 4 * number) for number in range(num_documents)
    ]
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (folder / "a.jsonl").write_text("".join(lines[:30]))
    (folder / "b.jsonl").write_text("".join(lines[30:45]))
    for number, text in enumerate(texts[45:]):
        (folder / f"c{number:02}.txt").write_text(text)
    return folder


def corpus(folder: Path, **changes: float) -> Recipe:
    """Write both sources, COPIES near copies of prose among the code, and give a recipe over them."""
    prose, code = write_lines(folder / "prose", 0), write_lines(folder / "code", 1000)
    copies = [" ".join(sentence(5 * number, 520).split(" ")[:-4]) for number in range(COPIES)]  # of the long ones
    (code / "d.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in copies))
    return recipe_over(prose, code, **({"duplicate_similarity": 0.8} | changes))


def make_small(monkeypatch) -> None:
    """Set the limits for this process; workers are told what they need with each task."""
    monkeypatch.setattr(plan, "PIECE_BYTES", SMALL["PIECE_BYTES"])
    monkeypatch.setattr(verb, "INLINE_BYTES", SMALL["INLINE_BYTES"])
    monkeypatch.setattr(shards, "ROW_FILE_TOKENS", SMALL["ROW_FILE_TOKENS"])


DRIVER = """
import json, resource, sys
from xgen.cli import main
from xgen.data import shards
from xgen.pieces import plan
from xgen.pipelines import prepare as verb
from xgen.recipes import catalog
from xgen.recipes.schema import from_plain
small, recipe, largest = (json.loads(argument) for argument in sys.argv[1:4])
plan.PIECE_BYTES, verb.INLINE_BYTES, shards.ROW_FILE_TOKENS = small.values()
catalog.RECIPES["it"] = from_plain(recipe)
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
sys.exit(main(["prepare", "it", *sys.argv[4:]]))
"""


def start(recipe: Recipe, root: Path, *options: str, largest_file: int = 0) -> subprocess.Popen:
    """Prepare in a process of its own, which can be killed; no file may grow beyond `largest_file` bytes."""
    arguments = [json.dumps(SMALL), json.dumps(to_plain(recipe)), json.dumps(largest_file)]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments, "--root", str(root), *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen, code: int = 0) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    return output


def wait_for(root: Path, pattern: str, number: int, process: subprocess.Popen | None = None) -> None:
    """Wait until so many files are there, or the process has ended."""
    deadline = time.monotonic() + 60
    while len(list(root.glob(pattern))) < number and (process is None or process.poll() is None):
        assert time.monotonic() < deadline, f"no {number} {pattern} within a minute"
        time.sleep(0.002)


def workers() -> list[int]:
    """Name the worker processes of this process."""
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def bytes_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file that is no lock."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
