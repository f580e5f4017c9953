"""What a process settles once, before it computes: where compiled programs are kept, which devices there are."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.errors import JaxRuntimeError
from jax.experimental import multihost_utils

from xgen.core.errors import UserError
from xgen.core.progress import say
from xgen.parallel.watch import LOST

_SIGNS_OF_LOSS = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "oordination")


def launch(compiled: Path) -> None:
    """Keep compiled programs in the folder `compiled`, so that a resumed run does not compile again."""
    jax.config.update("jax_compilation_cache_dir", str(compiled.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # XLA's own caches would put this folder's path into the name of every program, and a copy would be worth nothing.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")


@dataclass(frozen=True)
class Hosts:
    """How the processes of one run find each other."""

    distributed: bool = False
    """Join the other processes of this job; SLURM, Open MPI, TPU pods and (with jax[k8s]) Kubernetes tell."""
    coordinator: str = ""
    """host:port of process 0, where nothing tells; needs num-processes and process-id."""
    num_processes: int = 1
    process_id: int = 0
    timeout_seconds: int = 300
    """How long a process waits for the others to come."""
    silence_seconds: int = 100
    """How long a process may be silent before it counts as dead, and all others end."""


def join(hosts: Hosts) -> None:
    """Become one of the processes of a run; to be called before anything is computed. A single process does nothing."""
    if not hosts.distributed and not hosts.coordinator:
        return
    stated: dict[str, Any] = {}
    if hosts.coordinator:
        stated = {
            "coordinator_address": hosts.coordinator,
            "num_processes": hosts.num_processes,
            "process_id": hosts.process_id,
        }
    where = hosts.coordinator or "the address that the cluster tells"
    # JAX's client aborts the process where nobody answers (parallel/watch.py), so what to check is said before.
    say(
        f"joining the run at {where}; if this fails within {hosts.timeout_seconds} s, "
        "check that every process reaches it"
    )
    try:
        jax.distributed.initialize(
            **stated, initialization_timeout=hosts.timeout_seconds, heartbeat_timeout_seconds=hosts.silence_seconds
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes of this run do not find each other ({str(error).splitlines()[0][:200]})",
            "a job of SLURM, Open MPI, Kubernetes or a TPU pod, or an address that all processes reach",
            "Start every process of the job, or give --coordinator host:port, --num-processes and --process-id.",
        ) from None


@contextmanager
def ended_with_the_others() -> Iterator[None]:
    """While the block runs, end this process at once and with a sentence where another one of its run is lost.

    Nothing could be cleaned up: a save and JAX's own shutdown wait for every process.
    """
    try:
        yield
    except JaxRuntimeError as error:
        if jax.process_count() == 1 or not any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise
        why = f"one has died or cannot be reached ({str(error).splitlines()[0][:200]})"
        print(f"xgen: {LOST.format(why=why)}", file=sys.stderr, flush=True)
        os._exit(2)


def is_first() -> bool:
    """Whether this process is the one that writes what needs one writer."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0  # asking a lone process would start JAX


def together(moment: str) -> None:
    """Wait until every process of the run is here."""
    if jax.distributed.is_initialized():
        multihost_utils.sync_global_devices(moment)


def describe_machine() -> dict[str, Any]:
    """Tell what a run ran on: versions, devices, processor, memory."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "processes": jax.process_count(),
        "platform": jax.default_backend(),
        "devices": [f"{device.device_kind} {device.id}" for device in jax.devices()],
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
