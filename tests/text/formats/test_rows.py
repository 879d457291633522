"""Rows become events by code that is written for their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.text.formats.rows import by_name, by_names

NAMES = st.none() | st.sampled_from(["", "a", "b c", "'", '"', "\\", "{x}", "\n", "def", "\ud800", "v0", "odd", "rows"])


@given(st.lists(NAMES, max_size=6), st.data())
def test_many_rows_give_what_each_gives(names: list[str | None], data: st.DataObject) -> None:
    """Whatever the names are and whichever values are empty or missing, the code gives what the plain way gives."""
    values = st.lists(st.sampled_from(["", "x", "y", None]), min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(values, max_size=4))
    expected = [by_name(names)(row) for row in rows]
    assert by_names(names)(rows) == expected
    assert [list(event or ()) for event in by_names(names)(rows)] == [list(event) for event in expected]


def test_rows_of_another_length_are_refused() -> None:
    """A row is never cut to the names, nor the names to a row."""
    with pytest.raises(ValueError, match="unpack"):
        by_names(["a"])([["x", "y"]])
