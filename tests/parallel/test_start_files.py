"""What docs/how-to/train-on-several-hosts.md gives to copy: well formed, understood by xgen, adding up."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xgen.cli import _parse
from xgen.pipelines.pretrain import Options

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "train-on-several-hosts.md").read_text()


def block(title: str) -> str:
    found = re.search(rf"^## {title}\n.*?^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def manifests() -> dict[str, dict]:
    return {each["kind"]: each for each in yaml.safe_load_all(block("GKE"))}


def shell_of(title: str) -> str:
    """Give what a shell is handed; on a TPU pod, also what the shell of each host is."""
    if title == "GKE":
        program, flag, line = manifests()["Job"]["spec"]["template"]["spec"]["containers"][0]["command"]
        assert (program, flag) == ("sh", "-c")
        return line
    return block(title)


def pretrain_of(title: str):
    """Read the command of a start file as the command line reads it: unknown or wrong flags end the test."""
    words = shlex.split(shell_of(title).replace("\\\n", " "), comments=True)
    if title == "A TPU pod slice":
        words = shlex.split(words[-1])
    first = words.index("xgen")
    words = words[first + 1 :]
    if "code=$?" in words:
        words = words[: words.index("code=$?")]
    assert words[0] == "pretrain"
    return _parse("pretrain", Options, [word.replace("$JOB_COMPLETION_INDEX", "3") for word in words[1:]])


@pytest.mark.parametrize("title", ["SLURM", "Open MPI", "GKE", "A TPU pod slice", "Anything else"])
def test_a_start_file_is_a_shell_s_and_its_command_is_understood(title):
    checked = subprocess.run(["bash", "-n"], input=shell_of(title), text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    target, recipe, options = pretrain_of(title)
    assert target.text == "xgen_7b"
    assert options.hosts.distributed != bool(options.hosts.coordinator), "one way to find the others"
    assert recipe.execution.fsdp_axis == 1 or recipe.execution.layout == "fsdp"


def test_the_axes_multiply_to_the_devices_that_are_asked_for():
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", block("SLURM"), flags=re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"], "a task a GPU"
    assert int(asked["nodes"]) * int(asked["gpus-per-node"]) == pretrain_of("SLURM")[1].execution.fsdp_axis
    processes = re.search(r"mpirun -np (\d+)", block("Open MPI"))
    assert processes and int(processes[1]) == pretrain_of("Open MPI")[1].execution.fsdp_axis
    job = manifests()["Job"]["spec"]
    gpus = job["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    _, recipe, options = pretrain_of("GKE")
    assert job["completions"] == job["parallelism"] == options.hosts.num_processes
    assert gpus * job["completions"] == recipe.execution.fsdp_axis


def test_the_pods_of_the_job_find_the_first_by_its_name():
    service, job = manifests()["Service"], manifests()["Job"]
    pod = job["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["completionMode"] == "Indexed", "else pods have neither a number nor a name"
    assert pod["subdomain"] == service["metadata"]["name"]
    host = pretrain_of("GKE")[2].hosts.coordinator.partition(":")[0]
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    mounted = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize(("code", "requeued"), [(143, True), (0, False), (2, False)])
def test_the_slurm_file_requeues_a_stopped_job_and_no_other(tmp_path, code, requeued):
    for name, does in (("srun", f"exit {code}"), ("scontrol", f'echo "$@" > {tmp_path}/called')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    settled = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}
    ended = subprocess.run(["bash"], input=block("SLURM"), text=True, env=settled, check=False)
    assert ended.returncode == code
    called = tmp_path / "called"
    assert (called.read_text() if called.exists() else "") == ("requeue 77\n" if requeued else "")


def slurm(number: int, job: int) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
    }


def open_mpi(number: int, job: int) -> dict[str, str]:
    return {
        "OMPI_MCA_orte_hnp_uri": f"{job * 2**12}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(number),
    }


def a_job_whose_port_is_free() -> int:
    """Both detections take a port from the number of the job."""
    for job in range(4_000):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", job + 65_535 - 2**12 + 1)):
                return job
    raise AssertionError("no port is free")


@pytest.mark.parametrize("cluster", [slurm, open_mpi])
def test_processes_find_each_other_by_what_a_cluster_puts_into_the_environment(cluster):
    code = (
        "from xgen.parallel.launch import Hosts, join; join(Hosts(distributed=True, timeout_seconds=60));"
        "import jax; print(jax.process_index(), 'of', jax.process_count(), flush=True)"
    )
    job = a_job_whose_port_is_free()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""} | cluster(number, job),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [one.communicate(timeout=120)[0].strip().splitlines()[-1] for one in both]
    assert said == ["0 of 2", "1 of 2"]
