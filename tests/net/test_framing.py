"""Messages in a stream: lines, counted ones, both, and what hostile or broken senders make of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.net.framing import LARGEST, Cut, Framer

GOOD = b"<34>1 2026-08-01T00:00:00Z h a 1 - - good"
LIMIT = 100


def framed(*reads: bytes, limit: int = LIMIT, fast: bool = True) -> list[tuple[bytes, bool]]:
    """All messages of a connection that delivered these reads, and whether each was cut."""
    framer = Framer(limit)
    found: list[bytes] = []
    for data in reads:
        chunk = framer.lines(data) if fast else None
        found += framer.feed(data) if chunk is None else chunk.split(b"\n")
    found += framer.finish()
    return [(bytes(message), isinstance(message, Cut)) for message in found]


def whole(*messages: bytes) -> list[tuple[bytes, bool]]:
    return [(message, False) for message in messages]


def counted(message: bytes) -> bytes:
    return b"%d %s" % (len(message), message)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0", b"\0\n", b"\n\n"])
def test_lines(end: bytes) -> None:
    """Each line is a message, whatever ends it; empty lines are none; the last needs no end."""
    assert framed(b"<1>a" + end + b"<2>b c" + end) == whole(b"<1>a", b"<2>b c")
    assert framed(b"<1>a" + end + b"<2>b") == whole(b"<1>a", b"<2>b")


def test_counted_messages_may_hold_newlines() -> None:
    """A count is believed, newlines inside or not; an end of line between or counted along belongs to no message."""
    stream = counted(b"<1>a\nb") + counted(b"<2>c\n") + b"\n" + counted(b"no priority") + b"0 " + counted(b"<3>d")
    assert framed(stream) == whole(b"<1>a\nb", b"<2>c", b"no priority", b"<3>d")


def test_mixed_frames() -> None:
    """Counted messages are found among lines, and lines among counted messages."""
    assert framed(b"<1>a\n" + counted(b"<2>b\nc") + b"<3>d\n") == whole(b"<1>a", b"<2>b\nc", b"<3>d")
    assert framed(counted(b"<1>a") + b"<2>b 5 <6>\n" + counted(b"<3>c")) == whole(b"<1>a", b"<2>b 5 <6>", b"<3>c")


@pytest.mark.parametrize("line", [b"2026-08-01T00:00:00Z h a: x", b"22: *Mar  1 00:00:28: %SYS-5-X: y", b"12:00 x"])
def test_lines_that_begin_with_a_digit(line: bytes) -> None:
    """A digit without a space behind the number counts nothing."""
    assert framed(line + b"\n" + line + b"\n") == whole(line, line)


def test_too_long() -> None:
    """Of what is too long the beginning is kept, and the next message is found; what just fits is whole."""
    fits, long = b"<1>" + b"x" * (LIMIT - 3), b"<1>" + b"x" * 5000
    for frame in (lambda message: message + b"\r\n", counted):
        stream = frame(fits) + frame(fits + b"x") + frame(long) + frame(GOOD)
        assert framed(stream) == [(fits, False), (fits, True), (fits, True), (GOOD, False)]


def test_a_connection_that_ends_within_a_message() -> None:
    """What was begun is a message; where its count says that bytes are missing, it is marked as cut."""
    assert framed(b"<1>a\n<2>b") == whole(b"<1>a", b"<2>b")
    assert framed(counted(b"<1>a") + b"50 <2>b") == [(b"<1>a", False), (b"<2>b", True)]


def test_nothing_is_held_for_a_length() -> None:
    """A length that nobody can mean is text, and no more than one message of the allowed size is ever held."""
    framer = Framer(LIMIT)
    framer.feed(b"%d <1>" % LARGEST)
    for _ in range(1000):
        framer.feed(b"x" * 1000)
        assert len(framer._buffer) <= LIMIT + 20
    assert framed(b"%d <1>x\n%s\n" % (LARGEST + 1, GOOD)) == whole(b"%d <1>x" % (LARGEST + 1), GOOD)


SEEDS = [
    b"999999999999 <1>",
    b"9999999999 <1>",
    b"-1 ",
    b"-1 <1>x",
    b"0 ",
    b"00 <1>",
    b"007 <1>abcd",
    b"3 <34>1 too short a count",
    b"<999>x",
    b"<34>Oct 11 22:14:15host x",
    b"<34>1 2026-08-01T00:00:00Z " + b"h" * (1 << 20) + b" a 1 - - x",
    b"<34>\0\0\0x\0",
    b"\xff\xfe\x00",
    b"12",
    b"12345678901 x",
    b" 4 <1>x",
    b"]]]]]]",
    b"[" * 5000,
]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed[:20].decode("latin-1"))
@pytest.mark.parametrize("frame", [counted, lambda message: message + b"\n"], ids=["counted", "line"])
def test_the_next_good_message_arrives(seed: bytes, frame: object) -> None:
    """After each of the known bad beginnings, and within good traffic, what follows the newline arrives."""
    assert callable(frame)
    good = frame(GOOD)
    assert (GOOD, False) in framed(seed + b"\n" + good, limit=65536)
    assert framed(good + seed + b"\n" + good, limit=65536).count((GOOD, False)) == 2
    for cut in range(len(seed[:64]) + 2):
        stream = seed + b"\n" + good
        assert (GOOD, False) in framed(stream[:cut], stream[cut:], limit=65536)


def test_mutants() -> None:
    """Bytes changed at random in good traffic never make it fail, and good messages behind them arrive."""
    generator = random.Random(1)
    for _ in range(300):
        stream = bytearray(b"".join(generator.choice((counted(GOOD), GOOD + b"\n")) for _ in range(4)))
        for _ in range(generator.randrange(1, 6)):
            stream[generator.randrange(len(stream))] = generator.choice(b"0123456789 <>\n\0\r-x\xff")
        found = framed(bytes(stream) + b"\n" + (GOOD + b"\n") * 400, limit=1000)
        assert found[-1] == (GOOD, False)


def test_a_count_that_is_too_short_costs_one_message() -> None:
    """Counted traffic without newlines finds its way back at the next count before a priority."""
    stream = counted(GOOD) + b"9 " + GOOD + counted(GOOD) + counted(GOOD)
    assert framed(stream) == whole(GOOD, GOOD[:9], GOOD[9:], GOOD, GOOD)


PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\0", b"<34>", b"<1>", b" ", b"5 ", b"12", b"0 ", b"3 <1>", b"70 <34>", b"99999999999", b"16777217 <1>",
     b"x" * 30, b"y" * 70, b"abc", counted(GOOD), GOOD + b"\n", b"\r", b"-", b"7"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map(b"".join), st.data())
@example(b"x" * 99 + b"\r\n", None)
@settings(max_examples=1500)
def test_any_split_gives_the_same_messages(stream: bytes, data: st.DataObject | None) -> None:
    """However the stream is cut into reads, and whichever way they are read, the messages are the same."""
    expected = framed(stream, fast=False)
    assert framed(stream) == expected
    assert framed(*[stream[at : at + 1] for at in range(len(stream))]) == expected
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
        reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert framed(*reads) == framed(*reads, fast=False) == expected


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=6))
def test_counted_messages_round_trip(messages: list[bytes]) -> None:
    """Whatever bytes are counted come out again, without trailing CR, LF and NUL."""
    stripped = [message.rstrip(b"\r\n\0") for message in messages]
    assert framed(b"".join(map(counted, messages))) == whole(*filter(None, stripped))
