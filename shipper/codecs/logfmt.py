"""logfmt, one line an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, cast

from shipper.batch import Batch, Event, Piece, merged
from shipper.component import Codec
from shipper.errors import Refused
from shipper.text.formats.logfmt import LOGFMT, write_line


class Logfmt(Codec):
    """Pairs such as `level=info msg="two words"`, one line an event.

    Read, values are text, and a key without a value is true; a line that is no logfmt stays as `message`, marked.
    Written, nested fields have dotted keys and lists are JSON.
    """

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    one_each: ClassVar[bool] = True

    def decode(self, data: bytes) -> list[Event]:
        found, unread = LOGFMT.data(data)
        for at, line in unread.items():
            found[at] = {"message": line, "shipper_error": "logfmt: no pairs"}
        return cast(list[Event], found)

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        texts: list[str] = []
        refused: list[Refused] = []
        for event in batch.events:
            whole = merged(event, batch.attrs)
            try:
                texts.append(write_line(whole))
            except (TypeError, RecursionError) as error:
                refused.append(Refused(whole, f"logfmt: {error}"))
        if texts:
            yield Piece("\n".join([*texts, ""]).encode("utf-8", "replace"), len(texts))
        yield from refused
