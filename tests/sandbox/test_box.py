"""Generated programs that mean harm: each is tried against the sandbox, and none reaches what is outside or passes."""

import os
import time
from pathlib import Path

import pytest

from xgen.core.errors import UserError
from xgen.sandbox import box as boxes
from xgen.sandbox.box import Limits, Program, Verdict, opened

TESTS = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate([1, (2, {'a': {3}})]) == 4\n"
RIGHT = "def f(x):\n    return 4\n"
SECRET = "the home of somebody"


@pytest.fixture(scope="module")
def box():
    try:
        with opened("strict", Limits(seconds=20)) as found:
            yield found
    except UserError as error:
        if "confinement refused" not in str(error):
            raise
        pytest.skip(f"no confinement on this machine: {error}")


def program(body: str, tests: str = TESTS, prelude: str = "") -> Program:
    return Program(body, "f", prelude, tests)


def reached(box, statements: str) -> Verdict:
    """Run statements whose last defines `found`; passes only where they end without an error and it is true."""
    code = "def f(x):\n" + "".join(f"    {line}\n" for line in statements.splitlines()) + "    return bool(found)\n"
    return box.run(program(code, "def check(candidate):\n    assert candidate(0) is True\n"))


def test_what_is_right_passes_and_what_is_wrong_says_why(box):
    assert box.run(program(RIGHT)) == Verdict(passed=True, reason="")
    assert box.run(program("def f(x):\n    return 5\n")).reason.startswith("AssertionError")
    assert "ZeroDivisionError" in box.run(program("def f(x):\n    return 1 / 0\n")).reason
    assert "SyntaxError" in box.run(program("def f(x)\n")).reason
    assert "KeyError" in box.run(program("def g(x):\n    return 4\n")).reason


@pytest.mark.parametrize(
    "value",
    [1, -(10**40), 0.1, float("inf"), True, None, "é\ud800", b"\xff", (1, [2]), {"a": {1, 2}}, frozenset({3}), 1 + 2j],
)
def test_values_of_all_plain_kinds_come_and_go(box, value):
    tests = (
        f"inf = float('inf')\ndef check(candidate):\n    sent = {value!r}\n    found = candidate(sent)\n"
        "    assert found == sent and type(found) is type(sent)\n"
    )
    assert box.run(program("def f(x):\n    return x\n", tests)).passed


def test_subclasses_and_fractions_equal_what_they_equal_without_a_sandbox(box):
    code = (
        "from collections import Counter, OrderedDict\nfrom fractions import Fraction\n"
        "def f(x):\n    return [Counter('aa'), OrderedDict(b=1), Fraction(1, 2)]\n"
    )
    assert box.run(
        program(code, "def check(candidate):\n    assert candidate(0) == [{'a': 2}, {'b': 1}, 0.5]\n")
    ).passed


def test_a_prelude_is_there_for_the_tests(box):
    tests = "def check(candidate):\n    assert twice(candidate(1)) == 4\n"
    prelude = "def twice(x):\n    return 2 * x\n\ndef f(x):\n    '''To be written.'''\n"
    assert box.run(program("def f(x):\n    return 2\n", tests, prelude)).passed


