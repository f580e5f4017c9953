"""Break a paragraph into lines, once quickly and once beautifully."""


def wrap_greedy(text, width):
    """Put as many words on each line as fit; a word that is too long gets a line of its own."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        lines.append(line)
    return lines


def raggedness(lines, width):
    """Add up the squares of the empty ends of all lines but the last."""
    return sum((width - len(line)) ** 2 for line in lines[:-1])


def wrap_evenly(text, width):
    """Choose the breaks that make the raggedness least, by looking at every possible last line."""
    words = text.split()
    if any(len(word) > width for word in words):
        raise ValueError("a word is wider than the line")
    best = [(0, 0)]
    for end in range(1, len(words) + 1):
        choices = []
        length = -1
        for start in range(end - 1, -1, -1):
            length += len(words[start]) + 1
            if length > width:
                break
            penalty = 0 if end == len(words) else (width - length) ** 2
            choices.append((best[start][0] + penalty, start))
        best.append(min(choices))
    lines, end = [], len(words)
    while end:
        start = best[end][1]
        lines.append(" ".join(words[start:end]))
        end = start
    return lines[::-1]


def justify(line, width):
    """Fill a line to the full width by widening its gaps from the left."""
    words = line.split()
    if len(words) < 2:
        return line.ljust(width)
    spaces = width - sum(map(len, words))
    share, extra = divmod(spaces, len(words) - 1)
    gaps = [" " * (share + (i < extra)) for i in range(len(words) - 1)]
    return "".join(word + gap for word, gap in zip(words, [*gaps, ""], strict=True))
