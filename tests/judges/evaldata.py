"""Where the benchmark files of others lie, if they are on this machine."""

from pathlib import Path

import pytest

EVALDATA = Path(__file__).parents[2].parent / "shared" / "evaldata"


def evaldata(name: str) -> Path:
    """Return a folder or file of real data, or skip the test with the reason."""
    path = EVALDATA / name
    if not path.exists():
        pytest.skip(f"no copy of {name} beside the project")
    return path
