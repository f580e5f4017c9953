"""Roman numerals from 1 to 3999, in the subtractive notation that clocks and popes use."""

SYMBOLS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"),
    (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
    (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)


def to_roman(number):
    """Write a number as a Roman numeral, taking the largest symbol that fits each time."""
    if not 1 <= number <= 3999:
        raise ValueError(f"{number} cannot be written with seven letters")
    parts = []
    for value, symbol in SYMBOLS:
        count, number = divmod(number, value)
        parts.append(symbol * count)
    return "".join(parts)


def from_roman(numeral):
    """Read a Roman numeral; a smaller letter before a larger one is subtracted."""
    values = {symbol: value for value, symbol in SYMBOLS if len(symbol) == 1}
    total = 0
    previous = 0
    for letter in reversed(numeral.upper()):
        if letter not in values:
            raise ValueError(f"'{letter}' is not a Roman digit")
        value = values[letter]
        total += value if value >= previous else -value
        previous = max(previous, value)
    if to_roman(total) != numeral.upper():
        raise ValueError(f"'{numeral}' is not the usual way to write {total}")
    return total


def is_roman(text):
    """Say whether a text is a well-formed Roman numeral."""
    try:
        from_roman(text)
    except ValueError:
        return False
    return True


def century(year):
    """Name the century of a year as historians do: 1789 lies in the XVIIIth."""
    return to_roman((year - 1) // 100 + 1)
