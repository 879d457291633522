"""Every format, a chunk at a time, gives what it gives line by line; and the fields that the contract names."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.batch import Event
from shipper.text.formats.apache import APACHE
from shipper.text.formats.auto import auto, kind
from shipper.text.formats.cri import CRI
from shipper.text.formats.csv import csv_reader
from shipper.text.formats.docker import docker_reader
from shipper.text.formats.json import json_reader
from shipper.text.formats.klog import klog
from shipper.text.formats.lines import Reader
from shipper.text.formats.logfmt import LOGFMT, write_line
from shipper.text.formats.nginx import NGINX
from shipper.text.formats.regex import by_pattern
from shipper.text.patterns import compile_pattern

NOW = datetime(2026, 9, 30, tzinfo=UTC).timestamp()
KLOG = klog(lambda: NOW)
AUTO = auto(lambda: NOW)

COMBINED = '10.0.0.1 - ann [01/Aug/2026:00:00:00 +0000] "GET /a?b=1 HTTP/1.1" 200 512 "https://example.com/" "Mozilla/5.0 (X11)"'
LINES = {
    "json": '{"level":"info","n":[1,{"a":{}}]}',
    "docker": '{"log":"hello\\n","stream":"stdout","time":"2026-08-01T00:00:00.1Z","attrs":{"tag":"x"}}',
    "cri": "2026-08-01T00:00:00.123456789Z stderr P hello  world ",
    "klog": "W0801 12:00:00.123456    1234 main.go:12] started: ok",
    "apache": COMBINED,
    "nginx": COMBINED + ' "192.0.2.1"',
    "logfmt": 'ts=1 level=info msg="two \\"words\\"" ok path=/a=b',
    "csv": 'a,"b, ""c""",d',
    "regex": "user=ann took 12ms",
    "syslog": "<34>1 2026-08-01T00:00:00Z host app 1 ID - hello",
    "rfc3164": "Aug  1 00:00:00 host app[12]: hello",
}
READERS: dict[str, Reader] = {
    "json": json_reader(),
    "docker": docker_reader(),
    "cri": CRI,
    "klog": KLOG,
    "apache": APACHE,
    "nginx": NGINX,
    "logfmt": LOGFMT,
    "csv": csv_reader(["x", "y", "z"]),
    "regex": by_pattern(compile_pattern(r"user=(?<user>[^ ]*) took (?<ms>\d+)ms")),
    "auto": AUTO,
}
ODD = [
    "",
    " ",
    "\r",
    "plain",
    '"',
    '""',
    "[",
    "\ud800"[:0],
    "a\tb",
    "\u2028",
    "é=ß",
    "-",
    "=",
    '="x"',
    "{}",
    "null",
    "\x00",
]

spoiled = st.builds(
    lambda line, at, junk, cut: line[:at] + junk + line[at + cut :],
    st.sampled_from(list(LINES.values())),
    st.integers(0, 130),
    st.sampled_from(
        ["", " ", "  ", '"', "\\", "\\\\", "-", "x", "9", "٣", "é", "\r", "\t", "]", "[", "{", "}", "=", ",", "_", "+"]
    ),
    st.integers(0, 12),
)
hostile = st.sampled_from(ODD) | st.sampled_from(list(LINES.values())) | spoiled


@pytest.mark.parametrize("name", list(READERS))
@settings(max_examples=250)
@given(st.lists(hostile, min_size=1, max_size=8))
def test_a_chunk_is_its_lines(name: str, lines: list[str]) -> None:
    """No line reaches into another, and what is fast gives what is obvious."""
    reader = READERS[name]
    expected = [reader.line(line) for line in lines]
    text = "\n".join(lines)
    assert reader.text(text) == expected
    unread = {at: line for at, (line, event) in enumerate(zip(lines, expected, strict=True)) if event is None}
    assert reader.data(text.encode()) == (expected, unread)


