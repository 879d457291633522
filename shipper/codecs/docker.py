"""The logs of Docker's containers (`json-file`), the parts of long lines joined."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import itemgetter
from typing import Annotated, ClassVar, Self, cast

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec
from shipper.errors import Refused
from shipper.options import Meta, Size, option
from shipper.text.formats.docker import groups, taken
from shipper.text.formats.lines import Found
from shipper.text.objects import EMPTY, Objects
from shipper.text.parts import Parts


class Docker(Codec):
    """Container logs as Docker's `json-file` driver writes them: `{"log":"text\\n","stream":"stdout","time":"..."}`.

    Gives `timestamp stream message` (and `attrs`, where there are some). Docker splits lines at 16 KiB; the parts, which
    have no newline at their end, are joined, each stream by itself. A line that is no such record stays as
    `message`, marked. It only reads.
    """

    content_type: ClassVar[str] = "application/x-ndjson"
    one_each: ClassVar[bool] = True
    directions: ClassVar[tuple[str, ...]] = ("decode",)
    stateful: ClassVar[bool] = True
    """It keeps parts from chunk to chunk: each source needs one of its own, `fresh()`."""

    max_line_bytes: Annotated[
        Size, Meta(ge=1, description="Longest line, its parts joined; a longer one is truncated and marked.")
    ] = Size(2**20)

    _parts: Parts | None = None
    _fed: int = 0
    _objects: Objects = option(Objects)

    @property
    def unfinished(self) -> int:
        """Bytes from where the earliest unfinished line begins to the end of what was decoded, each line with its newline."""
        begin = self._parts.begin if self._parts else None
        return 0 if begin is None else self._fed - begin

    def fresh(self) -> Self:
        """A codec with the same options and nothing held."""
        return type(self)(max_line_bytes=self.max_line_bytes)

    def flush(self) -> list[Event]:
        """The lines that are not finished, as they are."""
        return self._parts.flush() if self._parts else []

    def decode(self, data: bytes) -> list[Event]:
        failed: dict[int, Event] = {}

        def fail(index: int, line: bytes, why: str) -> Event:
            text = line.decode("utf-8", "replace")
            failed[index] = {"message": text, "shipper_error": f"docker: {why}"} if why != EMPTY else {}
            return failed[index]

        records = self._objects(data, fail)
        if not self._parts:
            good = [record for at, record in enumerate(records) if at not in failed] if failed else records
            found = groups(good)
            if _whole(good, found):
                self._fed += len(data) + 1
                if all(found) and not failed:
                    return cast(list[Event], found)
                return _between(data.split(b"\n"), found, failed)
        return self._joined(data.split(b"\n"), records, failed)

    def _joined(self, lines: list[bytes], records: list[Event], failed: dict[int, Event]) -> list[Event]:
        """The same with parts, and with lines that are no records."""
        if self._parts is None:
            self._parts = Parts(self.max_line_bytes)
        events: list[Event] = []
        for at, (line, record) in enumerate(zip(lines, records, strict=True)):
            begin = self._fed
            self._fed += len(line) + 1
            event = None if at in failed else taken(record)
            if event is not None:
                events += self._parts.add(event, last=record["log"][-1:] == "\n", at=begin)
            elif line.strip():
                events.append(failed.get(at) or _no_record(line))
        return events

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        return [Refused(event, "the codec docker only reads") for event in batch.events]


def _whole(records: list[Event], found: Found) -> bool:
    """Whether each that is a record is the end of its line."""
    try:
        return {"\n"}.issuperset(map(itemgetter(-1), map(itemgetter("log"), compress(records, found))))
    except IndexError:  # an empty text
        return False


def _between(lines: list[bytes], found: Found, failed: dict[int, Event]) -> list[Event]:
    """What was found, with what is no record in its place; empty lines are left out."""
    events: list[Event] = []
    made = iter(found)
    for at, line in enumerate(lines):
        event = failed[at] if at in failed else next(made)
        if event != {}:
            events.append(_no_record(line) if event is None else event)
    return events


def _no_record(line: bytes) -> Event:
    return {"message": line.decode("utf-8", "replace"), "shipper_error": "docker: no log and stream"}
