"""The logs of Kubernetes' containers (CRI), the parts of long lines joined."""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import accumulate
from typing import Annotated, ClassVar, Self

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec
from shipper.errors import Refused
from shipper.options import Meta, Size
from shipper.text.formats.cri import LINE, STREAMS, same_day
from shipper.text.parts import Parts


class Cri(Codec):
    """Container logs as containerd and CRI-O write them: `2026-08-01T00:00:00.123Z stdout F text`. It only reads.

    Gives `timestamp stream message`. The parts (`P`) of a long line are joined up to its end (`F`), each stream by itself.
    A line that is no CRI stays as `message`, marked.
    """

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    one_each: ClassVar[bool] = True
    directions: ClassVar[tuple[str, ...]] = ("decode",)
    stateful: ClassVar[bool] = True
    """It keeps parts from chunk to chunk: each source needs one of its own, `fresh()`."""

    max_line_bytes: Annotated[
        Size, Meta(ge=1, description="Longest line, its parts joined; a longer one is truncated and marked.")
    ] = Size(2**20)

    _parts: Parts | None = None
    _fed: int = 0

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
        if self._parts is None:
            self._parts = Parts(self.max_line_bytes)
        lines = data.decode("utf-8", "replace").split("\n")
        events: list[Event] = []
        add = events.append
        free: Set[str] = STREAMS - self._parts.streams
        begins: list[int] = []
        low = high = ""  # a time of the same day as the last one is between these
        for at, line in enumerate(lines):
            try:
                timestamp, stream, tag, message = line.split(" ", 3)
                if not low < timestamp < high:
                    low, high = same_day(timestamp)
            except ValueError:
                tag = stream = ""
            if tag == "F" and stream in free:
                add({"timestamp": timestamp, "stream": stream, "message": message})
                continue
            found = LINE.fullmatch(line)
            if found is None:
                if line:
                    add({"message": line, "shipper_error": "cri: no timestamp, stream and tag"})
                continue
            begins = begins or list(accumulate((len(each) + 1 for each in data.split(b"\n")), initial=self._fed))
            timestamp, stream, tag, message = found.groups("")
            event = {"timestamp": timestamp, "stream": stream, "message": message}
            events += self._parts.add(event, last=tag[0] == "F", at=begins[at])
            free = STREAMS - self._parts.streams
        self._fed += len(data) + 1
        return events

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        return [Refused(event, "the codec cri only reads") for event in batch.events]
