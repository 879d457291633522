"""Plain text, one line an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import orjson

from shipper.batch import Attrs, Batch, Event, Piece, lines, merged
from shipper.component import Codec
from shipper.errors import Refused
from shipper.options import Meta
from shipper.text.templates import Template


class Text(Codec):
    """Plain text: read, each line is a `message`; written, each event is its `message`, or what a template makes of it.

    An event without a `message` (or for which the template has no text) is written as JSON.
    """

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    one_each: ClassVar[bool] = True

    template: Annotated[
        Template | None, Meta(description="What is written, such as `{timestamp} {level} {message}`.")
    ] = None

    # the function itself, so that a batch knows its bytes for lines and nobody has to make events of them
    decode = staticmethod(lines)  # type: ignore[assignment]

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if batch.is_lines and batch.raw is not None and self.template is None:
            yield Piece(batch.raw + b"\n", len(batch))
            return
        attrs = batch.attrs
        texts: list[str] = []
        refused: list[Refused] = []
        made = self.template.each(batch) if self.template else None
        for at, event in enumerate(batch.events):
            text: Any = made[at] if isinstance(made, list) else made
            if self.template is None:
                text = event["message"] if "message" in event else attrs.get("message")
            if not isinstance(text, str):
                try:
                    text = _json(event, attrs)
                except TypeError as error:
                    refused.append(Refused(merged(event, attrs), f"json: {error}"))
                    continue
            texts.append(text)
        if texts:
            yield Piece("\n".join([*texts, ""]).encode("utf-8", "replace"), len(texts))
        yield from refused

    def events(self, piece: Piece) -> list[Event]:
        return lines(piece.body.removesuffix(b"\n"))


def _json(event: Event, attrs: Attrs) -> str:
    return orjson.dumps({**attrs, **event}, str).decode()
