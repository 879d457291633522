"""What the bulk API of Elasticsearch and OpenSearch answers, document by document, and bulk bodies taken apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from shipper.batch import ID, Event, Piece
from shipper.errors import Partial, Refused, Unavailable
from shipper.net.session import Answer
from shipper.net.status import printable, retry_after
from shipper.options import Url

__all__ = ["FILTER", "documents", "judge", "sources"]

FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason"
"""`filter_path`: all that is looked at."""
# numbers stand in front (`took`, `ingest_took`) where a proxy does not pass our `filter_path` on
_NO_ERRORS = re.compile(rb'\{(?:"\w+":\d+,)*"errors":false,')


def judge(answer: Answer, url: Url, pieces: Sequence[Piece], now: float, ids: bool = False) -> None:
    """Return when every document is there, else raise Partial with what became of which, or Unavailable."""
    count = sum(piece.count for piece in pieces)
    if _NO_ERRORS.match(answer.body) and answer.body.count(b'"status":') == count:
        return
    try:
        said = orjson.loads(answer.body)
        named = [next(iter(item.items())) for item in said["items"]]
        items = [item for _, item in named]
        states = [_state(op, int(item["status"])) for op, item in named]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise Unavailable(f"{url} answered what is no answer to a bulk request") from None
    if len(states) != count:
        raise Unavailable(f"{url} answered for {len(states)} documents of {count}")
    if all(map(_is_done, states)):
        return
    rest, refused, again = _sorted(items, states, pieces, ids)
    if rest or refused:
        raise Partial(rest, refused, retry_after(answer.headers, now), again)


def _sorted(
    items: list[dict[str, Any]], states: list[int], pieces: Sequence[Piece], ids: bool
) -> tuple[list[Piece], list[Refused], str]:
    """What is to be sent again, what is refused, and why it is to be sent again."""
    rest: list[Piece] = []
    refused: list[Refused] = []
    again = ""
    at = 0
    for piece in pieces:
        mine = range(at, at + piece.count)
        at += piece.count
        if all(_is_done(states[i]) for i in mine):
            continue
        keep = []
        for i, doc in zip(mine, documents(piece), strict=True):
            if _is_done(states[i]):
                continue
            reason = _reason(items[i])
            # 401 and 403 are about our rights or a blocked index: the document is fine
            if states[i] in (401, 403, 408, 429) or states[i] >= 500 or states[i] < 400:
                keep.append(doc.body)
                again = again or f"HTTP {states[i]}: {reason}"
            else:
                refused.append(Refused(sources(doc, ids)[0], reason, states[i]))
        if keep:
            rest.append(Piece(b"".join(keep), len(keep), piece.key))
    return rest, refused, again


def documents(piece: Piece) -> list[Piece]:
    """Each document with its action line."""
    lines = piece.body.split(b"\n")
    return [Piece(a + b"\n" + b + b"\n", 1, piece.key) for a, b in zip(lines[:-1:2], lines[1::2], strict=True)]


def sources(piece: Piece, ids: bool = False) -> list[Event]:
    """The documents as events; with their ids, so that one that is sent again later is the same document still."""
    lines = piece.body.split(b"\n")
    events: list[Event] = orjson.loads(b"[" + b",".join(lines[1::2]) + b"]")
    for event in events:
        if "@timestamp" in event:
            event["timestamp"] = event.pop("@timestamp")
    for event, action in zip(events, lines[:-1:2], strict=True) if ids else ():
        (options,) = orjson.loads(action).values()
        if "_id" in options:
            event[ID] = options["_id"]
    return events


def _state(op: str, status: int) -> int:
    """What is created and is there already, is there. `op` is that of the answer: ours may have changed since it was encoded."""
    return 200 if status == 409 and op == "create" else status


def _is_done(status: int) -> bool:
    return 200 <= status < 300


def _reason(item: dict[str, Any]) -> str:
    error = item.get("error")
    if not isinstance(error, dict):
        return printable(str(error or "refused"), 500)
    return printable(f"{error.get('type')}: {error.get('reason')}", 500)
