"""The suite of evaluations and its tuple name the same files, and no two tasks share a name."""

from contracts.tree import SOURCE, modules
from xgen.evals import catalog


def test_every_file_of_the_suite_stands_in_the_tuple_and_nothing_else():
    files = {path.stem for path in modules(SOURCE / "evals" / "suite")}
    listed = [module.__name__.rsplit(".", 1)[1] for module in catalog.SUITE]
    assert sorted(listed) == sorted(files)


def test_names_of_tasks_are_theirs_alone_and_groups_name_tasks():
    names = [task.name for module in catalog.SUITE for task in module.TASKS]
    assert len(set(names)) == len(names) and not set(names) & set(catalog.GROUPS)
    assert {name for group in catalog.GROUPS.values() for name in group} <= set(catalog.TASKS)
