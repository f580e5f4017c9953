"""The same promises on a real Ray cluster of several processes on this machine."""

import sys
from pathlib import Path

import pytest

from engine.workers import Errand, fail, fill_up, refuse, run_errand
from xgen.core.errors import UserError
from xgen.engine.cluster import RayEngine
from xgen.engine.supervise import run_tasks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine():
    """A cluster of two processors, started for this file."""
    ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    paths = [str(Path(__file__).parents[1]), *(path for path in sys.path if path)]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": ":".join(paths)}},
    )
    engine = RayEngine("")
    assert engine.slots == 2
    yield engine
    engine.close()


def test_a_task_that_kills_its_worker_is_tried_three_times_and_named_while_the_rest_goes_on(engine, tmp_path):
    errands = [Errand(tmp_path, number, deaths={1: 99, 3: 2}.get(number, 0)) for number in range(6)]
    ended = {task.number: is_done for task, is_done in run_tasks(engine, run_errand, errands)}
    assert ended == {0: True, 1: False, 2: True, 3: True, 4: True, 5: True}
    tries = [(tmp_path / f"{number}.tries").read_text().count("\n") for number in range(6)]
    assert tries == [1, 3, 1, 3, 1, 1]


@pytest.mark.parametrize(("function", "error"), [(refuse, UserError), (fail, ZeroDivisionError), (fill_up, OSError)])
def test_what_a_task_raises_ends_everything_and_is_raised_here(engine, tmp_path, function, error):
    with pytest.raises(error) as raised:
        list(run_tasks(engine, function, [Errand(tmp_path, number) for number in range(3)]))
    if error is OSError:
        assert raised.value.errno == 28
