"""Three old ciphers, none of which keeps a secret today."""

from collections import Counter
from string import ascii_lowercase, ascii_uppercase


def shift(text, places):
    """Move each letter along the alphabet, as Caesar did; everything else stays."""
    result = []
    for letter in text:
        for alphabet in (ascii_lowercase, ascii_uppercase):
            if letter in alphabet:
                letter = alphabet[(alphabet.index(letter) + places) % 26]
                break
        result.append(letter)
    return "".join(result)


def vigenere(text, key, direction=1):
    """Shift each letter by the next letter of the key; with direction -1 the text becomes plain again."""
    places = [ascii_lowercase.index(letter) for letter in key.lower()]
    result, used = [], 0
    for letter in text:
        if letter.isascii() and letter.isalpha():
            letter = shift(letter, direction * places[used % len(places)])
            used += 1
        result.append(letter)
    return "".join(result)


def rail_fence(text, rails):
    """Write the text up and down in a zigzag and read it off line by line."""
    lines = [[] for _ in range(rails)]
    for letter, rail in zip(text, _zigzag(len(text), rails), strict=True):
        lines[rail].append(letter)
    return "".join(letter for line in lines for letter in line)


def rail_fence_undo(code, rails):
    """Put the letters back into the order of the zigzag."""
    order = sorted(range(len(code)), key=list(_zigzag(len(code), rails)).__getitem__)
    letters = [""] * len(code)
    for position, letter in zip(order, code, strict=True):
        letters[position] = letter
    return "".join(letters)


def _zigzag(length, rails):
    """Yield the line of each letter: 0, 1, 2, 1, 0, 1, 2 for three rails."""
    period = max(2 * (rails - 1), 1)
    for index in range(length):
        offset = index % period
        yield min(offset, period - offset) if rails > 1 else 0


def break_shift(text):
    """Guess the shift of an English text, supposing that its commonest letter was an e."""
    letters = Counter(letter for letter in text.lower() if letter in ascii_lowercase)
    if not letters:
        return 0
    return (ascii_lowercase.index(letters.most_common(1)[0][0]) - ascii_lowercase.index("e")) % 26
