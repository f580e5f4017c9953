"""What a process settles once, before it computes: where compiled programs are kept, which devices there are."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import jax


def launch(compiled: Path) -> None:
    """Keep compiled programs in the folder `compiled`, so that a resumed run does not compile again."""
    jax.config.update("jax_compilation_cache_dir", str(compiled.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # XLA's own caches would put this folder's path into the name of every program, and a copy would be worth nothing.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")


def describe_machine() -> dict[str, Any]:
    """Tell what a run ran on: versions, devices, processor, memory."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
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
