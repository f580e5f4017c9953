"""Sets of numbers given as half-open intervals [start, stop), for calendars and address ranges."""


def merged(intervals):
    """Return the same set as disjoint intervals in ascending order; touching ones become one."""
    result = []
    for start, stop in sorted(intervals):
        if start >= stop:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], stop))
        else:
            result.append((start, stop))
    return result


def length(intervals):
    """Measure how much is covered, counting overlaps once."""
    return sum(stop - start for start, stop in merged(intervals))


def contains(intervals, point):
    """Say whether a point lies in any of the intervals."""
    return any(start <= point < stop for start, stop in intervals)


def intersection(first, second):
    """Return what lies in both sets, walking along them side by side."""
    first, second = merged(first), merged(second)
    result, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        start = max(first[i][0], second[j][0])
        stop = min(first[i][1], second[j][1])
        if start < stop:
            result.append((start, stop))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return result


def gaps(intervals, start, stop):
    """Return the parts of [start, stop) that are not covered: the free hours of a day."""
    free, position = [], start
    for left, right in intersection(intervals, [(start, stop)]):
        if position < left:
            free.append((position, left))
        position = right
    if position < stop:
        free.append((position, stop))
    return free


def busiest(intervals):
    """Return the largest number of intervals that overlap at one point."""
    changes = sorted([(start, 1) for start, _ in intervals] + [(stop, -1) for _, stop in intervals])
    most = current = 0
    for _, change in changes:
        current += change
        most = max(most, current)
    return most
