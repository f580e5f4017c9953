"""What a source reads, as a list that can be fixed before any of it is read: files, and pieces of large ones."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """One file of a source."""

    source: str
    key: str
    """The path below the source's location: the same on every machine, and the beginning of its documents' keys."""
    address: str
    """What fsspec opens."""
    num_bytes: int
    mark: str
    """Differs when the content may have changed: a time of modification, an entity tag, or a checksum."""


@dataclass(frozen=True)
class Piece:
    """The records of an input that begin at the bytes `start` to `stop`; 0 to `num_bytes` is the whole."""

    input: Input
    start: int
    stop: int
