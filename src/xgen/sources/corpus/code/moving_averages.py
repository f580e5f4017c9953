"""Averages over a stream of numbers, without keeping more of it than is needed."""

from collections import deque
from math import sqrt


def moving_average(values, window):
    """Yield the mean of each `window` neighbors; a sequence of n values gives n - window + 1 of them."""
    if window < 1:
        raise ValueError("a window holds at least one value")
    recent, total = deque(), 0.0
    for value in values:
        recent.append(value)
        total += value
        if len(recent) > window:
            total -= recent.popleft()
        if len(recent) == window:
            yield total / window


def exponential_average(values, weight):
    """Yield an average in which each new value counts `weight` and all the past counts the rest."""
    if not 0 < weight <= 1:
        raise ValueError("the weight lies between 0 and 1")
    average = None
    for value in values:
        average = value if average is None else average + weight * (value - average)
        yield average


def moving_median(values, window):
    """Yield the middle value of each window; one wild value does not disturb it."""
    recent = deque(maxlen=window)
    for value in values:
        recent.append(value)
        if len(recent) == window:
            ordered = sorted(recent)
            middle = window // 2
            yield ordered[middle] if window % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class RunningStatistics:
    """Mean and standard deviation of all values so far, by Welford's method."""

    def __init__(self):
        """Start with no values."""
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value):
        """Take one more value into account."""
        self.count += 1
        difference = value - self.mean
        self.mean += difference / self.count
        self._squares += difference * (value - self.mean)

    def deviation(self):
        """Return the standard deviation of the sample, or 0.0 for fewer than two values."""
        return sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0
