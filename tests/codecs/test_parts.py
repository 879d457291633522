"""The codecs of container runtimes join the parts of a line, and say how much of the input is not given out yet."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import Event
from shipper.codecs.cri import Cri
from shipper.codecs.docker import Docker
from shipper.options import Size

T = "2026-08-01T00:00:00.123456789Z"


def cri(stream: str, last: bool, text: str) -> bytes:
    return f"{T} {stream} {'F' if last else 'P'} {text}".encode()


def docker(stream: str, last: bool, text: str) -> bytes:
    return orjson.dumps({"log": text + ("\n" if last else ""), "stream": stream, "time": T})


def event(stream: str, text: str, **more: Any) -> Event:
    return {"timestamp": T, "stream": stream, "message": text, **more}


BOTH = pytest.mark.parametrize(("kind", "line"), [(Cri, cri), (Docker, docker)], ids=["cri", "docker"])


@BOTH
def test_parts_are_joined_by_stream(kind: Any, line: Any) -> None:
    """The parts of a line become one event with the time of the first; other streams go on in between."""
    codec = kind()
    found = codec.decode(
        b"\n".join(
            [
                line("stdout", True, "a"),
                line("stdout", False, "b "),
                line("stderr", True, "e"),
                line("stdout", True, " c"),
            ]
        )
    )
    assert found == [event("stdout", "a"), event("stderr", "e"), event("stdout", "b  c")]
    assert codec.unfinished == 0


@BOTH
def test_unfinished_says_where_the_earliest_part_begins(kind: Any, line: Any) -> None:
    """Across chunks it counts back from the end of what was decoded to the line of the earliest part, newlines included."""
    codec = kind()
    whole, part, other, end = (
        line("stdout", True, "ä"),
        line("stdout", False, "b"),
        line("stderr", True, "e"),
        line("stdout", True, "c"),
    )
    assert codec.decode(whole + b"\n" + part) == [event("stdout", "ä")]
    assert codec.unfinished == len(part) + 1
    assert codec.decode(other) == [event("stderr", "e")]
    assert codec.unfinished == len(part) + 1 + len(other) + 1
    assert codec.decode(end) == [event("stdout", "bc")]
    assert codec.unfinished == 0


@BOTH
def test_flush_gives_what_is_held(kind: Any, line: Any) -> None:
    """At the end of a file its unfinished lines come out as they are; a fresh codec holds nothing."""
    codec = kind(max_line_bytes=Size(100))
    codec.decode(line("stdout", False, "a") + b"\n" + line("stderr", False, "b"))
    fresh = codec.fresh()
    assert fresh.max_line_bytes == 100
    assert (fresh.unfinished, fresh.flush()) == (0, [])
    assert codec.flush() == [event("stdout", "a"), event("stderr", "b")]
    assert (codec.unfinished, codec.flush()) == (0, [])


@BOTH
def test_a_line_that_never_ends_is_cut(kind: Any, line: Any) -> None:
    """Over the limit it is given out at once, cut at a character and marked; the rest is left out and holds nothing up."""
    codec = kind(max_line_bytes=Size(5))
    assert codec.decode(line("stdout", False, "aää")) == []
    assert codec.decode(line("stdout", False, "b")) == [event("stdout", "aää", truncated=True)]
    assert codec.unfinished == 0
    assert codec.decode(line("stdout", False, "c" * 100)) == []
    assert codec.unfinished == 0
    assert codec.decode(line("stdout", True, "d") + b"\n" + line("stdout", True, "next")) == [event("stdout", "next")]


def test_many_streams_do_not_grow_memory() -> None:
    """A file that names ever new streams keeps a few of them open, and gives the others out."""
    codec = Docker()
    given_out = codec.decode(b"\n".join(docker(f"s{n}", False, str(n)) for n in range(100)))
    assert given_out + codec.flush() == [event(f"s{n}", str(n)) for n in range(100)]
    assert len(given_out) > 90


def test_lines_of_another_kind_are_kept() -> None:
    """What the runtime did not write is kept raw and marked, and breaks no line that is open; empty lines are skipped."""
    codec = Cri()
    assert codec.decode(b"\n".join([cri("stdout", False, "a"), b"", b"odd \xff", cri("stdout", True, "b")])) == [
        {"message": "odd \ufffd", "shipper_error": "cri: no timestamp, stream and tag"},
        event("stdout", "ab"),
    ]
    records = Docker()
    assert records.decode(
        b"\n".join([docker("stdout", False, "a"), b"", b"{x", b'{"a":1}', docker("stdout", True, "b")])
    ) == [
        {"message": "{x", "shipper_error": "docker: unexpected character, expected a string key"},
        {"message": '{"a":1}', "shipper_error": "docker: no log and stream"},
        event("stdout", "ab"),
    ]


@BOTH
@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.booleans(), st.text(alphabet="aß ", max_size=4)),
        min_size=1,
        max_size=12,
    ),
    st.sets(st.integers(1, 11)),
)
def test_chunks_make_no_difference(kind: Any, line: Any, parts: list[tuple[str, bool, str]], cuts: set[int]) -> None:
    """However the lines are cut into chunks, the same events come; and what is not covered is what is still open."""
    expected: list[Event] = []
    held: dict[str, list[str]] = {}
    begins: dict[str, int] = {}
    codec, found, fed, chunk = kind(), [], 0, []
    for at, (stream, last, text) in enumerate(parts):
        raw = line(stream, last, text)
        held.setdefault(stream, []).append(text)
        begins.setdefault(stream, fed)
        fed += len(raw) + 1
        if last:
            expected.append(event(stream, "".join(held.pop(stream))))
            begins.pop(stream)
        chunk.append(raw)
        if at + 1 in cuts or at + 1 == len(parts):
            found += codec.decode(b"\n".join(chunk))
            chunk = []
            assert found == expected
            assert codec.unfinished == (fed - min(begins.values()) if begins else 0)
    assert codec.flush() == [event(stream, "".join(texts)) for stream, texts in held.items()]


ODD = [
    b"",
    b" ",
    b"\xe2\x80\xa8",
    b"odd \xff",
    b"\x00",
    b"{x",
    b"{}",
    b"[1]",
    cri("stdout", True, "a"),
    cri("stdout", True, "b c") + b"\r",
    cri("stderr", False, "p \xff"),
    f"{T} stdout F:tag x".encode(),
    f"{T} stdout P:tag x".encode(),
    f"{T} stdout F".encode(),
    f"{T} stdout X x".encode(),
    f"{T} other F x".encode(),
    b"2026-08-01T stdout F x",
    b"2026-08-02T1 stdout F other day",
    "２026-08-01T1 stdout F x".encode(),
    docker("stdout", True, "a"),
    docker("stderr", False, "p"),
    docker("stdout", False, ""),
    b'{"log":"x\\n","stream":"stdout"}',
    b'{"log":"x\\n","stream":"stdout","time":1,"attrs":{"a":"b"}}',
    b'{"log":"x\\n","stream":"stdout","tim":1}',
    b'{"log":1,"stream":"stdout","time":""}',
    b'{"log":"x\\n","stream":[],"time":""}',
    b'{"log":["\\n"],"stream":"stdout","time":""}',
    b'{"log":"x\\n","stream":"stdout","time":"","time":"2"}',
]


@pytest.mark.parametrize("kind", [Cri, Docker])
@given(st.lists(st.sampled_from(ODD), min_size=1, max_size=10))
def test_a_chunk_is_its_lines_whatever_they_are(kind: Any, lines: list[bytes]) -> None:
    """Odd lines in a chunk change nothing for those beside them, nor what is said of what is held."""
    whole, single = kind(), kind()
    assert whole.decode(b"\n".join(lines)) == [event for line in lines for event in single.decode(line)]
    assert whole.unfinished == single.unfinished
    assert whole.flush() == single.flush()