GOLDEN: list[tuple[str, str, Event | None]] = [
    ("json", LINES["json"], {"level": "info", "n": [1, {"a": {}}]}),
    ("json", "[1]", None),
    ("docker", LINES["docker"],
     {"timestamp": "2026-08-01T00:00:00.1Z", "stream": "stdout", "message": "hello", "attrs": {"tag": "x"}}),
    ("docker", '{"log":1,"stream":"stdout"}', None),
    ("cri", LINES["cri"], {"timestamp": "2026-08-01T00:00:00.123456789Z", "stream": "stderr", "message": "hello  world "}),
    ("cri", "2026-08-01T00:00:00+09:00 stdout F:tag x",
     {"timestamp": "2026-08-01T00:00:00+09:00", "stream": "stdout", "message": "x"}),
    ("cri", "2026-08-01T00:00:00Z stdout F", {"timestamp": "2026-08-01T00:00:00Z", "stream": "stdout", "message": ""}),
    ("cri", "2026-08-01T00:00:00Z stdin F x", None),
    ("klog", LINES["klog"],
     {"timestamp": "2026-08-01T12:00:00.123456Z", "level": "warning", "pid": 1234, "source": "main.go:12",
      "message": "started: ok"}),
    ("klog", "W1301 12:00:00.123456    1234 main.go:12] no such month", None),
    ("apache", COMBINED,
     {"timestamp": "2026-08-01T00:00:00Z", "remote_host": "10.0.0.1", "user": "ann", "method": "GET", "path": "/a?b=1",
      "protocol": "HTTP/1.1", "status": 200, "bytes": 512, "referer": "https://example.com/", "agent": "Mozilla/5.0 (X11)"}),
    ("apache", '::1 - - [01/Aug/2026:00:00:00 +0200] "GET / HTTP/1.0" 304 -',
     {"timestamp": "2026-08-01T00:00:00+02:00", "remote_host": "::1", "method": "GET", "path": "/", "protocol": "HTTP/1.0",
      "status": 304}),
    ("apache", 'h - - [01/Aug/2026:00:00:00 +0000] "-" 408 - "-" "-"',
     {"timestamp": "2026-08-01T00:00:00Z", "remote_host": "h", "status": 408}),
    ("apache", r'h - - [01/Aug/2026:00:00:00 +0000] "\x16\x03\"" 400 226 "-" "a \"b\""',
     {"timestamp": "2026-08-01T00:00:00Z", "remote_host": "h", "request": r"\x16\x03\"", "status": 400, "bytes": 226,
      "agent": r"a \"b\""}),
    ("apache", "not an access log", None),
    ("nginx", COMBINED + ' "192.0.2.1"',
     {"timestamp": "2026-08-01T00:00:00Z", "remote_host": "10.0.0.1", "user": "ann", "method": "GET", "path": "/a?b=1",
      "protocol": "HTTP/1.1", "status": 200, "bytes": 512, "referer": "https://example.com/", "agent": "Mozilla/5.0 (X11)",
      "forwarded_for": "192.0.2.1"}),
    ("logfmt", 'ts=1 msg="two \\"words\\"" ok', {"ts": "1", "msg": 'two "words"', "ok": True}),
    ("logfmt", r'a="x\qy\n" b= c', {"a": "xqy\n", "b": "", "c": True}),
    ("logfmt", "no pairs here", None),
    ("logfmt", 'a="open', None),
    ("csv", LINES["csv"], {"x": "a", "y": 'b, "c"', "z": "d"}),
    ("csv", "a,,c", {"x": "a", "z": "c"}),
    ("csv", "a,b", None),
    ("csv", 'a,"b,c', None),
    ("regex", "at 12: user=ann took 12ms!", {"user": "ann", "ms": "12"}),
    ("regex", "user= took 12ms", {"ms": "12"}),
    ("regex", "nobody", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "expected"), GOLDEN)
def test_golden_lines(name: str, line: str, expected: Event | None) -> None:
    """The fields of each format are those that the contract names; what is `-` is left out."""
    assert READERS[name].line(line) == expected
    assert READERS[name].text(f"{line}\n{line}") == [expected, expected]


def test_a_value_of_logfmt_goes_to_its_space() -> None:
    """Only what is in quotes holds spaces; an equals sign inside a value belongs to it."""
    assert LOGFMT.text('a=1 path=/x?y=z\nmsg="a=b c"') == [{"a": "1", "path": "/x?y=z"}, {"msg": "a=b c"}]


@given(st.dictionaries(st.from_regex(r"[a-z_.]{1,6}", fullmatch=True), st.text(max_size=12), min_size=1, max_size=4))
def test_logfmt_comes_back(event: Event) -> None:
    """Texts that are written as logfmt are read as they were, newlines, quotes and all; each event is one line."""
    line = write_line(event)
    assert "\n" not in line
    assert LOGFMT.line(line) == event


PIECES: dict[str, list[str]] = {
    "logfmt": ["a", "b", "=", "=", '"', '"', '="', '" ', " ", "\\", "\t", "\u2028", "\x1f", "é"],
    "csv": ["a", "b", ",", ",", '"', '"', '""', '",', ',"', "\r", "\x00", " ", "é", "a,b,c", '"a","b","c"'],
    "klog": ["I0801 12:00:00.1", "I0801 12:00:00", "E0230 12:00:00.1", ".", " 1 ", "1", "f.go:1] ", "f.go:1]", "x", "", "٣", "\r"],
    "docker": ['{"log":"a\\n"', '{"log":"b"', ',"stream":"stdout"', ',"stream":1', ',"time":"t"', ',"time":[]', ',"attrs":{"a":1}', "}", "{}", "x", "null"],
    "cri": ["2026-08-01T1", "2026-08-01T", "2026-08-02T1", "２026-08-01T1", " stdout", " stderr", " F", " P", " F:x", " ", "x", "é", "\r"],
}  # fmt: skip


@pytest.mark.parametrize("name", list(PIECES))
@settings(max_examples=400)
@given(data=st.data())
def test_a_chunk_is_its_lines_however_they_are_made(name: str, data: st.DataObject) -> None:
    """What takes a chunk apart quickly gives what the obvious way gives for each line, made of the parts of the format."""
    reader = READERS[name]
    lines = data.draw(
        st.lists(st.lists(st.sampled_from(PIECES[name]), max_size=12).map("".join), min_size=1, max_size=5)
    )
    assert reader.text("\n".join(lines)) == [reader.line(line) for line in lines]


