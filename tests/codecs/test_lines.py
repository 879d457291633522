"""The codecs of one line an event: what they read, what they write, and that it comes back."""

from __future__ import annotations

from typing import Any, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import Batch, Event, Piece
from shipper.codecs.cri import Cri
from shipper.codecs.csv import Csv
from shipper.codecs.docker import Docker
from shipper.codecs.json import Json, _event, _one_behind_the_other
from shipper.codecs.logfmt import Logfmt
from shipper.codecs.ndjson import Ndjson
from shipper.codecs.text import Text
from shipper.component import Codec
from shipper.errors import Refused
from shipper.text.jsonlines import encode_lines
from shipper.text.templates import Template

ATTRS = {"host": "web"}


def written(codec: Codec, batch: Batch) -> tuple[bytes, list[Refused]]:
    """The document of a batch, and what was refused."""
    made = list(codec.encode(batch))
    return codec.document([each.body for each in made if isinstance(each, Piece)]), [
        each for each in made if isinstance(each, Refused)
    ]


@pytest.mark.parametrize(
    ("codec", "data", "events"),
    [
        (Ndjson(), b'{"a":1}\n\nx', [{"a": 1}, {"message": "x", "shipper_error": "json: unexpected character, expected a JSON value"}]),
        (Text(), "ß\n\nb\xa0".encode(), [{"message": "ß"}, {"message": ""}, {"message": "b\xa0"}]),
        (Logfmt(), b"a=1 b\nx", [{"a": "1", "b": True}, {"message": "x", "shipper_error": "logfmt: no pairs"}]),
        (Csv(columns=["a", "b"]), b'1,"2,3"\n1', [{"a": "1", "b": "2,3"}, {"message": "1", "shipper_error": "csv: other columns"}]),
        (Csv(columns=["a", "b"], delimiter="\t"), b"1\t2", [{"a": "1", "b": "2"}]),
    ],
)  # fmt: skip
def test_chunks_are_read(codec: Codec, data: bytes, events: list[Event]) -> None:
    """A chunk of whole lines gives its events; what cannot be read is kept raw and marked."""
    assert codec.decode(data) == events


@pytest.mark.parametrize(
    ("codec", "document"),
    [
        (Ndjson(), b'{"host":"web","message":"a\\nb","n":{"x":1}}\n{"host":"web","m":2}\n'),
        (Json(), b'[{"host":"web","message":"a\\nb","n":{"x":1}},\n{"host":"web","m":2}]\n'),
        (Text(), b'a\nb\n{"host":"web","m":2}\n'),
        (Text(template=Template("{host} {m:-}")), b"web -\nweb 2\n"),
        (Text(template=Template("{host} {m}")), b'{"host":"web","message":"a\\nb","n":{"x":1}}\nweb 2\n'),
        (Text(template=Template("{host}")), b"web\nweb\n"),
        (Logfmt(), b'host=web message="a\\nb" n.x=1\nhost=web m=2\n'),
        (Csv(columns=["host", "message", "n.x", "m", "n"]), b'web,"a\nb",1,,"{""x"":1}"\nweb,,,2,\n'),
    ],
)
def test_golden_documents(codec: Codec, document: bytes) -> None:
    """Events are written with the attributes, and neither is changed."""
    events: list[Event] = [{"message": "a\nb", "n": {"x": 1}}, {"m": 2}]
    assert written(codec, Batch(events, attrs=ATTRS)) == (document, [])
    assert events == [{"message": "a\nb", "n": {"x": 1}}, {"m": 2}]


@pytest.mark.parametrize(
    "codec", [Ndjson(), Json(), Text(), Logfmt(), Csv(columns=["n", "a"])], ids=lambda each: type(each).__name__
)
def test_what_cannot_be_written_is_refused_alone(codec: Codec) -> None:
    """One event that has no form is set aside with its attributes; those around it go on."""
    batch = Batch([{"n": "1"}, {"n": 2**64}, {"n": "3"}], attrs={"a": "x"})
    body, refused = written(codec, batch)
    assert [each.event for each in refused] == [{"a": "x", "n": 2**64}]
    assert body.count(b"1") == body.count(b"3") == 1


@pytest.mark.parametrize(
    "codec", [Ndjson(), Json(), Logfmt(), Csv(columns=["a", "b"])], ids=lambda each: type(each).__name__
)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b"]), st.text(min_size=1), min_size=1),
        min_size=1,
        max_size=5,
    )
)
def test_pieces_come_back(codec: Codec, events: list[Event]) -> None:
    """A piece holds its events, whole and split one by one, whatever their texts are."""
    pieces = list(codec.encode(Batch(events)))
    assert len(pieces) == 1
    piece = pieces[0]
    assert isinstance(piece, Piece)
    assert piece.count == len(events)
    assert codec.events(piece) == events
    parts = codec.split(piece)
    assert [each.count for each in parts] == [1] * len(events)
    assert [codec.events(each) for each in parts] == [[event] for event in events]


