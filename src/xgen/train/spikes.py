"""Loss spikes: what counts as one, from the steps before it in the same stage, and what is known to a step in advance.

Section 3 of the report ("Loss spikes"). Everything is a function of the lines of metrics.jsonl, so a resumed run
decides as the first did. A stage starts without history: the rise where length or mixture changes is no spike.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xgen.train.config import SpikeRule

UNLIMITED = np.full(2, np.inf, np.float32)
"""Limits that every finite step keeps."""
_GAUSSIAN = 1.4826  # the standard deviation of a normal distribution over its median absolute deviation


def limit_of(values: Sequence[float], deviations: float) -> float:
    """Give the largest value that is no spike: so many robust deviations above the median.

    A deviation is at least a hundredth of the median, so that a flat stretch does not make noise a spike.
    """
    middle = float(np.median(values))
    spread = _GAUSSIAN * float(np.median(np.abs(np.asarray(values) - middle)))
    return middle + deviations * max(spread, 0.01 * abs(middle))


class Detector:
    """The history of a stage as far as it bears on spikes; `lines` are those of a run that goes on."""

    def __init__(self, rule: SpikeRule, lines: Sequence[Mapping[str, Any]]) -> None:
        self._rule = rule
        self._stage = ""
        self._history: deque[tuple[int, float, float]] = deque(maxlen=rule.window + 1)
        self.in_a_row = 0
        for line in lines:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in the line of a step that is done; a spike is no part of what later steps are compared with."""
        if line["stage"] != self._stage:
            self._stage = line["stage"]
            self._history.clear()
        self.in_a_row = self.in_a_row + 1 if "spike" in line else 0
        if "spike" not in line:
            self._history.append((line["step"], line["loss"], line["grad_norm"]))

    def limits(self, stage: str, step: int) -> np.ndarray:
        """Give the largest loss and gradient norm of step `step` (from 1), from steps that ended two or more before.

        The step before may still be computed when this one is sent off; leaving it out always makes a run that is
        stopped between the two decide the same.
        """
        known = [entry for entry in self._history if entry[0] < step - 1][-self._rule.window :]
        if stage != self._stage or len(known) < self._rule.min_history:
            return UNLIMITED
        return np.array([limit_of([entry[i] for entry in known], self._rule.deviations) for i in (1, 2)], np.float32)


def is_spike(loss: float, grad_norm: float, limits: np.ndarray) -> bool:
    """Judge a step by its limits; what is no number is always a spike."""
    # As the device compares: in float32.
    within = np.float32(loss) <= limits[0] and np.float32(grad_norm) <= limits[1]
    return not (within and math.isfinite(loss) and math.isfinite(grad_norm))
