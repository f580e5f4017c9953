"""`xgen prepare` beside raw tiktoken and datatrove on the same files and tokenizer, the reader of rows, and memory.

    PYTHONPATH=src python bench/prepare.py [--megabytes 100] [--datatrove PYTHON] [--memory 100 200 400]

PYTHON is an interpreter with datatrove and tokenizers installed; without one that row is left out. The files are JSON
lines of this machine's Python modules, each with its licence and name, repeated with changes. Raw tiktoken encodes
texts that are in memory already, and does nothing else. All is measured in one run: on a shared machine trust the
ratios, and of these the one of processor time, which counts the processes that a command has waited for.
"""

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from xgen.data.loader import batch_of
from xgen.data.shards import open_prepared
from xgen.export.tokenizer_json import tokenizer_json

FILE_BYTES, CONTEXT = 10_000_000, 2_048
FILTERS = ("licence", "code")

RAW = """
import sys, time, orjson
from pathlib import Path
from xgen.tokenizer.encoding import _encoding
texts = [orjson.loads(line)["text"] for path in sys.argv[2:] for line in Path(path).open("rb")]
encoding = _encoding()
encoding.encode_to_numpy("warm")
print("ready", flush=True)
sys.stdin.readline()
begun, used = time.perf_counter(), time.process_time()
tokens = sum(len(encoding.encode_to_numpy(text, disallowed_special=())) for text in texts)
print(tokens, time.perf_counter() - begun, time.process_time() - used, flush=True)
"""
DATATROVE = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
folder, tokenizer, output, workers = sys.argv[1:]
if __name__ == "__main__":
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(folder),
            DocumentTokenizer(f"{output}/tokens", tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>"),
        ],
        tasks=int(workers),
        workers=int(workers),
        logging_dir=f"{output}/logs",
    ).run()