def test_many_open_quotes_take_no_longer_than_their_lines() -> None:
    """Lines of CSV that all leave a quote open, even when read inside of quotes, are none, and those behind them are read."""
    lines = ['a","b'] * 2_000 + ["a,b,c"]
    assert READERS["csv"].text("\n".join(lines)) == [*[None] * 2_000, {"x": "a", "y": "b", "z": "c"}]


def test_logfmt_of_other_values() -> None:
    """Nested fields have dotted keys, lists are JSON, a key never breaks the line."""
    assert write_line({"a": {"b": 1, "c": None}, "d": [1, "x"], "e f=": True, "g": 0.5}) == (
        'a.b=1 a.c=null d="[1,\\"x\\"]" e_f_=true g=0.5'
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [(LINES[name], name) for name in ("json", "cri", "klog", "apache", "syslog")]
    + [
        (LINES["docker"], "json"),
        (LINES["nginx"], "apache"),
        (LINES["rfc3164"], "syslog"),
        ("level=info msg=x", "logfmt"),
    ]
    + [(line, "") for line in ("", "plain words", "a = b", "x=1", "Error: it failed", "2026-08-01 12:00:00 INFO x")],
)
def test_auto_tells_formats_apart(line: str, expected: str) -> None:
    """Each line is read as what it looks like; what looks like nothing is left alone."""
    assert kind(line) == expected


def test_auto_reads_json_the_same_whatever_is_beside_it() -> None:
    """A chunk of nothing but JSON is read at once; lines in it that are not UTF-8 give what they give in a mixture."""
    reader = READERS["auto"]
    lines = [b'{"a":1}', b'{"a":"\xff"}', b"{broken", b'{"log":"x\\n","stream":"stdout","time":"t"}', b"{}"]
    found, unread = reader.data(b"\n".join(lines))
    assert found == [{"a": 1}, {"a": "\ufffd"}, None, {"timestamp": "t", "stream": "stdout", "message": "x"}, {}]
    assert unread == {2: "{broken"}
    mixed, others = reader.data(b"\n".join([*lines, b"plain"]))
    assert (mixed, others) == ([*found, None], {2: "{broken", 5: "plain"})


def test_auto_reads_a_mixture() -> None:
    """Lines of all formats in one chunk come out in their order."""
    found = AUTO.text("\n".join(["plain", LINES["docker"], LINES["syslog"], LINES["cri"], COMBINED, "{broken"]))
    assert found[0] is None
    assert found[5] is None
    assert [event and event.get("message") for event in found[1:5]] == ["hello", "hello", "hello  world ", None]
    assert found[4] == APACHE.line(COMBINED)


WORDS = r"(?<a>\w+)\s+(?<b>\w*)"
PATTERNS = [
    WORDS, rf"^{WORDS}$", r"^(?<a>\w+) ", r"(?<a>b)|x", r"\w+", r"(?<a>[^x]+)x(?<b>.*)", r"^(?<a>\S+) (?:(?<b>\d+)|-)$", r"(?<a>[\s\S]*)=(?<b>\D+)", r"(?<a>a)|(?<b>b)",
    r"(?i)(?<a>A)(?<b>B)?", r"(?<a>\w)(?=\s)(?<b>)", r"(\w)(?<a>\w)(\d)?(?<b>\w)?", r"(?<a>[]x^-]+)(?<b>[^]]*)", r"(?<a>x?)(?<b>)",
    r"(?s)(?<a>.*)(?<b>z)", r"\A(?<a>.)(?<b>.)", r"(?<a>[^\W\d]+)(?<b>(?:\W|\d)+)", r"(?<a>\[[^\]]*\])(?<b>.?)", r"(?<a>x)\n(?<b>y)",
    r"(?<a>[^-0]+)-?(?<b>.*)", r"(?<a>[^-x]) ", r"(?<a>x+)[\W]?(?<b>[\s\S]*)$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.lists(st.text(alphabet="abxz0 =-[]\t\r_B", max_size=8), min_size=1, max_size=5))
def test_patterns_of_users_stay_in_their_line(pattern: str, lines: list[str]) -> None:
    """Whatever a pattern would take if it could, over a chunk it gives what `search` gives in each line."""
    reader = by_pattern(compile_pattern(pattern))
    found = reader.text("\n".join(lines))
    assert found == [_searched(compile_pattern(pattern), line) for line in lines]


def _searched(pattern: re.Pattern[str], line: str) -> Any:
    match = pattern.search(line)
    return ({name: value for name, value in match.groupdict().items() if value} or None) if match else None


def test_a_line_that_is_too_long_is_not_searched() -> None:
    """Beyond 64 KiB a pattern is not tried; the lines beside it are."""
    reader = by_pattern(compile_pattern("(?<a>x+)"))
    assert reader.text("x\n" + "x" * 70_000 + "\nxx") == [{"a": "x"}, None, {"a": "xx"}]
