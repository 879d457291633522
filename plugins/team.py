"""Filter `team`: whose address is this? A table of networks knows."""

import csv
import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from shipper import Attrs, Event, EventFilter, FieldPath, Meta
from shipper.options import RELATIVE

Row = dict[str, str]
LONGEST = 64  # characters of an address, its zone included
IPV4 = 0xFFFF << 32  # an IPv4 address as an IPv6 one, ::ffff:192.0.2.1 (RFC 4291 section 2.5.5.2)


class Team(EventFilter):
    """Add what a CSV table says about an address: its team, its country, whatever its columns are.

    The table has a head; the column `network` holds networks such as `192.0.2.0/24`, the others are fields to add.
    The narrowest network wins, an event's own field of the same name wins over the table, empty cells are left out.
    An event whose address is missing, unreadable or in none of the networks goes on as it came.

    ```yaml
    filters:
      owner: {type: team, table: teams.csv, field: remote_host}
    ```
    """

    table: Annotated[Path, Meta(description="The CSV file; read at the start.", extra=RELATIVE)]
    field: Annotated[FieldPath, Meta(description="Field with the address.")] = FieldPath("peer")

    _find: Any = None

    def check(self) -> Iterable[tuple[str, str]]:
        """Reads the table, so that `shipper validate` finds what is wrong with it."""
        try:
            self._load()
        except (OSError, ValueError, csv.Error) as error:
            yield "table", f"{self.table}: {getattr(error, 'strerror', None) or error}"

    async def open(self) -> None:
        self._load()

    def _load(self) -> None:
        # many events come from few addresses
        self._find = lru_cache(maxsize=8192)(Table(self.table).find)

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        if self._find is None:  # not opened, as in a test
            self._load()
        address = self.field.get(event, attrs)
        if not isinstance(address, str) or len(address) > LONGEST:
            return event
        return {**self._find(address), **event}


class Table:
    """Networks as ranges that do not overlap: where each begins, and what is known of it."""

    def __init__(self, path: Path) -> None:
        """Raise ValueError with the line that cannot be used."""
        self.starts = [0]
        self.rows: list[Row] = [{}]
        around: list[tuple[int, Row]] = []  # the networks we are in, the narrowest last: where each ends, its row
        for first, last, row in sorted(read(path), key=lambda each: (each[0], -each[1])):
            self._leave(around, first)
            self._begin(first, row)
            around.append((last, row))
        self._leave(around, 1 << 128)

    def _leave(self, around: list[tuple[int, Row]], here: int) -> None:
        while around and around[-1][0] < here:
            last, _ = around.pop()
            self._begin(last + 1, around[-1][1] if around else {})

    def _begin(self, start: int, row: Row) -> None:
        if start == self.starts[-1]:  # nothing lies between: the narrower one, or the one around both
            self.rows[-1] = row
        else:
            self.starts.append(start)
            self.rows.append(row)

    def find(self, address: str) -> Row:
        """The row of the narrowest network around an address; empty when there is none."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return {}
        return self.rows[bisect_right(self.starts, as_number(parsed)) - 1]


def as_number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """An address of either version as the number of an IPv6 one."""
    return int(address) + (IPV4 if address.version == 4 else 0)


def read(path: Path) -> list[tuple[int, int, Row]]:
    """The table's networks as numbers: first address, last address, row."""
    found: dict[tuple[int, int], Row] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file, strict=True)
        if "network" not in (lines.fieldnames or ()):
            raise ValueError(f"found the columns {lines.fieldnames or 'none'}, expected `network` among them")
        for row in lines:
            where = f"line {lines.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {len(lines.fieldnames or ())} columns")
            try:
                network = ipaddress.ip_network(row.pop("network").strip())
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
            bounds = as_number(network[0]), as_number(network[-1])
            if bounds in found:
                raise ValueError(f"{where}: {network} is there twice")
            found[bounds] = {name: value.strip() for name, value in row.items() if value.strip()}
    return [(first, last, row) for (first, last), row in found.items()]