"""


@dataclass(frozen=True)
class Run:
    """What one command took, with all processes that it started."""

    seconds: float
    processor: float
    peak_mb: float
    """Of the largest of its processes."""


def modules() -> Iterator[tuple[str, str]]:
    """Yield the name and text of modules that are installed here, again and again, from the second time on changed."""
    paths = [path for kind in ("stdlib", "purelib") for path in Path(sysconfig.get_path(kind)).rglob("*.py")]
    paths.sort()
    random.Random(0).shuffle(paths)
    number = 0
    while True:
        for path in paths:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if len(text) > 500:
                changed = (
                    text.replace("self", f"self{number}").replace("return", f"return_{number}") if number else text
                )
                yield path.name, changed
        number += 1


def write_corpus(folder: Path, megabytes: int) -> list[Path]:
    """Write files of about 10 MB."""
    folder.mkdir(parents=True)
    paths, found, total = [], modules(), 0
    while total < megabytes * 1_000_000:
        lines, size = [], 0
        while size < FILE_BYTES:
            name, text = next(found)
            lines.append(orjson.dumps({"text": text, "licence": "MIT", "path": name}) + b"\n")
            size += len(lines[-1])
        paths.append(folder / f"{len(paths):05}.jsonl")
        paths[-1].write_bytes(b"".join(lines))
        total += size
    return paths


def timed(command: Sequence[str]) -> Run:
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command[:4])} .. ended with {child.returncode}:\n{said.read()[-3000:]}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def raw_tiktoken(paths: Sequence[Path], processes: int) -> tuple[int, Run]:
    """Encode the files in so many processes that begin together; return the tokens, and the time of the slowest."""
    parts = [[str(path) for path in paths[number::processes]] for number in range(processes)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", RAW, "raw", *part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for part in parts
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [[float(word) for word in child.communicate()[0].split()] for child in children]
    tokens, seconds, processor = zip(*said, strict=True)
    return int(sum(tokens)), Run(max(seconds), sum(processor), 0)


def prepare(corpus: Path, root: Path, tokens: int, workers: int) -> Run:
    """Run the command on the files: length, licences, rules of code, exact duplicates, rows of 2,048 at the end."""
    takes_workers = (
        "--workers"
        in subprocess.run(
            [sys.executable, "-m", "xgen.cli", "prepare", "micro", "--help"], capture_output=True, text=True, check=True
        ).stdout
    )
    batch = 32 * CONTEXT
    stages = {0: tokens // 2 // batch * batch, 1: batch, 2: batch}
    flags = {
        "--root": str(root),
        "--data.sources.0.reader": "files",
        "--data.sources.0.location": str(corpus),
        "--data.sources.0.filters": FILTERS,
        "--data.mixtures.0.shares.1.weight": "0.001",
        "--data.mixtures.1.shares.1.weight": "0.01",
        **{f"--stages.{number}.tokens": str(wanted) for number, wanted in stages.items()},
        **{f"--stages.{number}.context-length": str(CONTEXT) for number in stages},
        **{f"--stages.{number}.batch-tokens": str(batch) for number in stages},
        **({"--workers": str(workers)} if takes_workers else {}),
    }
    words = [word for flag, value in flags.items() for word in (flag, *([value] if isinstance(value, str) else value))]
    return timed([sys.executable, "-m", "xgen.cli", "prepare", "micro", *words])


def rows_per_second(folder: Path) -> tuple[float, float]:
    """Read the rows of a stage in batches of 64, as they lie there and as batches of a training step."""
    (prepared,) = (path for path in folder.iterdir() if path.is_dir())
    rows = open_prepared(prepared).rows("1a")
    speeds = []
    for read in (lambda start: np.array(rows[start : start + 64]), lambda start: batch_of(rows, start, 64)):
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < 2:
            for start in range(0, len(rows) - 63, 64):
                read(start)
                count += 64
        speeds.append(count / (time.perf_counter() - begun))
    return speeds[0], speeds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--datatrove", default=sys.executable if importlib.util.find_spec("datatrove") else "")
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="sizes of input in megabytes")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        paths = write_corpus(root / "corpus", options.megabytes)
        (root / "tokenizer.json").write_text(json.dumps(tokenizer_json()), encoding="utf-8")
        size = sum(path.stat().st_size for path in paths) / 1e6
        print(f"{size:.0f} MB of JSON lines in {len(paths)} files")
        print(f"{'':32}{'seconds':>9}{'Mtok/s':>8}{'of raw':>8}{'processor':>11}{'of raw':>8}{'peak MB':>9}")
        for workers in options.workers:
            tokens, raw = raw_tiktoken(paths, workers)
            row(f"tiktoken alone, {workers} processes", tokens, raw, raw)
            run = prepare(root / "corpus", root / f"xgen-{workers}", tokens, workers)
            row(f"xgen prepare, {workers} workers", tokens, run, raw)
            if options.datatrove:
                out = str(root / f"datatrove-{workers}")
                script = root / "datatrove_run.py"
                script.write_text(DATATROVE)
                command = [options.datatrove, str(script), str(root / "corpus"), str(root / "tokenizer.json"), out]
                row(f"datatrove, {workers} workers", tokens, timed([*command, str(workers)]), raw)
        if options.workers:
            folder = root / f"xgen-{options.workers[-1]}" / "data"
            print("rows of 2,048 a second: {:,.0f} as they lie, {:,.0f} as batches".format(*rows_per_second(folder)))
        for megabytes in options.memory:
            corpus = root / f"corpus-{megabytes}"
            write_corpus(corpus, megabytes)
            run = prepare(corpus, root / f"memory-{megabytes}", megabytes * 300_000, 1)
            print(
                f"xgen prepare of {megabytes:,} MB: {run.peak_mb:,.0f} MB at most in one process, {run.seconds:.0f} s"
            )


def row(name: str, tokens: int, run: Run, raw: Run) -> None:
    walls = f"{run.seconds:9.1f}{tokens / run.seconds / 1e6:8.2f}{raw.seconds / run.seconds:8.2f}"
    print(f"{name:32}{walls}{run.processor:11.1f}{raw.processor / run.processor:8.2f}{run.peak_mb:9,.0f}", flush=True)


if __name__ == "__main__":
    main()
