"""A run that is killed, at any moment, ends as one that never was."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.runs import STEPS, assert_same_run, base_of, metrics_of, share_compiled_programs, start, tuned_of, xgen

PATIENCE = 240


def kill_when(root: Path, happens: Callable[[], bool], number: int, *arguments: str) -> str:
    """Start xgen, send it a signal when something happens, and return what it had printed; it may also finish."""
    process = start(root, *arguments)
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not happens() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode in (0, -number, 128 + number), output
    return output


def lines_in(root: Path, kind: str = "") -> int:
    return sum(path.read_bytes().count(b"\n") for path in root.glob(f"runs/micro-{kind}*/metrics.jsonl"))


def is_saving(root: Path) -> bool:
    return any("tmp" in path.name for path in root.glob("runs/*/checkpoints/*"))


@pytest.fixture
def root(finished, tmp_path):
    return share_compiled_programs(tmp_path / "killed", finished[0] / ".cache")


def test_kill_9_while_saving_in_a_stage_and_at_its_end_changes_no_bit(finished, root):
    kill_when(root, lambda: lines_in(root) >= 3, signal.SIGKILL, "pretrain", "micro")
    kill_when(root, lambda: lines_in(root) >= 4 and is_saving(root), signal.SIGKILL, "pretrain", "micro")
    kill_when(root, lambda: lines_in(root) >= 9, signal.SIGKILL, "pretrain", "micro")
    kill_when(root, lambda: lines_in(root) >= 16, signal.SIGKILL, "pretrain", "micro")
    assert lines_in(root) < STEPS, "the run ended before it could be killed"
    output = xgen(root, "pretrain", "micro")
    assert "resuming after step" in output
    assert_same_run(base_of(root), base_of(finished[0]))


def test_sigterm_saves_and_ends_and_the_same_command_continues(finished, root):
    output = kill_when(root, lambda: lines_in(root) >= 7, signal.SIGTERM, "pretrain", "micro")
    done = metrics_of(base_of(root))[-1]["step"]
    assert f"stopped after step {done} of {STEPS}; all is saved" in output
    assert "Traceback" not in output
    assert (base_of(root) / "checkpoints" / str(done)).is_dir()
    assert f"resuming after step {done} of {STEPS}" in xgen(root, "pretrain", "micro")
    assert_same_run(base_of(root), base_of(finished[0]))


@pytest.mark.slow
def test_five_kills_at_random_moments_of_the_whole_pipeline_change_no_bit(finished, root):
    moments = random.Random(time.time_ns())
    for _ in range(5):
        delay, started = moments.uniform(1, 12), time.monotonic()
        kill_when(
            root,
            lambda started=started, delay=delay: time.monotonic() > started + delay,
            signal.SIGKILL,
            "quickstart",
            "micro",
        )
    xgen(root, "quickstart", "micro")
    assert_same_run(base_of(root), base_of(finished[0]))
    assert_same_run(tuned_of(root), tuned_of(finished[0]))
    for name in ("data", "perplexity", "samples"):
        kept = f"results/{name}.json"
        assert (base_of(root) / kept).read_bytes() == (base_of(finished[0]) / kept).read_bytes()


def test_two_processes_cannot_write_to_one_run(finished, root):
    process = start(root, "pretrain", "micro")
    while process.poll() is None and not lines_in(root):
        time.sleep(0.01)
    output = xgen(root, "pretrain", "micro", code=2)
    assert "another xgen process is writing to" in output
    process.send_signal(signal.SIGKILL)
    process.communicate()
