"""Conway's game of life on an endless plane: only the living cells are stored."""

from collections import Counter


def neighbors(cell):
    """Return the eight cells around a cell."""
    x, y = cell
    return [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


def step(living):
    """Return the next generation: three neighbors give birth, two or three keep alive."""
    counts = Counter(neighbor for cell in living for neighbor in neighbors(cell))
    return {cell for cell, count in counts.items() if count == 3 or (count == 2 and cell in living)}


def generations(living, count):
    """Yield the first `count` generations, the given one included."""
    living = set(living)
    for _ in range(count):
        yield living
        living = step(living)


def from_picture(picture):
    """Read a picture in which '#' is a living cell; rows go down and columns go right."""
    return {(x, y) for y, line in enumerate(picture.splitlines()) for x, mark in enumerate(line) if mark == "#"}


def to_picture(living):
    """Draw the smallest rectangle that holds all living cells."""
    if not living:
        return ""
    columns = range(min(x for x, _ in living), max(x for x, _ in living) + 1)
    rows = range(min(y for _, y in living), max(y for _, y in living) + 1)
    return "\n".join("".join("#" if (x, y) in living else "." for x in columns) for y in rows)


def normalized(living):
    """Move a pattern so that its corner lies at the origin, in order to compare shapes and not places."""
    left = min((x for x, _ in living), default=0)
    top = min((y for _, y in living), default=0)
    return frozenset((x - left, y - top) for x, y in living)


def period(living, limit=100):
    """Return after how many steps a pattern repeats its shape, or None if it does not within the limit."""
    first = normalized(living)
    for count in range(1, limit + 1):
        living = step(living)
        if normalized(living) == first:
            return count
    return None
