"""Comma-separated values (RFC 4180), one record a line, with the columns said by the user."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader

__all__ = ["csv_reader", "write_row"]

csv.field_size_limit(2**31 - 1)  # of the whole process; its 128 KiB are less than a line can have


def csv_reader(columns: Sequence[str], delimiter: str = ",") -> Reader:
    """Reads lines with exactly these columns; values stay text, an empty one is left out, a column named "" too."""
    columns = tuple(columns)
    width = len(columns)

    def event(row: list[str]) -> Event | None:
        if len(row) != width:
            return None
        return {name: value for name, value in zip(columns, row, strict=True) if value and name}

    def line(text: str) -> Event | None:
        try:
            rows = list(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error:
            return None
        return event(rows[0]) if len(rows) == 1 else None

    def chunk(text: str) -> Found:
        lines = text.split("\n")
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
        except csv.Error:
            rows = []
        if len(rows) != len(lines):  # a quote that is not closed reaches into the next line
            return [line(each) for each in lines]
        return [event(row) for row in rows]

    return reader(line, chunk)


_QUOTE = re.compile(r'["\r\n]')


def write_row(values: Sequence[str], delimiter: str = ",") -> str:
    """One record without its end; what has a delimiter, a quote or a newline inside is quoted."""
    row = delimiter.join(
        '"' + value.replace('"', '""') + '"' if delimiter in value or _QUOTE.search(value) else value
        for value in values
    )
    return row or '""'  # of one column; an empty line would be no record
