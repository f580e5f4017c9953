"""Guess how a table in a text file is separated, and read it."""

CANDIDATES = (",", ";", "\t", "|")


def split_row(line, separator, quote='"'):
    """Split one line; a separator within quotes does not count, and a doubled quote stands for one."""
    cells, cell, quoted = [], "", False
    position = 0
    while position < len(line):
        letter = line[position]
        if quoted and letter == quote and line[position + 1:position + 2] == quote:
            cell += quote
            position += 1
        elif letter == quote:
            quoted = not quoted
        elif letter == separator and not quoted:
            cells.append(cell)
            cell = ""
        else:
            cell += letter
        position += 1
    cells.append(cell)
    return cells


def guess_separator(lines):
    """Return the separator that gives every line the same number of cells, and as many as possible."""
    best, most = None, 1
    for separator in CANDIDATES:
        widths = {len(split_row(line, separator)) for line in lines if line}
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = separator, width
    if best is None:
        raise ValueError("the lines do not look like a table")
    return best


def looks_like_number(cell):
    """Say whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def has_header(rows):
    """Guess that the first row is a header if it holds no number and the second one does."""
    if len(rows) < 2:
        return False
    return not any(map(looks_like_number, rows[0])) and any(map(looks_like_number, rows[1]))


def read_table(text):
    """Return the rows of a table as dictionaries; columns without a header are called by their number."""
    lines = [line for line in text.splitlines() if line]
    separator = guess_separator(lines)
    rows = [split_row(line, separator) for line in lines]
    names = rows.pop(0) if has_header(rows) else [str(i) for i in range(len(rows[0]))]
    return [dict(zip(names, row, strict=True)) for row in rows]
