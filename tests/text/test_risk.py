"""How badly a regular expression can do is told from its shape."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.text.alarm import TimeUp, within
from shipper.text.risk import risk

EXPONENTIAL = [
    r"^(\w+\s?)*$", r"(a+)+$", r"^(a|a)*$", r"^(a|ab|b)*$", r"(x+x+)+y", r"(.*)*x", r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(\w*)*\d$", r"^(?:a?b?)*c$", r"(?:a?){20}b", r"(.*,)*x", r"^(?:\s*\w+\s*)*;$", r"(?=(a+)+b)x",
    r'^"(?:[^"]|\\.)*$', r"([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@)", r"(?i)^(?:ß+S?s*)*x$", r"^(\w{1,20}){1,20}$",
]  # fmt: skip
LINEAR = [
    r'^(?P<h>\S+) \S+ (?P<u>\S+) \[(?P<t>[^\]]+)\] "(?P<m>\S+) (?P<p>[^"]*)" (?P<s>\d{3}) (?P<b>\d+|-)$',
    r"^\d{4}-\d{2}-\d{2}", r"^(?:\d{1,3}\.){3}\d{1,3}$", r'^"(?:[^"\\]|\\.)*"$', r"^(?:\w+\.)*\w+$",
    r"^(?P<t>\S+) (?P<l>\w+) (?P<m>.*)$", r"^(?P<a>.*) - (?P<b>.*)$", r"ERROR|WARN", r"level=(?P<l>\w+)",
    r"^(?:[0-9a-f]{2})+$", r"^(?:foo|bar|baz)*$", r"^\s+at ", r"(?P<u>user=(\w+ ?)*)", r"^([a-z]+,)*[a-z]+$",
    r"(?s)^(?P<first>[^\n]*)\n(?P<rest>.*)$", r"(?i)error", "", r"a*", r"^(?P<h>[\w.-]+)@(?P<d>[\w-]+\.[a-z]+)$",
]  # fmt: skip
POWERS = {
    r"\d+x": 2, r"(?P<a>.*) - (?P<b>.*)": 2, r"^.*foo.*bar$": 2, r"\s+$": 2, r"error: (.*) code=(\d+)": 2,
    r"^\s*(.*?)\s*;$": 3, r"\d+\d+x": 3, r"a*a*a*a*b": 5, r"^(.*)\1x": 2,
}  # fmt: skip


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_two_ways_round_a_loop_are_exponential(pattern: str) -> None:
    """A loop that can read one text in two ways is named, however it is written."""
    assert risk(re.compile(pattern)).exponential


@pytest.mark.parametrize("pattern", LINEAR)
def test_what_reads_a_text_in_one_way_is_safe(pattern: str) -> None:
    """Patterns as people write them for logs run as they are."""
    assert not risk(re.compile(pattern)).superlinear


@pytest.mark.parametrize(("pattern", "degree"), POWERS.items())
def test_loops_that_share_a_text_multiply(pattern: str, degree: int) -> None:
    """So many loops one behind the other, the search for the beginning among them."""
    found = risk(re.compile(pattern))
    assert (found.degree, found.exponential) == (degree, False)


def test_possessive_loops_give_nothing_back() -> None:
    """What the author made safe is not warned of."""
    assert not risk(re.compile(r"^(\w++\s?)*+$")).grave


def test_a_value_that_must_fit_whole_is_no_search() -> None:
    """`allow` of redact matches all of a value, so a loop alone is linear there, and at its end it can still fail."""
    assert not risk(re.compile(r"\d+"), whole=True).superlinear
    assert risk(re.compile(r"(\w+)*"), whole=True).exponential


def test_a_pattern_too_large_is_risky_and_ends_soon() -> None:
    """A list of twenty thousand words is looked at for less than a second, and runs against the clock."""
    began = time.thread_time()
    assert risk(re.compile("|".join(f"w{number}" for number in range(20_000)))).superlinear
    assert time.thread_time() - began < 5  # nearly all of it is Python's own parser


@pytest.mark.parametrize(
    "pattern", ["(" * 450 + "a+" + ")" * 450, "(" * 14 + ")" + "){4}" * 13], ids=["deep", "nothing, 67 million times"]
)
def test_a_pattern_too_deep_is_risky_and_ends_soon(pattern: str) -> None:
    """What Python compiles ends no start, however it is nested."""
    began = time.thread_time()
    assert risk(re.compile(pattern)).superlinear
    assert time.thread_time() - began < 5


ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\w", r"\s", "ab", "a?", "(?:a|b)", "(?:a|ab)", r"\d"])
LOOPS = st.sampled_from(["", "", "*", "+", "?", "*?", "{2}", "{2,3}", "{5,}"])
PIECES = st.recursive(
    st.builds(str.__add__, ATOMS.map("(?:{})".format), LOOPS),
    lambda inner: (
        st.builds("(?:{}){}".format, st.lists(inner, min_size=1, max_size=3).map("".join), LOOPS)
        | st.builds("(?:{}|{})".format, inner, inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(PIECES, st.sampled_from(["", "^"]), st.sampled_from(["", "$", "x", "b$"]))
def test_what_is_called_safe_is_fast(middle: str, begin: str, end: str) -> None:
    """A pattern that is not superlinear reads forty thousand characters of any rhythm within its time."""
    pattern = re.compile(begin + middle + end)
    if risk(pattern).superlinear:
        return
    for rhythm in ("a", "b", "ab", "aab", "aaab ", "1a"):
        text = (rhythm * 40_000)[:40_000] + "!"
        try:
            within(0.4, pattern.search, text)  # linear ones take 0.01 s, quadratic ones seconds
        except TimeUp:
            pytest.fail(f"{pattern.pattern} takes too long on {rhythm!r} repeated")
