"""The filters of a source run in order, and their effects are counted."""

import dataclasses

import pytest

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.catalog import FILTERS, Screen
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop


def shortened(document):
    return dataclasses.replace(document, text=document.text[:3])


def test_filters_run_in_the_order_of_their_names_and_a_dropped_document_goes_no_further(monkeypatch):
    monkeypatch.setitem(FILTERS, "short", lambda config: shortened)
    monkeypatch.setitem(FILTERS, "empty", lambda config: lambda each: each if each.text else Drop("empty"))
    screen = Screen(("empty", "short"), FilterConfig())
    judged = [screen(Document("it", text, text, "MIT")) for text in ("", "abc", "abcdef")]
    assert judged[0] == Drop("empty")
    assert [each.text for each in judged[1:] if isinstance(each, Document)] == ["abc", "abc"]
    assert screen.effects == {
        "empty": {"seen": 3, "dropped": 1, "changed": 0},
        "short": {"seen": 2, "dropped": 0, "changed": 1},
    }


def test_an_unknown_filter_is_refused_by_name():
    with pytest.raises(UserError, match="there is no filter 'langage'"):
        Screen(("langage",), FilterConfig())
