from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec, split_lines
from shipper.errors import Refused, Rejected, TooLarge, Unavailable
from shipper.net.auth import Basic
from shipper.net.compression import Gzip
from shipper.options import Secret, Url
from shipper.outputs.http import Http
from shipper.text.jsonlines import decode_lines, encode_lines


class Bracketed(Codec):
    """JSON lines, wrapped as one document, so that `document` is seen to be used."""

    content_type = "application/x-test"

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        body, count, refused = encode_lines(batch)
        return [Piece(body, count), *refused]

    def document(self, bodies: Sequence[bytes]) -> bytes:
        return b"<" + b"".join(bodies) + b">"

    def decode(self, data: bytes) -> list[Event]:
        return decode_lines(data)


@asynccontextmanager
async def output(server: Any, **options: Any) -> AsyncIterator[Http]:
    made = Http(url=Url(server.url + "/in?key=c4nary"), codec=Bracketed(), **options)
    assert not [*made.check()]
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await made.close()


def pieces(made: Http, *batches: list[Event]) -> list[Piece]:
    return [piece for events in batches for piece in made.encode(Batch(events)) if isinstance(piece, Piece)]


async def test_pieces_are_one_request(server: Any) -> None:
    """Many pieces arrive as the codec's one document, with its content type, the method and the headers given."""
    async with output(server, method="PUT", headers={"X-Team": Secret("red")}) as made:
        await made.write(pieces(made, [{"a": 1}, {"a": 2}], [{"a": 3}]))
    (got,) = server.got
    assert (got.method, got.path, got.body) == ("PUT", "/in?key=c4nary", b'<{"a":1}\n{"a":2}\n{"a":3}\n>')
    assert (got.headers["Content-Type"], got.headers["X-Team"]) == ("application/x-test", "red")
    assert "Content-Encoding" not in got.headers


async def test_packed_with_credentials_and_content_type(server: Any) -> None:
    """A body is packed and says so; a Content-Type of the user wins."""
    options = {"auth": Basic(user="u", password=Secret("pass")), "headers": {"content-type": Secret("text/x")}}
    async with output(server, compression=Gzip(), **options) as made:
        await made.write(pieces(made, [{"a": 1}]))
    (got,) = server.got
    assert got.body == b'<{"a":1}\n>' and got.headers["Content-Encoding"] == "gzip"
    assert got.headers["Authorization"] == "Basic dTpwYXNz" and got.headers["Content-Type"] == "text/x"


@pytest.mark.parametrize(
    ("status", "error"),
    [(202, None), (503, Unavailable), (401, Unavailable), (302, Unavailable), (413, TooLarge), (422, Rejected)],
)
async def test_every_answer_is_typed(server: Any, status: int, error: type[Exception] | None) -> None:
    """An answer means what the contract says, and its reason holds no secret."""
    server.answer(status, b"no: c4nary", Retry_After="7", Location="http://127.0.0.1:1/")
    async with output(server) as made:
        if error is None:
            await made.write(pieces(made, [{"a": 1}]))
            return
        with pytest.raises(error) as caught:
            await made.write(pieces(made, [{"a": 1}]))
    assert type(caught.value) in (error, *error.__subclasses__())
    assert "c4nary" not in str(caught.value)
    assert getattr(caught.value, "after", 7) == 7
    assert len(server.got) == 1


def test_split_and_events_are_the_codecs() -> None:
    """A piece comes apart into its events and decodes to what was to be sent."""
    made = Http(url=Url("http://h"), codec=Bracketed())
    (piece,) = pieces(made, [{"a": 1}, {"b": "2"}])
    assert [each.body for each in made.split(piece)] == split_lines(piece.body)
    assert made.events(piece) == [{"a": 1}, {"b": "2"}]
    assert [orjson.loads(each.body) for each in made.split(piece)] == made.events(piece)


async def test_before_open_it_is_unavailable() -> None:
    """A write that comes too early or too late is tried again, and closing an output that never opened is harmless."""
    made = Http(url=Url("http://127.0.0.1:1"), codec=Bracketed())
    await made.close()
    with pytest.raises(Unavailable):
        await made.write([Piece(b"", 1)])


async def test_cancel_is_quick() -> None:
    """A request that hangs ends within a second of its cancellation."""
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    made = Http(url=Url(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"), codec=Bracketed())
    await made.open()
    task = asyncio.create_task(made.write([Piece(b"x", 1)]))
    await asyncio.wait_for(asked.wait(), 5)
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task
        await made.close()
    listening.close()
