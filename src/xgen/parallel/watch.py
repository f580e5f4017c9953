"""One process of several, watched by a light parent that says what it means when JAX ends it.

Where another process never comes, falls silent or dies, JAX's client aborts its own process from C++: nothing in that
process can tell it to a person. The parent can. It passes SIGTERM on, and its child never outlives it.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

_MAIN = "import sys; from xgen.cli import main; sys.exit(main(sys.argv[1:]))"
_SET_PARENT_DEATH_SIGNAL = 1  # of Linux's prctl
LOST = (
    "this process lost the others of its run: {why}; expected all processes of the job to answer within their time. "
    "Look at their last lines, then start all of them again with the same command: training continues from the last "
    "checkpoint."
)


def watched(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command of xgen as a child on Linux and return its exit code; 2, with a sentence, where JAX aborted it."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def bind() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    child = subprocess.Popen([sys.executable, "-c", _MAIN, *arguments], env=environment, preexec_fn=bind)
    signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
    signal.signal(signal.SIGINT, lambda number, frame: None)  # a terminal sends it to the child, too
    code = child.wait()
    if code == -signal.SIGABRT:
        why = "one never came, fell silent or died, or the network between them failed (JAX says above what it saw)"
        print(f"xgen: {LOST.format(why=why)}", file=sys.stderr)
        return 2
    return code if code >= 0 else 128 - code