FAKES = {
    "leaves with success before the tests": "import os\nos._exit(0)",
    "leaves with success in the call": "import os\ndef f(x):\n    os._exit(0)",
    "raises SystemExit": "import sys\ndef f(x):\n    sys.exit(0)",
    "replaces AssertionError": "import builtins\nbuiltins.AssertionError = ValueError\ndef f(x):\n    return 5",
    "defines check itself": "def check(candidate):\n    pass\ndef f(x):\n    return 5",
    "answers without end": "import os\ndef f(x):\n    os.write(12, b'\\xff' * 100)\n    return 5",
    "equals everything": """
class All:
    def __eq__(self, other):
        return True
def f(x):
    return All()
""",
    "is a number that equals everything": """
class All(int):
    def __eq__(self, other):
        return True
def f(x):
    return All(7)
""",
    "writes a verdict wherever it can": """
import os
for handle in range(64):
    try:
        os.write(handle, b'{"passed": true, "reason": ""}\\n')
    except OSError:
        pass
def f(x):
    return 5
""",
    "reads the tests from its callers": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if any("candidate" + "(2)" in str(value) for value in frame.f_locals.values()):
            return 4
        frame = frame.f_back
    return 5
""",
    "searches memory for the tests": """
import gc
def f(x):
    for thing in gc.get_objects():
        for name, value in list(thing.items()) if isinstance(thing, dict) else ():
            if isinstance(value, str) and "candidate" + "(2)" in value:
                return 4
    return 5
""",
}


@pytest.mark.parametrize("how", FAKES)
def test_no_pass_can_be_faked(box, how):
    assert box.run(program(FAKES[how])).passed is False


def test_nothing_outside_can_be_read_or_written(box, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    home = Path.home()
    assert not reached(box, f"found = open({str(tmp_path / 'secret')!r}).read()").passed
    assert not reached(box, f"import os\nfound = os.listdir({str(tmp_path)!r})").passed
    assert not reached(box, "import os\nfound = os.listdir('/etc') or os.listdir('/home')").passed
    assert not reached(box, f"import os\nfound = set(os.listdir({str(home)!r})) - {{'.pyenv', '.local'}}").passed
    assert not reached(box, f"open({os.__file__!r}, 'a')\nfound = 1").passed
    assert not reached(box, f"import shutil\nshutil.rmtree({str(tmp_path)!r})\nfound = 1").passed
    assert (tmp_path / "secret").read_text() == SECRET
    assert reached(
        box, "import os\nopen('mine', 'w').write('x')\nfound = open(os.path.realpath('mine')).read()"
    ).passed, "its own folder"


def test_the_environment_and_other_processes_are_out_of_sight(box, monkeypatch):
    monkeypatch.setenv("API_TOKEN", SECRET)
    assert not reached(box, f"import os\nfound = {SECRET!r} in str(dict(os.environ))").passed
    assert not reached(box, "found = open('/proc/1/environ').read()").passed
    assert not reached(box, "import os\nfound = os.getuid() == 0 or os.geteuid() == 0").passed
    assert not reached(box, f"import os\nos.kill({os.getpid()}, 0)\nfound = 1").passed
    kill = "try:\n        os.kill(who, 9)\n    except OSError:\n        pass"
    reached(box, f"import os\nfor who in (1, os.getppid(), -1):\n    {kill}\nfound = 1")
    assert not reached(box, "import ctypes\nfound = ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0").passed


def test_there_is_no_network(box):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not reached(box, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\nfound = 1").passed
    assert not reached(box, "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)\nfound = 1").passed


def test_bombs_go_off_inside(box):
    assert "BlockingIOError" in reached(box, "import os\nwhile True:\n    os.fork()\nfound = 1").reason
    assert not reached(box, "import threading\nthreading.Thread(target=print).start()\nfound = 1").passed
    assert "MemoryError" in reached(box, "found = bytearray(1 << 31)").reason
    assert not reached(box, "found = [bytearray(1 << 20) for _ in range(10_000)]").passed
    assert not reached(box, "file = open('big', 'wb')\nwhile True:\n    file.write(bytes(1 << 20))\nfound = 1").passed
    many = "for number in range(10_000):\n    open(f'file-{number}', 'wb').write(bytes(1 << 20))\nfound = 1"
    assert not reached(box, many).passed
    assert not reached(box, "def deeper(): return deeper()\nfound = deeper()").passed


def test_what_does_not_end_is_ended_with_everything_that_it_started():
    with opened("strict", Limits(seconds=1.0)) as box:
        for statement in ("while True: pass", "while True: print('y' * 10_000)", "import time\ntime.sleep(60)"):
            started = time.monotonic()
            assert reached(box, f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{statement}").reason
            assert time.monotonic() - started < 10
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, "confined.py")]
    assert left == []


def _mentions(path: Path, text: str) -> bool:
    try:
        return text in path.read_text()
    except OSError:
        return False


def test_a_system_that_refuses_is_refused_and_the_weaker_kind_must_be_named(monkeypatch):
    monkeypatch.setattr(boxes, "visible", lambda: ["/no such folder", "/proc/1/none"])
    with (
        pytest.raises(UserError, match=r"the sandbox does not work here \(confinement refused: .*--sandbox limits"),
        opened("strict"),
    ):
        pass
    with opened("limits", Limits(seconds=20)) as box:
        assert box.run(program(RIGHT)).passed and not box.run(program("def f(x):\n    return 5\n")).passed
        assert not box.run(program("import os\nos._exit(0)\n")).passed
        assert not reached(box, "import os\nfound = os.environ.get('HOME')").passed
