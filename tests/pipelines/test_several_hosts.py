"""Two processes train as one: the same losses, one writer, and a resume after one of them was killed."""

import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from pipelines.runs import base_of, environment, metrics_of, share_compiled_programs, tuned_of


def start_both(root, *verb: str) -> list[subprocess.Popen]:
    """Two processes of two devices each: rows over one axis, heads over the other."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    settled = environment() | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "xgen.cli", *(verb or ("pretrain", "micro")), "--root", str(root)),
                *("--execution.data-axis", "2", "--execution.model-axis", "2"),
                *("--hosts.coordinator", address, "--hosts.num-processes", "2", "--hosts.process-id", str(number)),
            ],
            env=settled,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]


def lines_in(root) -> int:
    return sum(path.read_bytes().count(b"\n") for path in root.glob("runs/*/metrics.jsonl"))


def test_two_processes_pass_a_stage_boundary_one_is_killed_and_both_resume(finished, tmp_path):
    root = share_compiled_programs(tmp_path / "several", finished[0] / ".cache")
    both = start_both(root)
    deadline = time.monotonic() + 200
    while lines_in(root) < 14 and time.monotonic() < deadline and all(one.poll() is None for one in both):
        time.sleep(0.01)
    assert lines_in(root) >= 14, [one.communicate()[0] for one in both if one.poll() is not None]
    both[1].send_signal(signal.SIGKILL)
    time.sleep(1)
    both[0].send_signal(signal.SIGKILL)
    for one in both:
        one.communicate()
    assert lines_in(root) < 25, "the run ended before it could be killed"

    both = start_both(root)
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert "resuming after step" in outputs[0]
    found, alone = metrics_of(base_of(root)), metrics_of(base_of(finished[0]))
    assert [line["step"] for line in found] == list(range(1, 26))
    np.testing.assert_allclose([line["loss"] for line in found], [line["loss"] for line in alone], rtol=1e-5)


@pytest.mark.slow
def test_two_processes_tune_as_one_and_the_first_alone_reads_the_conversations(finished, tmp_path):
    root = share_compiled_programs(tmp_path / "several", finished[0] / ".cache")
    (root / "runs").mkdir()
    (root / "data").mkdir()
    (root / "runs" / base_of(finished[0]).name).symlink_to(base_of(finished[0]))
    for prepared in (finished[0] / "data").glob("[!i]*"):
        (root / "data" / prepared.name).symlink_to(prepared)
    both = start_both(root, "instruct", "micro")
    outputs = [one.communicate(timeout=400)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    found, alone = metrics_of(tuned_of(root)), metrics_of(tuned_of(finished[0]))
    np.testing.assert_allclose([line["loss"] for line in found], [line["loss"] for line in alone], rtol=1e-5)
    assert len(list((root / "data").glob("inst-*"))) == 1


def test_a_coordinator_that_nobody_reaches_ends_the_process_after_a_line_that_says_what_to_check(tmp_path):
    process = subprocess.run(
        [
            *(sys.executable, "-m", "xgen.cli", "pretrain", "micro", "--root", str(tmp_path)),
            *("--hosts.coordinator", "localhost:1", "--hosts.num-processes", "2", "--hosts.process-id", "1"),
            *("--hosts.timeout-seconds", "2"),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert "joining the run at localhost:1; if this fails within 2 s, check that every process reaches it" in (
        process.stdout
    )
    assert not (tmp_path / "runs").exists()
