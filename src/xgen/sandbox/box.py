"""Judge generated programs, many at a time, each confined in a process of its own (confined.py says how).

strict   namespaces: no network, no other process, no file but Python's, read only; a user without rights; limits
limits   limits on processor time, memory and files alone, in a process group that is killed: no protection against
         code that means harm, for systems without namespaces, and only where a person asks for it
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xgen.core.errors import UserError

CONFINED = Path(__file__).with_name("confined.py")
SYSTEM = ("/usr", "/lib", "/lib64", "/bin")
MOST_OUTPUT = 4_096
RIGHT, WRONG = "def one():\n    return 1\n", "def one():\n    return 2\n"
FORKS = "import os\ndef one():\n    os.fork()\n    return 1\n"
TRIAL = "def check(candidate):\n    assert candidate() == 1\n"


@dataclass(frozen=True)
class Program:
    """Generated `code` that defines `entry_point`; `prelude` is what tests may use besides; `tests` define `check`."""

    code: str
    entry_point: str
    prelude: str
    tests: str


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reason: str


@dataclass(frozen=True)
class Limits:
    """Wall time in seconds for a whole program, and memory of each of its processes."""

    seconds: float | int = 3.0
    megabytes: int = 512


class Sandbox:
    """A place to run programs in; made by `opened`."""

    def __init__(self, mode: str, limits: Limits, scratch: Path) -> None:
        self._mode, self._limits, self._scratch = mode, limits, scratch

    def judge(self, programs: Sequence[Program]) -> list[Verdict]:
        """Run every program, as many beside each other as there are processors."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self.run, programs))

    def run(self, program: Program) -> Verdict:
        """Run one program; whatever it does, this returns within the limit of time, with nothing left running."""
        task = {
            "mode": self._mode,
            "code": program.code,
            "entry_point": program.entry_point,
            "prelude": program.prelude,
            "seconds": int(self._limits.seconds) + 1,
            "megabytes": self._limits.megabytes,
            "scratch": str(self._scratch),
            "visible": visible(),
        }
        process = subprocess.Popen(
            [os.path.realpath(sys.executable), "-I", "-S", str(CONFINED)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=self._scratch,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(_message(task) + _message(program.tests), timeout=self._limits.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # not taken away yet, so the number is still its own
            process.communicate()
            return Verdict(passed=False, reason=f"no end within {self._limits.seconds:g} s")
        return _verdict(out)


@contextmanager
def opened(mode: str, limits: Limits = Limits()) -> Iterator[Sandbox]:
    """Open a sandbox that is known to work: it passes what is right, and stops what is wrong and what multiplies."""
    with tempfile.TemporaryDirectory(prefix="xgen-sandbox-") as scratch:
        box = Sandbox(mode, limits, Path(scratch))
        patient = Sandbox(mode, Limits(max(20.0, limits.seconds), limits.megabytes), Path(scratch))
        right, wrong, forks = (patient.run(Program(code, "one", "", TRIAL)) for code in (RIGHT, WRONG, FORKS))
        if not right.passed or wrong.passed or (forks.passed and mode == "strict"):
            raise UserError(
                f"the sandbox does not work here ({right.reason or 'it lets through what it must not'})",
                "Linux with namespaces for root or for users, or another kind of sandbox",
                "Allow user namespaces (kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, --cap-add SYS_ADMIN "
                "in a container), or, trusting the code, name --sandbox limits.",
            )
        yield box


def visible() -> list[str]:
    """Name what programs may read: Python's own folder and the system's libraries, none inside another."""
    wanted = sorted({path for path in (*SYSTEM, sys.base_prefix) if Path(path).exists()})
    return [path for path in wanted if not any(path != other and path.startswith(f"{other}/") for other in wanted)]


def _message(content: object) -> bytes:
    data = json.dumps(content).encode()
    return len(data).to_bytes(4, "big") + data


def _verdict(out: bytes) -> Verdict:
    try:
        found = json.loads(out[:MOST_OUTPUT])
    except ValueError:
        return Verdict(passed=False, reason="the judge ended without a verdict")
    if "refused" in found:
        return Verdict(passed=False, reason=f"confinement refused: {found['refused']}")
    return Verdict(found["passed"], found["reason"])
