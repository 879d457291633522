"""Lines that belong together become one event."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.files.multiline import Auto, Continuation, Go, Java, Joiner, Joining, Node, Patterned, Python, Ruby, Start
from shipper.files.patterned import cut_at
from shipper.files.traces import Traces
from shipper.options import Size
from shipper.text.patterns import LONGEST

TRACES = {
    "python": """Traceback (most recent call last):
  File "a.py", line 3, in <module>
    main(1 / 0)
         ~~^~~
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 5, in <module>
    raise ValueError("no")
ValueError: no""",
    "java": """Exception in thread "main" java.lang.RuntimeException: it broke
\tat com.example.Main.run(Main.java:12)
\tat com.example.Main.main(Main.java:3)
Caused by: java.io.IOException: disk
\tat com.example.Disk.read(Disk.java:7)
\t... 2 more""",
    "node": """TypeError: Cannot read properties of undefined (reading 'x')
    at Object.<anonymous> (/srv/app.js:1:7)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)""",
    "go": """panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/tmp/x.go:8 +0x1d
created by main.start
\t/tmp/x.go:3 +0x2a""",
    "ruby": """NoMethodError (undefined method `x' for nil:NilClass):
  app/controllers/a.rb:3:in `index'
  app/controllers/b.rb:9:in `call'""",
}
KINDS: dict[str, type[Joining]] = {"python": Python, "java": Java, "node": Node, "go": Go, "ruby": Ruby}


def joined(options: Joining, text: str, bounds: list[int] | None = None) -> list[str]:
    """The messages of a text whose lines are fed in as many chunks as there are bounds."""
    joiner, messages = Joiner(options), []
    lines = text.split("\n")
    edges = sorted({0, len(lines), *(bounds or ())})
    for begin, end in pairwise(edges):
        messages += joiner.feed("\n".join(lines[begin:end]))
    last = joiner.flush()
    return messages if last is None else [*messages, last]


@pytest.mark.parametrize("options", [Auto, None])
@pytest.mark.parametrize("language", TRACES)
def test_a_stack_trace_is_one_event(language: str, options: type[Joining] | None) -> None:
    """A trace is one event with its newlines, its neighbours are events of their own, wherever chunks end."""
    text = f"before\n{TRACES[language]}\nINFO after\n{TRACES[language]}\nINFO end"
    expected = ["before", TRACES[language], "INFO after", TRACES[language], "INFO end"]
    for at in range(text.count("\n") + 2):
        assert joined((options or KINDS[language])(), text, [at]) == expected


def test_a_start_pattern_begins_events() -> None:
    """Each event begins at a line in which the pattern is found; lines before the first are not lost."""
    start = Start(pattern=re.compile(r"^\d{4}-"))
    assert joined(start, "orphan\n2026-01 a\n  b\n\n2026-02 c") == ["orphan", "2026-01 a\n  b\n", "2026-02 c"]


def test_a_continuation_pattern_joins_lines() -> None:
    """Lines in which the pattern is found belong to the one before; negated, those in which it is not."""
    text = "a\n b\n c\nd\ne\n f"
    assert joined(Continuation(pattern=re.compile(r"^\s")), text) == ["a\n b\n c", "d", "e\n f"]
    assert joined(Continuation(pattern=re.compile(r"^\S"), negate=True), text) == ["a\n b\n c", "d", "e\n f"]


PATTERNS = [
    r"^\s+",
    r"^a",
    r"^(?!\s)",
    r"b",
    r"^[^a]",
    r"^a\s",
    r"^a$",
    r"^$",
    r"(?i)^A",
    r"\Aa",
    r"^(a|b)",
    r"^.*b$",
    r"a|^b",
    r"^(a)",
    r"^(a)(b)?",
    r"^a[\x00-\x20]*b",
    r"^a[\t-\r]",
    r"^a[\n ]b",
    r"^a\x0Ab",
    r"^a\012b",
    r"^a\u000ab",
    r"^a\N{LINE FEED}b",
    "^a\nb",
    "^a\\\nb",
]


@given(
    st.lists(st.sampled_from(["a", "b", " ", "a ", "", "ab", "\t"]), min_size=1, max_size=12),
    st.sampled_from(PATTERNS),
    st.booleans(),
)
def test_a_whole_text_is_searched_as_its_lines_are(lines: list[str], pattern: str, starts: bool) -> None:
    """Searching the chunk at once finds what searching line by line finds, and cuts it there."""
    compiled = re.compile(pattern)
    text, at, expected = "\n".join(lines), 0, []
    for line in lines:
        if (compiled.search(line) is not None) is starts:
            expected.append(at)
        at += len(line) + 1
    assert Patterned(compiled, starts).begins(text) == expected
    assert Patterned(compiled, starts).cut(text) == cut_at(text, expected)


@given(
    st.lists(st.sampled_from(["S1", " x", "yy", ""]), min_size=1, max_size=20),
    st.lists(st.integers(0, 20), max_size=5),
    st.sampled_from(
        [Start(pattern=re.compile("^S"), max_lines=3), Start(pattern=re.compile("^S"), max_bytes=Size(6)), Auto()]
    ),
)
def test_no_line_is_lost_and_chunks_make_no_difference(lines: list[str], bounds: list[int], options: Any) -> None:
    """The messages put together are the text, and are the same wherever chunks end."""
    text = "\n".join(lines)
    found = joined(options, text, [bound for bound in bounds if bound <= len(lines)])
    assert "\n".join(found) == text
    assert found == joined(options, text)
    assert all(message.count("\n") < options.max_lines for message in found)
    assert all(len(message) <= options.max_bytes or "\n" not in message for message in found)


TRACE_LINES = [line for trace in TRACES.values() for line in trace.split("\n")]


@given(
    st.lists(
        st.sampled_from([*TRACE_LINES, "", "plain", "an Error", "panic", "a Throwable:", " x"]), min_size=1, max_size=30
    ),
    st.sampled_from([("python",), ("java",), ("go",), ("python", "go", "node", "ruby")]),
)
def test_lines_that_are_passed_over_begin_events(lines: list[str], languages: tuple[str, ...]) -> None:
    """Looking only at lines in which a trace may begin finds the same as looking at each line by itself."""
    single, expected, at = Traces(*languages), [], 0
    for line in lines:
        if single._begins(line):
            expected.append(at)
        at += len(line) + 1
    whole = Traces(*languages)
    assert whole.begins("\n".join(lines)) == expected
    assert whole.open == single.open


def test_what_is_too_much_for_an_event_is_counted() -> None:
    """An event over the limits goes on as another one, and each time is reported."""
    reports: list[None] = []
    joiner = Joiner(Start(pattern=re.compile("^S"), max_lines=2), lambda: reports.append(None))
    assert joiner.feed("S\na\nb\nc\nd") == ["S\na", "b\nc"]
    assert joiner.flush() == "d"
    assert len(reports) == 2


@pytest.mark.parametrize(
    ("language", "head", "part"),
    [
        ("ruby", "", ".rb:1:in `"),
        ("ruby", "", "Error ("),
        ("ruby", "FooError (no):\n\n", "\t"),
        ("ruby", "FooError (no):\n\n", "\t.rb:1"),
        ("go", "panic: no\n\ngoroutine 1 [running]:\n", "a."),
        ("java", "java.lang.Error: no\n", "\t"),
        ("node", "Error: no\n", ")"),
        ("python", "Traceback (most recent call last):\n", " "),
    ],
)
def test_no_line_stalls_the_rules(language: str, head: str, part: str) -> None:
    """No line of a stranger takes more than a moment, however long it is."""

    def took(size: int) -> float:
        text = head + part * (size // len(part))
        began = time.process_time()
        Traces(language).begins(text)
        return time.process_time() - began

    assert min(took(2**16) for _ in range(2)) < 0.05


def test_a_pattern_sees_a_bounded_part_of_a_line() -> None:
    """Regular expressions of the configuration look no further than 64 KiB into a line."""
    for pattern in ("X", "^a*X", "^.*X"):
        for text, found in (("a" * (LONGEST - 1) + "X", [0]), ("a" * LONGEST + "X", [])):
            assert Patterned(re.compile(pattern), starts=True).begins(text) == found
            assert Patterned(re.compile(pattern), starts=True).begins(text + "\nb") == found
