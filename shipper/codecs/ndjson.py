"""One JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec
from shipper.errors import Refused
from shipper.options import option
from shipper.text.jsonlines import decode_lines, encode_lines
from shipper.text.objects import Objects


class Ndjson(Codec):
    """One JSON object a line (NDJSON, JSON lines).

    A line that is no object (also NaN, lone surrogates, broken UTF-8) stays as `message`, marked; empty lines are
    skipped; integers beyond 64 bits become floats; of equal keys the last one wins.
    """

    content_type: ClassVar[str] = "application/x-ndjson"
    one_each: ClassVar[bool] = True

    _objects: Objects = option(Objects)

    def decode(self, data: bytes) -> list[Event]:
        return decode_lines(data, self._objects)

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        body, count, refused = encode_lines(batch)
        if count:
            yield Piece(body, count)
        yield from refused
