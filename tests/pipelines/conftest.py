"""One finished run of the recipe `micro`, made as a user makes it, for all tests of this room."""

import pytest

from pipelines.runs import xgen


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Give the folder of a complete quickstart, and what it printed."""
    root = tmp_path_factory.mktemp("finished")
    return root, xgen(root, "quickstart", "micro")
