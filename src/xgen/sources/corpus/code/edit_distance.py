"""How different two words are: the least number of letters to insert, delete or replace."""


def distance(first, second):
    """Return the edit distance, keeping only two rows of the table."""
    previous = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        current = [i]
        for j, b in enumerate(second, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a != b)))
        previous = current
    return previous[-1]


def similarity(first, second):
    """Return 1.0 for equal words and 0.0 for words that have nothing in common."""
    longest = max(len(first), len(second))
    return 1.0 - distance(first, second) / longest if longest else 1.0


def closest(word, candidates, cutoff=0.6):
    """Return the most similar candidate, or None if none reaches the cutoff."""
    best = max(candidates, key=lambda candidate: similarity(word, candidate), default=None)
    if best is None or similarity(word, best) < cutoff:
        return None
    return best


def script(first, second):
    """Return the steps that turn one word into the other: ("keep" | "replace" | "insert" | "delete", letter)."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) + 1):
        for j in range(len(second) + 1):
            if i == 0 or j == 0:
                table[i][j] = i + j
            else:
                replace = table[i - 1][j - 1] + (first[i - 1] != second[j - 1])
                table[i][j] = min(replace, table[i - 1][j] + 1, table[i][j - 1] + 1)
    steps, i, j = [], len(first), len(second)
    while i or j:
        if i and j and table[i][j] == table[i - 1][j - 1] + (first[i - 1] != second[j - 1]):
            same = first[i - 1] == second[j - 1]
            steps.append(("keep" if same else "replace", second[j - 1]))
            i, j = i - 1, j - 1
        elif j and table[i][j] == table[i][j - 1] + 1:
            steps.append(("insert", second[j - 1]))
            j -= 1
        else:
            steps.append(("delete", first[i - 1]))
            i -= 1
    return steps[::-1]
