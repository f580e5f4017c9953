"""Tables from a manifest."""

from xgen.data.audit import TABLES, filter_table, licence_table, source_table, stage_table

MANIFEST = {
    "sources": {
        "prose": {
            "read": {"documents": 3, "tokens": 3000},
            "licences": {"MIT": 2, "ISC": 1},
            "fates": {
                "kept": {"documents": 2, "tokens": 2950},
                "under min_document_tokens": {"documents": 1, "tokens": 50},
            },
            "skipped": {"broken JSON": 4},
            "filters": {"language": {"seen": 3, "dropped": 1, "changed": 0}},
        }
    },
    "stages": [
        {
            "name": "1a",
            "rows": 1712,
            "context_length": 128,
            "tokens": 1000,
            "sources": {
                "prose": {"wanted": 0.9531, "tokens": 953, "documents": 7, "draw": "part", "repeats": 1.25},
                "code": {"wanted": 0.0469, "tokens": 47, "documents": 1, "draw": "again", "repeats": 0.5},
            },
        }
    ],
}


def test_the_table_of_sources_names_every_fate():
    assert source_table(MANIFEST).rows == (
        ("prose", "read", "3", "3,000"),
        ("", "kept", "2", "2,950"),
        ("", "under min_document_tokens", "1", "50"),
        ("", "not read: broken JSON", "4", ""),
    )


def test_the_table_of_stages_puts_what_was_wanted_beside_what_was_got():
    assert stage_table(MANIFEST).rows == (
        ("1a", "1,712 x 128", "prose", "part", "95.31", "95.30", "953", "7", "1.25"),
        ("", "", "code", "again", "4.69", "4.70", "47", "1", "0.50"),
    )


def test_the_table_of_filters_has_a_row_for_each_filter_of_a_source():
    assert filter_table(MANIFEST).rows == (("prose", "language", "3", "1", "0"),)


def test_licences_are_counted_and_every_row_of_a_table_fits_its_columns():
    assert licence_table(MANIFEST).rows == (("prose", "MIT", "2"), ("prose", "ISC", "1"))
    assert all(len(row) == len(table.columns) for table in (make(MANIFEST) for make in TABLES) for row in table.rows)
