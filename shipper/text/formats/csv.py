"""Comma-separated values (RFC 4180), one record a line, with the columns said by the user."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import partial

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader, with_gaps
from shipper.text.formats.rows import by_name, by_names

__all__ = ["csv_reader", "write_row"]

csv.field_size_limit(2**31 - 1)  # of the whole process; its 128 KiB are less than a line can have


def csv_reader(columns: Sequence[str], delimiter: str = ",") -> Reader:
    """Reads lines with exactly these columns; values stay text, an empty one is left out, a column named "" too."""
    columns = tuple(columns)
    width = len(columns)
    event = by_name(columns)
    events = by_names(columns)
    read = partial(csv.reader, delimiter=delimiter, strict=True)

    def row(text: str) -> list[str]:
        try:
            rows = list(read([text]))
        except csv.Error:
            return []
        return rows[0] if len(rows) == 1 else []

    def line(text: str) -> Event | None:
        found = row(text)
        return event(found) if len(found) == width else None

    def many(lines: list[str]) -> Found:
        try:
            rows = list(read(lines))
        except csv.Error:
            rows = []
        if len(rows) != len(lines):
            rows = apart(lines)
        if set(map(len, rows)) == {width}:
            return events(rows)
        found = events([row for row in rows if len(row) == width])
        return with_gaps(found, [at for at, row in enumerate(rows) if len(row) != width])

    def apart(lines: list[str]) -> list[list[str]]:
        """Where a quote that is not closed reaches into the next line: a reader anew behind each such line, which has no row."""
        found: list[list[str]] = []
        wasted = 0  # lines read in vain; so many lines could open a quote that each would be read to the end
        while len(found) < len(lines) and wasted <= len(lines):
            rows, begin, whole = read(lines[len(found) :]), len(found), 0
            try:
                for each in rows:
                    if rows.line_num > whole + 1:
                        break
                    whole += 1
                    found.append(each)
            except csv.Error:
                pass
            if begin + whole < len(lines):
                wasted += rows.line_num - whole
                found.append([])
        return found + [row(each) for each in lines[len(found) :]]

    return reader(line, many)


_QUOTE = re.compile(r'["\r\n]')


def write_row(values: Sequence[str], delimiter: str = ",") -> str:
    """One record without its end; what has a delimiter, a quote or a newline inside is quoted."""
    row = delimiter.join(
        '"' + value.replace('"', '""') + '"' if delimiter in value or _QUOTE.search(value) else value
        for value in values
    )
    return row or '""'  # of one column; an empty line would be no record
