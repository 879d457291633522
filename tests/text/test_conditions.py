"""Conditions."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import Condition
from shipper.batch import Batch

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=4)
LEAVES = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "a.b",
        'a["c"]',
        "b[0]",
        'field("a.b")',
        "1",
        "-2",
        "0",
        "0.5",
        "1e999",
        "'a'",
        "''",
        "None",
        "True",
    ]
)
WIDER = [
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} / {1})", "({0} // {1})", "({0} % {1})", "(-{0})", "(not {0})",
    "({0} and {1})", "({0} or {1})", "({0} if {1} else {0})", "({0} < {1})", "({0} <= {1} < {0})", "({0} == {1})",
    "({0} != {1} > {0})", "({0} in {1})", "({0} not in {1})", "({0} in ['a', 1, None])", "({0} not in ('a', 'b'))",
    "({0} in {1} in [True])", "({0} is None)", "({0} is not None)", "len({0})", "lower({0})", "upper({0})",
    "startswith({0}, {1})", "endswith({0}, ('a', 'b'))", "contains({0}, {1})", "matches({0}, '^a.*b?')", "int({0})",
    "float({0})", "str({0})", "bool({0})", "exists(a.b)", "({0}).startswith({1})", "({0} == ['a', 'b'])",
]  # fmt: skip
EXPRESSIONS = st.recursive(
    LEAVES, lambda inner: st.builds(str.format, st.sampled_from(WIDER), inner, inner), max_leaves=8
)


@given(EXPRESSIONS, EVENTS, st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2))
def test_never_raises_and_select_agrees(text: str, events: list[dict[str, Any]], attrs: dict[str, Any]) -> None:
    """Any allowed expression gives a plain bool for any event, and the same for the batch as one by one."""
    condition = Condition(text)
    answers = [condition(event, attrs) for event in events]
    assert all(type(answer) is bool for answer in answers)
    found = condition.select(Batch(events, attrs=attrs))
    assert (found if isinstance(found, list) else [found] * len(events)) == answers


@given(st.text(max_size=30) | st.text(alphabet="ab.()[]{}\"'<=>!+-*/%&|~^:;, \\\n0é\x00", max_size=30))
def test_any_text_is_a_condition_or_a_value_error(text: str) -> None:
    """No text whatever ends in anything but a condition or a ValueError that is a sentence."""
    try:
        condition = Condition(text)
    except ValueError as error:
        assert "; " in str(error)
    else:
        assert condition({}) in (True, False)


EVENT: dict[str, Any] = {
    "status": 503, "path": "/checkout/cart", "level": "ERROR", "ms": 1.5, "ok": True, "nothing": None, "tags": ["a", "b"],
    "labels": {"a b": "x", "app": "web"}, "@timestamp": "2026", "a.b": 1, "text": "12", "deep": {"x": [{"y": 7}]},
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        'status >= 500 and "checkout" in path', "400 <= status < 600", "500 < status", "not status < 500",
        'level in ["ERROR", "FATAL"]', "level not in ('DEBUG',)", "status in {500, 503}", "missing not in ['x']",
        "tags not in ['a', 'b']", "missing is None", "nothing is None", "missing == None", "missing != 'x'",
        "exists(nothing)", "not exists(missing)", "exists(labels.app)", 'labels["a b"] == "x"', 'labels.app == "web"',
        'field("@timestamp") == "2026"', 'field("labels").app == "web"', "a.b == 1", "deep.x[0].y == 7", "deep.x[1] is None",
        "ms > 1", "ms * 2 == 3", "status // 100 == 5", "status % 100 == 3", "-status < 0", "status / 0 is None",
        "'a' in tags", "'c' not in tags", "'app' in labels", "tags == ['a', 'b']", "len(tags) == 2", "len(path) > 3",
        'lower(level) == "error"', 'level.lower() == "error"', 'path.startswith("/check")', 'startswith(path, ("/x", "/c"))',
        'endswith(path, "cart")', 'contains(path, "out")', 'contains(tags, "a")', r'matches(path, "^/check\w+/")',
        r'matches(path, r"\bcart\b")', 'path.matches("(?<what>out)")', "int(text) == 12", "float(text) == 12", "int(path) is None",
        'str(status) == "503"', "bool(tags)", "(1 if status > 500 else 0) == 1", "ok", "ok is True", "host == 'h'",
        "status == 503.0", "status > 502.5", "level >= 'A'", "lower(upper('é')) == 'é'", "1 < 2",
        "status >= 500 and\n  # slow ones, too\n  ms > 1",
    ],
)  # fmt: skip
def test_true(text: str) -> None:
    """What a reader would take for true is true, of one event and of a batch."""
    condition = Condition(text)
    assert condition(EVENT, {"host": "h"}) is True
    assert condition.select(Batch([EVENT], attrs={"host": "h"})) in (True, [True])


@pytest.mark.parametrize(
    "text",
    [
        "missing > 3", "missing < 3", "3 < missing", "missing >= missing", '"a" < 1', "status > '5'", "level > 5", "path < 3",
        '"a" in missing', '"a" not in missing', '"a" in status', "missing.x.y == 1", "path.x == 1", "missing in 'abc'",
        "missing", "nothing", "exists(missing)", "level == 'error'", "status + path > 1", "missing * 2 > 1", "path * 3 == 1",
        "status / 0 > 1", "matches(status, '5')", "len(status) > 0", "lower(status) == 503", "startswith(status, '5')",
        "startswith(path, 1)", "tags < 3", "labels > 1", "500 <= status < 503", "status in ['503']", "tags in ['a']",
        "float('1e999') * 0 > 1", "0",
        "1 is None", "-1 is None", "'a' is not True is None",
    ],
)  # fmt: skip
def test_false(text: str) -> None:
    """A comparison that makes no sense is false, never an error; so is what is simply not so."""
    assert Condition(text)(EVENT) is False


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("9 ** 9 ** 9", "column 1: ** (a power)"),
        ("a and __import__('os')", "column 7: the function __import__"),
        ("a.__class__()", "column 1: the function __class__"),
        ("(lambda: 1)()", "column 1: a call of this"),
        ("[x for x in y]", "column 1: a comprehension"),
        ("{'a': 1}", "column 1: a mapping"),
        ("f'{a}'", "column 1: an f-string"),
        ("(a := 1)", "column 2: an assignment"),
        ("a[1:2]", "column 3: what is in the brackets"),
        ("a[b]", "column 3: what is in the brackets"),
        ("a[-1]", "column 3: what is in the brackets"),
        ("a in [b]", "column 7: a field in a list; expected constants only"),
        ("a | b", "did you mean or?"),
        ("a && b", "&& is written and"),
        ("a = 1", "column 3: invalid syntax; = is written ==; expected"),
        ("a is 'x'", "column 6: is the constant 'x'; is and is not are for None"),
        ("x == true", "column 6: the word true; write True"),
        ("b'a' in c", "column 1: the constant b'a'"),
        ("... == a", "column 1: the constant Ellipsis"),
        ("1j > a", "column 1: the constant 1j"),
        ("len(a, b)", "column 1: this call of len; expected 1 plain argument"),
        ("len(*a)", "column 1: this call of len"),
        ("startswith(a)", "expected 2 plain arguments"),
        ("lower(x=1)", "this call of lower"),
        ("matches(a, b)", "column 12: the pattern; expected text in quotes"),
        ("matches(a, '(')", "column 12: the pattern: missing )"),
        (r"matches(a, '\bx')", r"\b is a backspace in plain quotes; write the pattern as r"),
        ("field(a)", "this call of field; expected a path in quotes"),
        ("field('a..b')", "'.' at column 3 of 'a..b'"),
        ("exists('a')", "expected a field such as labels.app"),
        ("lower(a).b", "column 1: a call; expected a field"),
        ("", "expected a condition such as"),
        ("a b", "expected a condition such as"),
        ("a\x00", "expected a condition such as"),
        ("a" * 5000, "a condition of 5000 characters; expected at most 4096"),
        ("not " * 1000 + "a", "nested deeper than"),
        ("-" * 4000 + "1", "expected a"),
        ("(" * 4000, "expected a condition such as"),
        ("a" + " + a" * 500, "nested deeper than"),
    ],
)
def test_errors_say_what_and_where(text: str, what: str) -> None:
    """What is not allowed is refused by name, with its column."""
    with pytest.raises(ValueError) as error:
        Condition(text)
    assert what in str(error.value)


def test_what_is_allowed_is_said() -> None:
    """Who tried something else is told all there is."""
    with pytest.raises(ValueError, match=r"allowed are fields, constants, .* and the functions bool contains endswith"):
        Condition("eval(a)")


@pytest.mark.parametrize(
    "template",
    ["({} + 1)", "(1 + {})", "({} < 2)", "(2 < {})", "(1 < {} < 3)", "('a' in {} in b)", "(a if {} else b)", "({} in [1])",
     "(-{})", "lower({})", "startswith(a, {})", "(not {})", "({} and b)"],
)  # fmt: skip
def test_deepest_nesting_compiles(template: str) -> None:
    """Whatever is nested, down to the limit it works and beyond it is refused."""
    for depth in itertools.count(1):
        text = "a"
        for _ in range(depth):
            text = template.replace("{}", text)
        try:
            assert Condition(text)({"a": 1}) in (True, False)
        except ValueError as error:
            assert "nested deeper" in str(error)
            assert depth > 14
            break


def test_deeply_nested_values_are_compared_or_differ() -> None:
    """Two values nested beyond what the stack holds make a comparison false, not an error."""
    a: Any = []
    b: Any = []
    for _ in range(100_000):
        a, b = [a], [b]
    condition = Condition("a == b")
    assert condition({"a": a, "b": b}) is False
    assert condition.select(Batch([{"a": 1, "b": 1}, {"a": a, "b": b}])) == [True, False]
    while a:
        a, b = a[0], b[0]


def test_a_pattern_sees_a_bounded_text() -> None:
    """`matches` looks at the first 64 Ki characters only."""
    condition = Condition("matches(message, 'x$')")
    assert condition({"message": "a" * 65535 + "x" + "y"})
    assert not condition({"message": "a" * 65536 + "x"})


def test_decided_once_for_raw_lines() -> None:
    """A condition on attributes is one answer for a batch of raw lines, which stays raw; one on the lines is not."""
    batch = Batch(raw=b"a\nERROR b", attrs={"host": "h", "kubernetes": {"namespace": "prod"}})
    assert Condition("kubernetes.namespace == 'prod' and host == 'h' and status is None").select(batch) is True
    assert Condition("host == 'x'").select(batch) is False
    assert batch.raw is not None
    assert Condition("'ERROR' in message").select(batch) == [False, True]


def test_own_field_decides_for_its_event() -> None:
    """One event with a field of its own is enough for each to be asked."""
    batch = Batch([{}, {"host": "other"}], attrs={"host": "h"})
    assert Condition("host == 'h'").select(batch) == [True, False]


def test_is_a_value() -> None:
    """It names the fields it reads, prints as it was written, and can be pickled."""
    condition = Condition('a.b > 1 and labels["x"] and exists(c) and len(d) > field("e.f") if g else h')
    assert condition.fields == {"a", "labels", "c", "d", "e", "g", "h"}
    simple = Condition("a > 1")
    assert repr(simple) == "Condition('a > 1')"
    assert str(simple) == "a > 1"
    assert pickle.loads(pickle.dumps(simple)) == simple != Condition("a > 2")
    assert hash(simple) == hash(Condition("a > 1"))
    with pytest.raises(AttributeError):
        simple.text = "b"
