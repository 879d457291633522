"""Regular expressions of users."""

from __future__ import annotations

import pytest

from shipper.text.patterns import compile_pattern


@pytest.mark.parametrize(
    ("text", "names", "matched"),
    [
        (r"(?<a>x)(?P<b>y)", {"a", "b"}, "xy"),
        (r"(?<=x)(?<a>y)(?<!z)", {"a"}, "xy"),
        (r"\(?<a>", set(), "(<a>"),
        (r"[(?<]a>", set(), "<a>"),
        (r"\\(?<a>x)", {"a"}, "\\x"),
    ],
)
def test_names_are_written_either_way(text: str, names: set[str], matched: str) -> None:
    """`(?<name>...)` is `(?P<name>...)`, but a look-behind, an escape or a class stays what it is."""
    pattern = compile_pattern(text)
    assert set(pattern.groupindex) == names
    assert pattern.search(matched)


@pytest.mark.parametrize(
    ("text", "column"), [("(?<a>x", "column 1"), ("x[", "column 2"), ("(?<1a>x)", "column"), ("*", "column 1")]
)
def test_what_is_wrong_is_said_with_its_place(text: str, column: str) -> None:
    """An expression that cannot be compiled is a ValueError that says where."""
    with pytest.raises(ValueError, match=column):
        compile_pattern(text)
