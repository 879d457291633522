"""Comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, cast

import orjson

from shipper.batch import Batch, Event, Piece, merged
from shipper.component import Codec
from shipper.errors import Refused
from shipper.options import Meta
from shipper.text.formats.csv import csv_reader, write_row
from shipper.text.formats.lines import Reader
from shipper.text.paths import FieldPath


class Csv(Codec):
    """Comma-separated values (RFC 4180) without a header, one record an event.

    Read, values are text, and empty ones are left out; a line with other than these columns stays as `message`,
    marked. Written, a missing field is empty, and mappings and lists are JSON.
    """

    content_type: ClassVar[str] = "text/csv; charset=utf-8"
    one_each: ClassVar[bool] = True

    columns: Annotated[
        list[str], Meta(min_length=1, description="Fields in order; a dotted path finds nested ones when writing.")
    ]
    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="What stands between two values.")] = ","

    _reader: Reader | None = None
    _paths: list[FieldPath] | None = None

    def check(self) -> Iterable[tuple[str, str]]:
        if len(set(self.columns)) < len(self.columns):
            yield "columns", "has the same name twice"
        if self.delimiter in '"\r\n':
            yield "delimiter", "is a quote or a newline; expected one such as , or ;"

    def decode(self, data: bytes) -> list[Event]:
        if self._reader is None:
            self._reader = csv_reader(self.columns, self.delimiter)
        found, unread = self._reader.data(data)
        for at, line in unread.items():
            found[at] = _unread(line)
        return cast(list[Event], found)

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if self._paths is None:
            self._paths = [_path(name) for name in self.columns]
        gets, attrs = [path.get for path in self._paths], batch.attrs
        rows: list[str] = []
        refused: list[Refused] = []
        for event in batch.events:
            try:
                rows.append(write_row([_text(get(event, attrs)) for get in gets], self.delimiter))
            except TypeError as error:
                refused.append(Refused(merged(event, attrs), f"csv: {error}"))
        if rows:
            yield Piece("\n".join([*rows, ""]).encode("utf-8", "replace"), len(rows))
        yield from refused

    def split(self, piece: Piece) -> list[Piece]:
        """A record can have newlines inside quotes, so the whole is read and written again."""
        return [Piece(f"{write_row(row, self.delimiter)}\n".encode(), 1, piece.key) for row in self._rows(piece)]

    def events(self, piece: Piece) -> list[Event]:
        return [
            {name: value for name, value in zip(self.columns, row, strict=False) if value} for row in self._rows(piece)
        ]

    def _rows(self, piece: Piece) -> Iterable[list[str]]:
        return csv.reader(io.StringIO(piece.body.decode(), newline=""), delimiter=self.delimiter)


def _path(name: str) -> FieldPath:
    try:
        return FieldPath(name)
    except ValueError:
        return FieldPath.of(name)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value, str).decode()


def _unread(line: str) -> Event:
    return {"message": line, "shipper_error": "csv: other columns"}
