"""The filter `keep`."""

from __future__ import annotations

from shipper import Batch, Condition
from shipper.filters.keep import Keep
from shipper.testing import check_filter, filtered


def test_keeps_what_matches() -> None:
    """Events that meet the condition go on, in order; the others end here, also those without the field."""
    keep = Keep(when=Condition("status >= 500"))
    assert filtered(keep, [{"status": 500}, {"status": 200}, {}, {"status": 503}]) == [{"status": 500}, {"status": 503}]


def test_lines_are_not_decoded_for_attributes() -> None:
    """A condition on attributes alone keeps or ends a batch of raw lines as a whole."""
    keep = Keep(when=Condition("host == 'a'"))
    kept = keep.apply(Batch(raw=b"x\ny", attrs={"host": "a"}))
    assert kept.raw == b"x\ny"
    assert len(keep.apply(Batch(raw=b"x\ny", attrs={"host": "b"}))) == 0


def test_the_core_leaves_the_condition_to_it() -> None:
    """It says so, and the condition has to be given."""
    assert Keep.decides
    try:
        Keep()  # type: ignore[call-arg]
    except TypeError as error:
        assert "when" in str(error)
    else:
        raise AssertionError("keep without a condition")


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Keep(when=Condition("level == 'error'")))
