"""The text of a whole file: what is none is named and left out."""

from xgen.sources.addresses import File
from xgen.sources.intake import Intake, Place
from xgen.sources.rows import LONGEST_LINE, UTF8, WHOLE
from xgen.sources.streams import DAMAGE, chunks_of


def read_text(file: File, intake: Intake) -> str:
    """Return the text of a whole file, or nothing, counted."""
    parts, num_bytes = [], 0
    try:
        for chunk in chunks_of(file.address):
            parts.append(chunk)
            if (num_bytes := num_bytes + len(chunk)) > LONGEST_LINE:
                place = Place(file.address, offset=0)
                intake.bad(f"a text over {LONGEST_LINE:,} bytes", place, "one document a file", parts[0])
                return ""
    except DAMAGE as error:
        intake.bad("a damaged file", Place(file.address, offset=num_bytes), WHOLE, detail=str(error))
        return ""
    raw = b"".join(parts)
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        intake.bad("invalid UTF-8", Place(file.address, offset=error.start), UTF8, raw)
        return ""
    if not raw:
        intake.bad("an empty file", Place(file.address, offset=0), "a text")
    elif not text.strip():
        intake.skip("empty text")
    return text if text.strip() else ""
