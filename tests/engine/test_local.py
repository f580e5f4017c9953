"""Workers of this machine die, and every task is done once, or named; nobody waits for the dead."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.workers import Errand, fail, fill_up, refuse, run_errand
from xgen.core.errors import UserError
from xgen.engine.crew import Crew, Share, share_of
from xgen.engine.local import LocalEngine
from xgen.engine.supervise import MAX_CRASHES, Inline, run_tasks

IMPORTS = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}


@pytest.fixture(scope="module")
def engine():
    """Two workers for all tests of this file: what one test kills is replaced."""
    engine = LocalEngine(2)
    yield engine
    engine.close()


def tries(folder, number):
    return (folder / f"{number}.tries").read_text().splitlines()


def test_a_task_that_kills_its_worker_is_tried_three_times_and_named_while_the_rest_goes_on(engine, tmp_path):
    errands = [Errand(tmp_path, number, deaths={1: 99, 3: 2}.get(number, 0)) for number in range(6)]
    ended = {task.number: is_done for task, is_done in run_tasks(engine, run_errand, errands)}
    assert ended == {0: True, 1: False, 2: True, 3: True, 4: True, 5: True}
    assert [len(tries(tmp_path, number)) for number in range(6)] == [1, 3, 1, 3, 1, 1]
    assert sorted(path.name for path in tmp_path.glob("*.done")) == [f"{n}.done" for n in (0, 2, 3, 4, 5)]
    assert os.getpid() not in map(int, tries(tmp_path, 0))


def test_a_worker_that_is_killed_from_outside_is_noticed_at_once_and_its_task_done_again(engine, tmp_path):
    errands = [Errand(tmp_path, 0, seconds=20)]

    def kill():
        while not (tmp_path / "0.tries").exists() or not tries(tmp_path, 0):
            time.sleep(0.01)
        os.kill(int(tries(tmp_path, 0)[0]), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    started = time.monotonic()
    tasks = run_tasks(engine, _short_the_second_time, errands)
    assert list(tasks) == [(errands[0], True)]
    assert time.monotonic() - started < 15 and len(tries(tmp_path, 0)) == 2


def _short_the_second_time(errand):
    is_second = (errand.folder / f"{errand.number}.tries").exists()
    run_errand(Errand(errand.folder, errand.number, seconds=0 if is_second else errand.seconds))


@pytest.mark.parametrize(("function", "error"), [(refuse, UserError), (fail, ZeroDivisionError), (fill_up, OSError)])
def test_what_a_task_raises_ends_everything_and_is_raised_here(engine, tmp_path, function, error):
    with pytest.raises(error) as raised:
        list(run_tasks(engine, function, [Errand(tmp_path, number) for number in range(3)]))
    if error is OSError:
        assert raised.value.errno == 28
    with pytest.raises(error):
        list(run_tasks(Inline(), function, [Errand(tmp_path, number) for number in range(3)]))


DRIVER = """
import sys
from pathlib import Path
from engine.workers import Errand, run_errand
from xgen.engine.local import LocalEngine
from xgen.engine.supervise import run_tasks
list(run_tasks(LocalEngine(2), run_errand, [Errand(Path(sys.argv[1]), number, seconds=60) for number in range(2)]))
"""


def test_workers_end_with_a_driver_that_is_killed(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], env=IMPORTS)
    while len(list(tmp_path.glob("*.tries"))) < 2:
        assert driver.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    workers = [int(tries(tmp_path, number)[0]) for number in range(2)]
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_worker_that_cannot_start_is_a_sentence_and_no_fault_of_its_task(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(DRIVER.replace("seconds=60", "seconds=0"))  # not guarded: a worker that imports it starts it anew
    done = subprocess.run([sys.executable, script, tmp_path], env=IMPORTS, capture_output=True, text=True, check=False)
    assert "UserError: one worker process after the other ended before it was given anything to do" in done.stderr
    assert not list(tmp_path.glob("*.tries"))


def test_a_worker_that_dies_while_it_starts_is_replaced_and_its_task_not_blamed(tmp_path):
    engine, others = LocalEngine(1), set(multiprocessing.active_children())
    errands = [Errand(tmp_path, number) for number in range(3)]
    left = [MAX_CRASHES - 1]

    def kill_early(*arguments, really=engine.start):
        future = really(*arguments)
        if left[0]:
            left[0] -= 1
            (child,) = set(multiprocessing.active_children()) - others
            os.kill(child.pid, signal.SIGKILL)  # long before it has imported anything
        return future

    engine.start = kill_early
    assert {task.number: is_done for task, is_done in run_tasks(engine, run_errand, errands)} == {
        0: True,
        1: True,
        2: True,
    }
    engine.close()
    assert left == [0] and [len(tries(tmp_path, number)) for number in range(3)] == [1, 1, 1]


def test_close_kills_what_is_under_way(tmp_path):
    engine = LocalEngine(1)
    future = engine.start(run_errand, Errand(tmp_path, 0, seconds=60))
    while not (tmp_path / "0.tries").exists():
        time.sleep(0.02)
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 10 and future.done()


def test_shares_cover_a_list_without_gap_or_overlap():
    shares = [Share(number, 3).of(range(10)) for number in range(3)]
    assert sorted(item for share in shares for item in share) == list(range(10))
    assert list(Crew(share=share_of("1/4")).mine(range(10))) == [1, 5, 9] and list(Crew().mine([1, 2])) == [1, 2]


@pytest.mark.parametrize("text", ["8/8", "1", "a/2", "-1/2", "1/0", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="--shard"):
        share_of(text)
