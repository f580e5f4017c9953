"""A table beside a data set that says under which licence each row is: an `id`, and the licence or licences.

Rows of StarCoderData carry none; those of The Stack, from which it was made, do. The table is whatever the user joined:
Parquet or JSON lines with `id` and one of `licence`, `license` and `max_stars_repo_licenses`.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from xgen.core.errors import UserError
from xgen.filters.licences import NOT_STATED
from xgen.sources.addresses import File, list_files
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.rows import JSON_LINES, kind_of, read_json_lines, read_parquet

LICENCES = ("licence", "license", "max_stars_repo_licenses")


@lru_cache(maxsize=1)
def open_licence_table(location: str) -> dict[str, str]:
    """Read the table into memory, once in a process; a row that is broken ends the run, whether strict or not.

    An id with two different licences has none that could be trusted: "not stated".
    """
    table: dict[str, str] = {}
    source = Source("licences", "files", location, NOT_STATED, 0)
    for file in list_files(source):
        for fields in _rows(file):
            name = fields.get("id")
            licence = next((fields[field] for field in LICENCES if fields.get(field) is not None), None)
            if name is None:
                raise UserError(
                    f"a row of {file.address} has no `id`, but {sorted(fields)}",
                    f"`id` and one of {', '.join(LICENCES)}",
                    "Write the table of licences with these columns.",
                )
            said = sys.intern(licence_of_all(licence))
            if table.setdefault(str(name), said) != said:
                table[str(name)] = NOT_STATED
    return table


def licence_of_all(licences: Any) -> str:
    """Join the licences that were found in a repository: all of them may bind a file; none means "not stated".

    What is no string and no list of strings states nothing that could be relied on.
    """
    found = [licences] if isinstance(licences, str) else licences
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        return NOT_STATED
    return " AND ".join(sorted(set(found)))


def _rows(file: File) -> Iterator[dict[str, Any]]:
    intake = Intake("the table of licences", strict=True)
    if kind_of(file) == "parquet":
        yield from (row.fields for row in read_parquet(file, intake, "id", LICENCES))
    elif kind_of(file) in JSON_LINES:
        yield from (row.fields for row in read_json_lines(file, intake))
