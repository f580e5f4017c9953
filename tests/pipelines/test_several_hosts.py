"""Two processes train as one: the same losses, one writer, and a sentence where one is lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.runs import STEPS, base_of, environment, metrics_of, share_compiled_programs, tuned_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched on Linux")


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start_both(root, *more: str, verb: str = "pretrain") -> list[subprocess.Popen]:
    """Two processes of two devices each: rows over one axis, heads over the other."""
    address = f"localhost:{a_free_port()}"
    settled = environment() | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "xgen.cli", verb, "micro", "--root", str(root)),
                *("--execution.data-axis", "2", "--execution.model-axis", "2"),
                *("--hosts.coordinator", address, "--hosts.num-processes", "2", "--hosts.process-id", str(number)),
                *more,
            ],
            env=settled,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]


def lines_in(root) -> int:
    return sum(path.read_bytes().count(b"\n") for path in root.glob("runs/*/metrics.jsonl"))


def wait_for_lines(root, number: int, both: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 200
    while lines_in(root) < number and time.monotonic() < deadline and all(one.poll() is None for one in both):
        time.sleep(0.01)
    assert lines_in(root) >= number, [one.communicate()[0] for one in both if one.poll() is not None]


def assert_goes_on_to_the_losses_of_one(root, finished) -> None:
    both = start_both(root)
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert "resuming after step" in outputs[0]
    found, alone = metrics_of(base_of(root)), metrics_of(base_of(finished[0]))
    assert [line["step"] for line in found] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([line["loss"] for line in found], [line["loss"] for line in alone], rtol=1e-5)


@pytest.mark.slow
def test_two_processes_tune_as_one_and_the_first_alone_reads_the_conversations(finished, tmp_path):
    root = share_compiled_programs(tmp_path / "several", finished[0] / ".cache")
    (root / "runs").mkdir()
    (root / "data").mkdir()
    (root / "runs" / base_of(finished[0]).name).symlink_to(base_of(finished[0]))
    for prepared in (finished[0] / "data").glob("[!i]*"):
        (root / "data" / prepared.name).symlink_to(prepared)
    both = start_both(root, verb="instruct")
    outputs = [one.communicate(timeout=400)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    found, alone = metrics_of(tuned_of(root)), metrics_of(tuned_of(finished[0]))
    np.testing.assert_allclose([line["loss"] for line in found], [line["loss"] for line in alone], rtol=1e-5)
    assert len(list((root / "data").glob("inst-*"))) == 1


def test_two_processes_pass_a_stage_boundary_one_is_killed_the_other_says_so_and_both_resume(finished, tmp_path):
    root = share_compiled_programs(tmp_path / "several", finished[0] / ".cache")
    both = start_both(root)
    wait_for_lines(root, 9, both)
    both[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert time.monotonic() - killed < 60, "less than JAX takes to notice"
    assert both[0].returncode == 2
    said = outputs[0].strip().splitlines()[-1]
    assert said.startswith("xgen: this process lost the others of its run")
    assert said.endswith("training continues from the last checkpoint.")
    assert "Traceback" not in outputs[0]
    assert lines_in(root) < STEPS, "the run ended before it could be killed"
    assert_goes_on_to_the_losses_of_one(root, finished)


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_ends_both(finished, tmp_path):
    """As SLURM sends it: to the watching parent and to its child."""
    root = share_compiled_programs(tmp_path / "stopped", finished[0] / ".cache")
    both = start_both(root)
    wait_for_lines(root, 3, both)
    os.killpg(both[1].pid, signal.SIGTERM)
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [143, 143], outputs
    assert f"of {STEPS}; all is saved, and the same command continues" in outputs[0]
    assert_goes_on_to_the_losses_of_one(root, finished)


@pytest.mark.slow
def test_a_process_that_falls_silent_ends_the_other_with_a_sentence(finished, tmp_path):
    root = share_compiled_programs(tmp_path / "silent", finished[0] / ".cache")
    both = start_both(root, "--hosts.silence-seconds", "10")
    wait_for_lines(root, 3, both)
    os.killpg(both[1].pid, signal.SIGSTOP)
    output, _ = both[0].communicate(timeout=120)
    assert both[0].returncode == 2
    assert output.strip().splitlines()[-1].startswith("xgen: this process lost the others of its run")
    os.killpg(both[1].pid, signal.SIGKILL)
    both[1].communicate()


@pytest.mark.parametrize("process", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_finds_no_other_ends_with_a_sentence(tmp_path, process):
    """The first waits for one that never comes; the second finds nobody at the address."""
    address = f"localhost:{a_free_port() if process == 0 else 1}"
    found = subprocess.run(
        [
            *(sys.executable, "-m", "xgen.cli", "pretrain", "micro", "--root", str(tmp_path)),
            *("--hosts.coordinator", address, "--hosts.num-processes", "2", "--hosts.process-id", str(process)),
            *("--hosts.timeout-seconds", "2"),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert (
        found.stderr.strip()
        .splitlines()[-1]
        .startswith("xgen: this process lost the others of its run: one never came, fell silent or died")
    )
    assert f"joining the run at {address}; if this fails within 2 s, check that every process reaches it" in (
        found.stdout
    )
    assert not (tmp_path / "runs").exists()


def test_the_child_of_a_watching_parent_dies_with_it_and_gives_its_exit_code(tmp_path):
    code = f"""
import os, sys, time
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))
"""
    parent = f"from xgen.parallel import watch; import os, sys; watch._MAIN = {code!r}; " + (
        "sys.exit(watch.watched(sys.argv[1:], os.environ))"
    )
    assert subprocess.run([sys.executable, "-c", parent, "0", "7"], check=False).returncode == 7
    assert subprocess.run([sys.executable, "-c", parent, "0", "0"], check=False).returncode == 0
    (tmp_path / "pid").unlink()
    process = subprocess.Popen([sys.executable, "-c", parent, "60", "0"])
    while not (tmp_path / "pid").exists() or not (number := (tmp_path / "pid").read_text()):
        time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while is_running(int(number)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(int(number))


def is_running(number: int) -> bool:
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
