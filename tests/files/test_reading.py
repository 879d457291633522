"""Bytes become lines, and where reads begin and end makes no difference."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.files.reading import Cut, Lines, Reading


def texts(cuts: list[Cut]) -> list[tuple[bytes, bool]]:
    """Every line of the cuts, and whether it was truncated."""
    return [
        (line, cut.truncated) for cut in cuts for line in (cut.lines if cut.lines is not None else cut.raw.split(b"\n"))
    ]


def read(
    data: bytes, bounds: list[int], reading: Reading, counts: Counter[Any] | None = None
) -> list[tuple[bytes, bool]]:
    """All lines of the data, read in pieces that end at the bounds."""

    def count(what: str, events: int = 1, **labels: str) -> None:
        if counts is not None:
            counts[what, *labels.values()] += events

    lines, cuts = Lines(reading, count), []
    for begin, end in zip([0, *bounds], [*bounds, len(data)], strict=True):
        cuts += lines.feed(data[begin:end])
        assert len(lines._rest) <= max(reading.max_line_bytes, 4) + 16
    return texts(cuts + lines.finish())


READINGS = [
    Reading(),
    Reading(max_line_bytes=5),
    Reading(max_line_bytes=5, on_long_line="split"),
    Reading(max_line_bytes=5, on_long_line="drop"),
    Reading(delimiter="||"),
    Reading(delimiter="||", max_line_bytes=4),
    Reading(delimiter="||", max_line_bytes=4, on_long_line="split"),
    Reading(delimiter="\0", max_line_bytes=4),
    Reading(encoding="utf-16-le"),
    Reading(encoding="utf-16-be", max_line_bytes=8),
    Reading(encoding="utf-16-le", max_line_bytes=8, on_long_line="split"),
    Reading(encoding="utf-16-le", delimiter="||", max_line_bytes=8),
    Reading(encoding="shift-jis", max_line_bytes=6, on_long_line="split"),
    Reading(encoding="gbk"),
    Reading(encoding="latin-1"),
]


@given(
    st.lists(
        st.sampled_from(["a", "bb", "\n", "\r\n", "\r", "|", "||", "é", "日本", "\0", "ਊ", "\ufeff"]), max_size=30
    ),
    st.sampled_from(READINGS),
    st.data(),
)
def test_where_reads_end_makes_no_difference(parts: list[str], reading: Reading, data: st.DataObject) -> None:
    """Lines, marks and counters are the same for one read of everything and for any other division."""
    raw = "".join(parts).encode(reading.encoding, "ignore")
    one, many = Counter[Any](), Counter[Any]()
    bounds = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    assert read(raw, bounds, reading, many) == read(raw, [], reading, one)
    assert many == one


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_split_at_every_boundary(reading: Reading) -> None:
    """Two reads with the bound at any byte, and one byte a read, give what one read gives."""
    raw = "one\r\n|two||日本語日本語\n\nlonger than others\r\n\r\nlast\r".encode(reading.encoding, "ignore")
    whole = read(raw, [], reading)
    assert whole
    for at in range(len(raw) + 1):
        assert read(raw, [at], reading) == whole
    assert read(raw, list(range(len(raw))), reading) == whole


@given(
    st.lists(st.sampled_from(["a", "bb", "\n", "\r\n", "|", "日本", "ccccccc"]), max_size=30), st.sampled_from(READINGS)
)
def test_a_position_is_a_place_to_go_on_from(parts: list[str], reading: Reading) -> None:
    """From the end of any cut, with the mark before it, the lines that follow are the same."""
    raw = "".join(parts).encode(reading.encoding, "ignore")
    lines, cuts = Lines(reading, exact=True), []
    for at in range(len(raw)):
        cuts += lines.feed(raw[at : at + 1])
    cuts += lines.finish()
    for index, cut in enumerate(cuts):
        assert raw[: cut.end].endswith(cut.mark)
        assert len(cut.mark) == min(64, cut.end)
        again = Lines(reading, offset=cut.end, before=cut.mark, head=raw[:4])
        assert texts(again.feed(raw[cut.end :]) + again.finish()) == texts(cuts[index + 1 :])


class Plain(Lines):
    """Never the usual way."""

    def _use(self, encoding: str) -> None:
        super()._use(encoding)
        self._usual = False


@given(
    st.lists(
        st.sampled_from(["a", "bb", "\n", "\n", "\r\n", "\r", "é", "日本", "\0", "\udcff", "\ufeff", "x" * 70]),
        max_size=30,
    ),
    st.sampled_from([Reading(), Reading(max_line_bytes=72), Reading(max_line_bytes=200)]),
    st.data(),
)
def test_the_usual_way_is_the_plain_way(parts: list[str], reading: Reading, data: st.DataObject) -> None:
    """Lines copied once are those that are copied three times, with the same places and counts, from bytes and from views."""
    raw = "".join(parts).encode("utf-8", "surrogateescape")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    counts: tuple[Counter[Any], Counter[Any]] = Counter(), Counter()

    def counted(into: Counter[Any]) -> Any:
        return lambda what, events=1, **labels: into.update({(what, *labels.values()): events})

    usual, plain = Lines(reading, counted(counts[0])), Plain(reading, counted(counts[1]))
    for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        before = data.draw(st.integers(0, begin))
        chunk = memoryview(raw[before:end])[begin - before :] if data.draw(st.booleans()) else raw[begin:end]
        assert usual.feed(chunk) == plain.feed(raw[begin:end])
        assert (usual.at, usual.read, usual.tail, usual.before, usual._rest) == (
            plain.at, plain.read, plain.tail, plain.before, plain._rest,
        )  # fmt: skip
    assert usual.finish() == plain.finish()
    assert counts[0] == counts[1]


@given(
    st.lists(st.sampled_from(["", "a", "bc", "d\r", "é", "x" * 9]), min_size=1, max_size=9),
    st.sampled_from([Reading(), Reading(max_line_bytes=4), Reading(delimiter="a"), Reading(encoding="utf-16-le")]),
    st.integers(1, 12),
)
def test_where_the_last_lines_begin_is_found_from_behind(parts: list[str], reading: Reading, count: int) -> None:
    """As many lines from the end as are asked for begin where `starts` says; more than there are nowhere."""
    data = ("\n".join(parts) + "\n").encode(reading.encoding)
    lines = Lines(reading, exact=True)
    for cut in [*lines.feed(data), *lines.finish()]:
        starts = lines.starts(cut)
        assert lines.start_of_last(count, cut) == (starts[-count] if count <= len(starts) else None)


def test_crlf_goes_and_a_lone_cr_stays() -> None:
    """Only the CR before a newline belongs to the end of a line; every other byte stays."""
    assert read(b"a\r\nb\rc\n\r\r\n\xff\xfe\x00d\n", [], Reading()) == [
        (b"a", False),
        (b"b\rc", False),
        (b"\r", False),
        (b"\xff\xfe\x00d", False),
    ]


def test_a_line_that_is_cut_keeps_whole_characters() -> None:
    """Truncating and splitting never cut a character in two, and a split loses nothing."""
    raw = "日本語\nok\n".encode()
    assert read(raw, [], Reading(max_line_bytes=4)) == [("日".encode(), True), (b"ok", False)]
    split = read(raw, [], Reading(max_line_bytes=4, on_long_line="split"))
    assert split == [("日".encode(), False), ("本".encode(), False), ("語".encode(), False), (b"ok", False)]


@pytest.mark.parametrize("action", ["truncate", "drop", "split"])
def test_long_lines_are_counted_once(action: Any) -> None:
    """A long line is counted once, however it came, and one that is dropped is said to be dropped."""
    counts = Counter[Any]()
    raw = b"x" * 50 + b"\nok\n" + b"y" * 50 + b"\n"
    read(raw, list(range(0, 100, 3)), Reading(max_line_bytes=10, on_long_line=action), counts)
    assert counts["long_lines", action] == 2
    assert counts["dropped_events", "long_line"] == (2 if action == "drop" else 0)


@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
    ],
)
def test_a_byte_order_mark_is_no_text_and_names_the_encoding(bom: bytes, encoding: str) -> None:
    """A mark at the beginning is left out, and any UTF is read as the mark says."""
    raw = bom + "ä1\n2\n".encode(encoding)
    for at in range(len(raw)):
        assert read(raw, [at], Reading()) == [("ä1".encode(), False), (b"2", False)]


def test_the_newline_of_a_line_given_out_unfinished_is_no_line() -> None:
    """What comes behind an unfinished line that was given out is another line, but its bare newline is none."""
    lines = Lines(Reading())
    assert texts(lines.feed(b"half")) == []
    assert texts(lines.finish()) == [(b"half", False)]
    assert texts(lines.feed(b"\nnext\n")) == [(b"next", False)]


def test_replaced_characters_are_counted() -> None:
    """Bytes that are not in the encoding become U+FFFD and are counted; no newline is lost to them."""
    counts = Counter[Any]()
    found = read(b"\x81\nok\n", [], Reading(encoding="shift-jis"), counts)
    assert found == [("\ufffd".encode(), False), (b"ok", False)]
    assert counts["decoding_errors",] == 1


def test_broken_utf8_is_counted() -> None:
    """Of UTF-8 too: as many as are replaced later, and not what was replaced before it was written."""
    counts = Counter[Any]()
    raw = b"a\xffb\n\xed\xa0\x80\n" + "é \ufffd\n".encode()
    texts = [text for text, _ in read(raw, [], Reading(), counts)]
    replaced = sum(text.decode("utf-8", "replace").count("\ufffd") for text in texts)
    assert counts["decoding_errors",] == replaced - 1 == 4
