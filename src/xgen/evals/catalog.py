"""The suite: every benchmark's file, and which tasks a short name stands for."""

from xgen.core.errors import UserError, suggest
from xgen.evals.long import retrieval
from xgen.evals.suite import arc_challenge, boolq, hellaswag, humaneval, mmlu, openbookqa, piqa, truthfulqa, winogrande
from xgen.evals.task import Task

SUITE = (mmlu, arc_challenge, hellaswag, winogrande, truthfulqa, boolq, piqa, openbookqa, humaneval)
TASKS: dict[str, Task] = {task.name: task for module in SUITE for task in module.TASKS} | {
    retrieval.TASK.name: retrieval.TASK
}
ZERO_SHOT = ("arc_challenge", "hellaswag", "winogrande", "truthfulqa", "boolq", "piqa", "openbookqa")
"""The columns of table 6 beside MMLU's, in its order."""
GROUPS: dict[str, tuple[str, ...]] = {"zero_shot": ZERO_SHOT, "base": ("mmlu", "mmlu_zero_shot", *ZERO_SHOT)}


def tasks_named(names: str) -> list[Task]:
    """Look up names that commas separate, each a task or a group; every task once."""
    wanted: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        wanted += GROUPS.get(name, (name,))
    for name in wanted:
        if name not in TASKS:
            raise UserError(
                f"there is no task '{name}'",
                "tasks of the suite, with commas between, or lm-eval:<task>",
                suggest(name, (*TASKS, *GROUPS)),
            )
    return [TASKS[name] for name in dict.fromkeys(wanted)]