def test_text_passes_untouched() -> None:
    """Lines that nobody looked into are written byte for byte, and reading text makes no events of its own."""
    batch = Batch(raw=b"a\xff\r\n\nb", attrs=ATTRS, decode=Text().decode)
    assert batch.is_lines
    assert written(Text(), batch) == (b"a\xff\r\n\nb\n", [])
    assert batch.is_lines


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"", []),
        (b" \n", []),
        (b'[{"a":1},{"b":2}]', [{"a": 1}, {"b": 2}]),
        (b'{"a":\n1}', [{"a": 1}]),
        (b'{"a":1}\n{"b":\n2} {"c":3}[{"d":4}]\n', [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]),
        (b"[1]", [{"message": "1", "shipper_error": "json: not an object"}]),
        (b'{"a":1}\n{"b":NaN}', [{"a": 1}, {"message": '{"b":NaN}', "shipper_error": "json: not a document"}]),
        (b'{"a":1} \xff', [{"a": 1}, {"message": "\ufffd", "shipper_error": "json: not a document"}]),
        (b"[" * 100_000, [{"message": "[" * 100_000, "shipper_error": "json: not a document"}]),
    ],
)
def test_json_documents(data: bytes, events: list[Event]) -> None:
    """An array, an object, or values one behind the other; from what is no JSON on, the rest is kept raw and marked."""
    assert Json().decode(data) == events


ODD_LINES = [
    b'{"a":1}', b'{"a":{"b":"\\u2028"}}', b'{"a":1,"a":2}', b'{"n":[3', b"4]}", b'{"a":1},{"b":2}', b"", b" ", b"[1]",
    b'[{"a":1}]', b"null", b"NaN", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":123456789012345678901234567890}', b"\x0c",
    b'{"a":1}\r', b'{"a":1} {"b":2}', b'{"a":"\x00"}', b'"' + b"x" * 100 + b'"', "{\"\u2028\":1}".encode(),
]  # fmt: skip


@given(
    st.lists(st.one_of(st.just(b'{"a":1}'), st.sampled_from(ODD_LINES)), max_size=8),
    st.sampled_from([b"", b"\n", b"\x0c\n"]),
)
def test_json_lines_are_read_at_once_as_one_behind_the_other(lines: list[bytes], end: bytes) -> None:
    """Where all lines are objects they are read together, and are what reading value by value gives."""
    data = b"\n".join(lines) + end
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError:
        assert Json().decode(data) == (_one_behind_the_other(data) if data.strip() else [])
    else:
        assert Json().decode(data) == [_event(each) for each in (whole if isinstance(whole, list) else [whole])]


def test_what_one_output_has_written_serves_the_next() -> None:
    """The lines of a batch are made once; other events or attributes are other lines."""
    batch = Batch([{"n": 1}], attrs=ATTRS)
    first = encode_lines(batch)
    assert first == (b'{"host":"web","n":1}\n', 1, [])
    assert encode_lines(batch)[0] is first[0]
    assert encode_lines(batch, b"x")[0] == b'x{"host":"web","n":1}\n'
    assert encode_lines(batch, timestamp_as="@timestamp")[0] == first[0]
    batch.attrs = {"host": "db"}
    assert encode_lines(batch)[0] == b'{"host":"db","n":1}\n'
    batch.events = [{"n": 2}]
    assert encode_lines(batch)[0] == b'{"host":"db","n":2}\n'
    assert encode_lines(batch.copy())[0] == b'{"host":"db","n":2}\n'


def test_json_pieces_join() -> None:
    """Pieces of several batches are one array."""
    bodies = [piece.body for n in (1, 2) for piece in Json().encode(Batch([{"n": n}])) if isinstance(piece, Piece)]
    assert Json().decode(Json().document(bodies)) == [{"n": 1}, {"n": 2}]
    assert Json().document([]) == b"[]\n"


@pytest.mark.parametrize("codec", [Cri(), Docker()])
def test_container_formats_only_read(codec: Any) -> None:
    """Nothing is written in a format of a container runtime: each event is refused."""
    assert codec.directions == ("decode",)
    assert [each.event for each in codec.encode(Batch([{"a": 1}]))] == [{"a": 1}]


@pytest.mark.parametrize("codec", [Ndjson, Json, Text, Logfmt, Csv, Cri, Docker])
def test_the_annotations_can_be_read(codec: type[Codec]) -> None:
    """The reader of configurations finds every option's type."""
    assert "kind" in get_type_hints(codec, include_extras=True)
    assert codec.__doc__


def test_csv_options_are_checked() -> None:
    """Equal columns and a quote as delimiter are found before the start."""
    assert [name for name, _ in Csv(columns=["a", "a"], delimiter='"').check()] == ["columns", "delimiter"]


def test_a_document_nested_too_deep() -> None:
    """JSON that is no object and nested too deep to be written is marked, and spares what stands beside it."""
    deep = b"[" * 300 + b"]" * 300
    found = Json().decode(b'{"a":1}\n[' + deep + b"]")
    assert found[0] == {"a": 1}
    assert found[1]["shipper_error"] == "json: not an object"


def test_csv_with_long_values() -> None:
    """A value of more than 128 KiB is read, and its record is split from the others."""
    codec = Csv(columns=["a", "b"])
    long = "x" * 200_000
    assert codec.decode(f"{long},y".encode()) == [{"a": long, "b": "y"}]
    (piece,) = codec.encode(Batch([{"a": long, "b": "a\nb"}, {"a": "1", "b": "2"}]))
    assert isinstance(piece, Piece)
    assert [each.body for each in codec.split(piece)] == [f'{long},"a\nb"\n'.encode(), b"1,2\n"]
    assert codec.events(piece) == [{"a": long, "b": "a\nb"}, {"a": "1", "b": "2"}]
