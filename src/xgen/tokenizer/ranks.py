"""The table of byte pairs: GPT-2's, shipped with the package, and the report's runs of whitespace."""

import base64
import functools
import gzip
import hashlib
import zlib
from pathlib import Path

from xgen.core.errors import UserError
from xgen.tokenizer.specials import RANKS_SHA256, RUN_RANKS

SHIPPED = Path(__file__).with_name("gpt2.tiktoken.gz")


def read_ranks(path: Path) -> dict[bytes, int]:
    """Read a compressed table of GPT-2's ranks; one with any other content would give other ids, so it is refused."""
    try:
        table = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise _damaged(path, "is missing") from None
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"is not a whole gzip file ({error})") from None
    found = hashlib.sha256(table).hexdigest()
    if found != RANKS_SHA256:
        raise _damaged(path, f"holds a table with sha256 {found}")
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, table.splitlines())}


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} {what}",
        f"GPT-2's table of byte pairs (sha256 {RANKS_SHA256})",
        "Install the package again: the file is part of it.",
    )


@functools.cache
def mergeable_ranks() -> dict[bytes, int]:
    """Map the bytes of every ordinary token to its id, which is its rank too: the lower is merged first."""
    ranks = read_ranks(SHIPPED)
    # A run that GPT-2 had already would be renamed here, and its old id would be orphaned.
    assert ranks.keys().isdisjoint(RUN_RANKS)
    return ranks | RUN_RANKS
