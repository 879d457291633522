"""The filter `drop`."""

from __future__ import annotations

from shipper import Batch, Condition
from shipper.filters.drop import Drop
from shipper.testing import check_filter, filtered


def test_drops_what_matches() -> None:
    """Events that meet the condition end here; the others go on in order, also those without the field."""
    drop = Drop(when=Condition("status < 400"))
    assert filtered(drop, [{"status": 500}, {"status": 200}, {}]) == [{"status": 500}, {}]


def test_lines_are_not_decoded_for_attributes() -> None:
    """A condition on attributes alone keeps or ends a batch of raw lines as a whole."""
    drop = Drop(when=Condition("host == 'a'"))
    assert len(drop.apply(Batch(raw=b"x\ny", attrs={"host": "a"}))) == 0
    assert drop.apply(Batch(raw=b"x\ny", attrs={"host": "b"})).raw == b"x\ny"


def test_the_core_leaves_the_condition_to_it() -> None:
    """It says so, and the condition has to be given."""
    assert Drop.decides
    try:
        Drop()  # type: ignore[call-arg]
    except TypeError as error:
        assert "when" in str(error)
    else:
        raise AssertionError("drop without a condition")


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Drop(when=Condition("level == 'error'")))
