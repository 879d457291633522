"""Syslog messages as events: RFC 5424, RFC 3164, and what devices send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.batch import Event
from shipper.text.formats.syslog import Format, parse_chunk, parse_messages, parse_syslog

NOW = datetime(2026, 8, 2, tzinfo=UTC).timestamp()
AUTH = {"facility": "auth", "severity": "critical"}
LOCAL7 = {"facility": "local7", "severity": "notice"}


def parsed(line: str, format: Format = "auto", timezone: str | None = None) -> dict[str, Any] | None:
    return parse_syslog(line, now=NOW, format=format, timezone=timezone)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed",
            {
                "timestamp": "2003-10-11T22:14:15.003Z",
                "host": "mymachine.example.com",
                "app": "su",
                "msgid": "ID47",
                **AUTH,
                "message": "'su root' failed",
            },
        ),
        (
            r'<165>1 2003-10-11T22:14:15.000003-07:00 h app 8710 ID47 [a@1 iut="3" s="x\"y\\z\]"][b n="1"] text "q" ] end',
            {
                "timestamp": "2003-10-11T22:14:15.000003-07:00",
                "host": "h",
                "app": "app",
                "pid": "8710",
                "msgid": "ID47",
                "facility": "local4",
                "severity": "notice",
                "structured_data": {"a@1": {"iut": "3", "s": r'x"y\z]'}, "b": {"n": "1"}},
                "message": 'text "q" ] end',
            },
        ),
        (
            '<165>1 2003-10-11T22:14:15Z h app 1 - [a x="1] 2"]',
            {
                "timestamp": "2003-10-11T22:14:15Z",
                "host": "h",
                "app": "app",
                "pid": "1",
                "facility": "local4",
                "severity": "notice",
                "structured_data": {"a": {"x": "1] 2"}},
                "message": "",
            },
        ),
        ("<0>1 - - - - - -", {"facility": "kern", "severity": "emergency", "message": ""}),
        ("<191>1 - - - - - - x\ny", {"facility": "local7", "severity": "debug", "message": "x\ny"}),
    ],
)
def test_rfc5424(line: str, expected: dict[str, Any]) -> None:
    """Every part of RFC 5424 gets its field; nil is left out, escapes and the BOM are undone."""
    assert parsed(line) == parsed(line, "rfc5424") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            {
                "timestamp": "2026-10-11T22:14:15Z",
                "host": "mymachine",
                "app": "su",
                **AUTH,
                "message": "'su root' failed",
            },
        ),
        (
            "<34>Aug  1 00:00:00 sshd[12]: local form",
            {"timestamp": "2026-08-01T00:00:00Z", "app": "sshd", "pid": "12", **AUTH, "message": "local form"},
        ),
        (
            "<34>Dec 31 23:59:59 h postfix/smtpd[12]: x",
            {
                "timestamp": "2026-12-31T23:59:59Z",
                "host": "h",
                "app": "postfix/smtpd",
                "pid": "12",
                **AUTH,
                "message": "x",
            },
        ),
        (
            "<34>Feb 29 00:00:60 h a:",
            {"timestamp": "2028-02-29T00:00:59Z", "host": "h", "app": "a", **AUTH, "message": ""},
        ),
        (
            "Jul 31 00:00:00 h last message repeated 3 times",
            {"timestamp": "2026-07-31T00:00:00Z", "host": "h", "message": "last message repeated 3 times"},
        ),
        (
            "<34>2026-08-01T00:00:00.123456+02:00 h a[1]: x",
            {
                "timestamp": "2026-08-01T00:00:00.123456+02:00",
                "host": "h",
                "app": "a",
                "pid": "1",
                **AUTH,
                "message": "x",
            },
        ),
        (
            "<189>Aug  1 2026 00:00:00: %ASA-6-302013: Built",
            {"timestamp": "2026-08-01T00:00:00Z", "app": "%ASA-6-302013", **LOCAL7, "message": "Built"},
        ),
        (
            "<189>Aug 01 2026 00:00:00 asa1 : %ASA-6-302013: Built",
            {"timestamp": "2026-08-01T00:00:00Z", "host": "asa1", "app": "%ASA-6-302013", **LOCAL7, "message": "Built"},
        ),
        ("<189>%ASA-6-302013: Built", {"app": "%ASA-6-302013", **LOCAL7, "message": "Built"}),
        (
            "<189>22: *Mar  1 00:00:28.123: %SYS-5-CONFIG_I: Configured",
            {"timestamp": "2026-03-01T00:00:28.123Z", "app": "%SYS-5-CONFIG_I", **LOCAL7, "message": "Configured"},
        ),
        (
            "<189>22: router1: .Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: Configured",
            {
                "timestamp": "2026-03-01T18:48:50.483Z",
                "host": "router1",
                "app": "%SYS-5-CONFIG_I",
                **LOCAL7,
                "message": "Configured",
            },
        ),
        (
            "<189>: 2026 Aug  1 00:00:00.123 UTC: %ETHPORT-5-IF_UP: up",
            {"timestamp": "2026-08-01T00:00:00.123Z", "app": "%ETHPORT-5-IF_UP", **LOCAL7, "message": "up"},
        ),
        (
            "<34>Aug  1 00:00:00 WEB CRON[7]: x",
            {"timestamp": "2026-08-01T00:00:00Z", "host": "WEB", "app": "CRON", "pid": "7", **AUTH, "message": "x"},
        ),
        ("<34>Use the BFG!", {**AUTH, "message": "Use the BFG!"}),
        ("<34>", {**AUTH, "message": ""}),
        ("<34>myapp: from Python", {"app": "myapp", **AUTH, "message": "from Python"}),
        ("<34>Feb 30 00:00:00 h a: x", {**AUTH, "message": "Feb 30 00:00:00 h a: x"}),
        ("<34>Oct 11 22:14:15host a: x", {**AUTH, "message": "Oct 11 22:14:15host a: x"}),
    ],
)
def test_rfc3164(line: str, expected: dict[str, Any]) -> None:
    """What is there is found, with or without year, zone, host, tag and priority; a day that does not exist is text."""
    assert parsed(line) == parsed(line, "rfc3164") == expected


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "",
        "<192>Aug  1 00:00:00 h a: x",
        "<999>1 2026-08-01T00:00:00Z h a 1 - - x",
        "<34>1 2026-08-01T00:00:00Z h",
        "<>x",
        "-1 ",
        "999999999999 <1>",
    ],
)
def test_what_is_no_syslog(line: str) -> None:
    """A priority above 191, or neither priority nor time, is no syslog: the caller keeps it as it came."""
    assert parsed(line) is None


@pytest.mark.parametrize("rest", ['[x a="1 hello', "plain words", "[broken words] x", '[x a="1"]glued'])
def test_broken_structured_data(rest: str) -> None:
    """Header fields survive broken structured data, which stays in the message, and the event is marked."""
    event = parsed(f"<34>1 2026-08-01T00:00:00Z h a 1 - {rest}")
    assert event is not None
    assert (event["host"], event["severity"], event["message"]) == ("h", "critical", rest)
    assert event["shipper_error"].startswith("syslog: ")


def test_format_is_obeyed() -> None:
    """`rfc5424` takes nothing else; `rfc3164` takes a version for text."""
    assert parsed("<34>Oct 11 22:14:15 h su: x", "rfc5424") is None
    event = parsed("<34>1 2026-08-01T00:00:00Z h a 1 - - x", "rfc3164")
    assert event == {**AUTH, "message": "1 2026-08-01T00:00:00Z h a 1 - - x"}


def test_timezone_is_for_times_that_name_none() -> None:
    """`timezone` gives the offset of that day, summer time included; a zone in the message wins."""
    summer = parsed("<34>Aug  1 00:00:00 h a: x", timezone="Europe/Paris")
    winter = parsed("<34>2026-01-01 00:00:00 h a: x", timezone="Europe/Paris")
    told = parsed("<34>2026-01-01T00:00:00Z h a: x", timezone="Europe/Paris")
    assert summer and winter and told
    assert summer["timestamp"] == "2026-08-01T00:00:00+02:00"
    assert winter["timestamp"] == "2026-01-01T00:00:00+01:00"
    assert told["timestamp"] == "2026-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="Mars"):
        parsed("<34>x", timezone="Mars/Olympus")


def test_the_year_is_the_nearest() -> None:
    """A December message read in January is of last year."""
    january = datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp()
    event = parse_syslog("<34>Dec 31 23:59:59 h a: x", now=january)
    assert event is not None
    assert event["timestamp"] == "2026-12-31T23:59:59Z"


PIECES = st.sampled_from(
    ["<34>1", "<192>1", "<34>", "<034>1", "<34>12", "2026-08-01T00:00:00Z", "-", "", " ", "h", "app", "1", "ID", "[a]",
     '[a x="1"]', '[a x="1" y=""]', '[a x="1" y="2" z="3"]', '[a  x="1"]', '[a x="1 ] 2"]', '[a x="1"][b y="2"]', r'[a x="\"]"]',
     '[a x="1', '[a x=1]', '[a ="1"]', "\ufeffm", "message", "] ", '"', "Aug  1 00:00:00", "\t", "\n", "é"]
)  # fmt: skip


@given(st.lists(st.lists(PIECES, max_size=10).map(" ".join), max_size=5))
@example(['<34>1 2026-08-01T00:00:00Z h a 1 - [a x="1"] m'])
@settings(max_examples=600)
def test_fast_path_agrees_with_the_slow_one(lines: list[str]) -> None:
    """Whatever the messages, parsing many at once is parsing each by itself."""
    for format in ("auto", "rfc5424", "rfc3164"):
        each = [parse_syslog(line, now=NOW, format=format) for line in lines]
        assert parse_messages(lines, now=NOW, format=format) == each
        if lines and not any("\n" in line for line in lines):
            assert parse_chunk("\n".join(lines), now=NOW, format=format) == each


BSD = st.sampled_from(
    ["<34>Oct 11 22:14:15", "<34>Oct  1 22:14:15", "<192>Oct 11 22:14:15", "<034>Oct 11 22:14:15", "Oct 11 22:14:15", "<34>Feb 31 22:14:15",
     "<34>Oct 11 22:14:15.5", "<34>Oct 1 22:14:15", "<34>Mon Oct 11 22:14:15", "\ufeff<34>Oct 11 22:14:15", "<34>Oct 11 25:14:15", "<34>1", "h",
     "web-1.example.com", "10.0.0.1", "2001:db8::1", "2026", "Z", "UTC", "PST:", "-", ":", "", "app:", "app[1]:", "app[-]:", "app[]:", "a/b(x)[1.2]:",
     "app[1]", "app[1]:x", "ä:", "app\u2028b:", "app\xa0[1]:", "\ufeffm", "m", "m: n", "\t", "\n", "2026-08-01T00:00:00Z", "[a]"]
)  # fmt: skip


@given(st.lists(st.lists(BSD, max_size=7).map(" ".join), max_size=5))
@example(
    ["<34>Oct 11 22:14:15 h app[1]: x", "<34>1 2026-08-01T00:00:00Z h a 1 - - x", "Oct 11 22:14:15 10.0.0.1 app: "]
)
@example(["<34>Oct 11 22:14:15 Z app: x", "<34>Oct 11 22:14:15 2026 app: x", "<34>Oct 11 22:14:15 h app[-]: x"])
@settings(max_examples=600)
def test_the_old_form_fast_and_slow(lines: list[str]) -> None:
    """What takes BSD messages apart quickly gives what the careful reader gives, whatever stands where a host or a tag should."""
    for format in ("auto", "rfc3164"):
        for timezone in ("UTC", "Europe/Paris"):
            each = [parse_syslog(line, now=NOW, format=format, timezone=timezone) for line in lines]
            assert parse_messages(lines, now=NOW, format=format, timezone=timezone) == each


def test_plain_lines_of_the_old_form_take_the_fast_path() -> None:
    """Of many BSD messages of one second only the first reaches the slow reader, which makes its time."""
    from shipper.text.formats.rfc3164 import parse_one, plainly

    slow: list[str] = []

    def other(line: str) -> Event | None:
        slow.append(line)
        return parse_one(line, NOW + 7200)

    line = "{}Oct 12 22:14:15 {} {}: message"
    shapes = [
        line.format(*each)
        for each in [("<34>", "h", "su"), ("", "web-1.example.com", "sshd[12]"), ("<0>", "10.0.0.1", "a/b.c")]
    ]
    made = list(map(plainly(other, NOW + 7200), shapes))
    assert slow == shapes[:1]
    assert made == [parse_one(each, NOW + 7200) for each in shapes]


@given(st.text(max_size=200) | st.from_regex(r"<\d{1,3}>[ -~]{0,80}", fullmatch=True))
def test_never_fails(line: str) -> None:
    """No text makes it raise, and what it takes for syslog has a message."""
    event = parsed(line)
    assert event is None or isinstance(event["message"], str)


def test_plain_lines_take_the_fast_path() -> None:
    """RFC 5424 written plainly never reaches the slow reader."""
    from shipper.text.formats.rfc5424 import parse_many

    def never(line: str) -> None:
        raise AssertionError(line)

    line = "<34>1 2026-08-01T00:00:00Z h a - - {} message"
    shapes = ["-", "[a]", '[a x="1"]', '[a x="1" y="2"]', '[a x="1" y="2" z=""]']
    assert len(parse_many([line.format(shape) for shape in shapes], never)) == len(shapes)
