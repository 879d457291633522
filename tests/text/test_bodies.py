"""Bodies of requests as batches."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.text.bodies import Form, batches, form_of

FIELDS = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=20), max_size=3
)


def events(body: bytes, form: Form, chunk: int = 50) -> list[dict[str, Any]]:
    return [event for batch in batches(body, form, {}, chunk=chunk) for event in batch.events]


@pytest.mark.parametrize(
    ("content_type", "body", "form"),
    [
        ("application/json", b"", "auto"),
        ("application/vnd.x+json", b"", "auto"),
        ("application/x-ndjson", b"", "ndjson"),
        ("text/plain", b"{}", "text"),
        ("application/octet-stream", b" [1]", "auto"),
        ("application/octet-stream", b"hello", "text"),
    ],
)
def test_form(content_type: str, body: bytes, form: Form) -> None:
    """The media type decides; where it says nothing, the first byte."""
    assert form_of(content_type, body) == form


@given(st.lists(FIELDS, min_size=1, max_size=60))
def test_json_either_way(values: list[dict[str, Any]]) -> None:
    """The same objects come from an array, from lines and from an array over many lines, whatever the chunks."""
    lines = b"\n".join(map(orjson.dumps, values))
    assert events(lines, "ndjson") == values
    assert events(lines, "auto") == values
    assert events(orjson.dumps(values), "auto") == values
    assert events(orjson.dumps(values, option=orjson.OPT_INDENT_2), "json") == values


@given(st.lists(st.text("ab {}é", max_size=30), max_size=40), st.sampled_from(["\n", "\r\n"]))
def test_text(lines: list[str], end: str) -> None:
    """Every line that is not empty is an event."""
    found = events(end.join(lines).encode(), "text")
    assert found == [{"message": line} for line in lines if line]


def test_sizes_add_up() -> None:
    """What the batches count in bytes is about the body, so that the budget is right."""
    body = orjson.dumps([{"a": "x" * 100}] * 2000)
    assert sum(batch.size for batch in batches(body, "json", {})) == pytest.approx(len(body), rel=0.01)


def test_refused_before_the_first_batch() -> None:
    """When nothing is valid there is no batch at all, however long the body; one valid line saves all before it."""
    bad = b"not json\n" * 50_000
    with pytest.raises(ValueError, match="no object"):
        next(batches(bad, "ndjson", {}))
    found = events(bad + b'{"a": 1}', "ndjson", 65536)
    assert len(found) == 50_001
    assert found[-1] == {"a": 1}


def test_an_item_nested_too_deep() -> None:
    """What is no object and nested too deep to be written is marked, and costs neither the others nor the request."""
    deep = b"[" * 300 + b"]" * 300
    first, second = events(b'[{"a":1},' + deep + b"]", "json")
    assert first == {"a": 1}
    assert second == {"message": orjson.loads(deep), "shipper_error": "json: not an object"}
