"""Run-length coding: a long row of equal things is written as the thing and how often it occurs."""


def runs(items):
    """Yield (item, count) for each stretch of equal neighbors."""
    iterator = iter(items)
    try:
        current = next(iterator)
    except StopIteration:
        return
    count = 1
    for item in iterator:
        if item == current:
            count += 1
        else:
            yield current, count
            current, count = item, 1
    yield current, count


def expand(pairs):
    """Undo `runs`: repeat each item as often as its count says."""
    return [item for item, count in pairs for _ in range(count)]


def encode_text(text):
    """Write "aaab" as "3ab"; a count of one is left out, and digits in the text are not allowed."""
    if any(letter.isdigit() for letter in text):
        raise ValueError("digits would be mistaken for counts")
    return "".join(letter if count == 1 else f"{count}{letter}" for letter, count in runs(text))


def decode_text(code):
    """Undo `encode_text`."""
    parts, digits = [], ""
    for letter in code:
        if letter.isdigit():
            digits += letter
        else:
            parts.append(letter * int(digits or "1"))
            digits = ""
    if digits:
        raise ValueError("the code ends with a count")
    return "".join(parts)


def longest_run(items):
    """Return the (item, count) of the longest stretch, the first one of several, or None if there is nothing."""
    best = None
    for item, count in runs(items):
        if best is None or count > best[1]:
            best = (item, count)
    return best
