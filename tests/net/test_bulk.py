"""Action lines of the bulk API."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shipper.net.bulk import LIMITS, actions, bad_id

HEAD = b'{"create":{"_index":"logs"'
IDS = st.text('a1-.@_+ "\\\né\u2028\x7f\ud800', max_size=6) | st.none() | st.sampled_from(["x" * 512, "x" * 513])


@given(st.lists(IDS, max_size=6) | st.lists(st.text("0af-", min_size=1), max_size=6))
def test_whatever_stands_in_an_id(ids: list[str | None]) -> None:
    """Each line is one action with exactly this id, none where there is none; one that is refused is found."""
    found = actions(HEAD, ids)
    assert (found is None) is any(bad_id(each) for each in ids)
    for line, wanted in zip(found or [], ids, strict=found is not None):
        assert line.count(b"\n") == 1 and line.endswith(b"\n")
        assert orjson.loads(line)["create"] == {"_index": "logs", **({"_id": wanted} if wanted else {})}


def test_the_longest_id() -> None:
    """512 bytes, not characters."""
    assert actions(HEAD, ["é" * (LIMITS.id // 2)]) and not actions(HEAD, ["é" * (LIMITS.id // 2) + "x"])
