"""What the bulk API of Elasticsearch and OpenSearch takes: its limits, names of indices, ids of documents.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shipper.text.templates import Template

__all__ = ["LIMITS", "actions", "bad_id", "bad_name", "defaults", "fixed", "one_document"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes; what is beyond them the server refuses, and most of it with the whole request."""

    request: int = 100 << 20
    """`http.max_content_length`, counted unpacked: 413."""
    id: int = 512
    """`IndexRequest.MAX_DOCUMENT_ID_LENGTH`: 400 for the whole request."""
    name: int = 255
    """`MetadataCreateIndexService.MAX_INDEX_NAME_BYTES`."""


LIMITS = Limits()

# What the server refuses in a name: `MetadataCreateIndexService.validateIndexOrAliasName`.
_BAD_NAME = re.compile(r'[\\/*?"<>|` ,#:\x00-\x1f\x7f\ud800-\udfff]|^[-_+]|^\.{1,2}$')
_FIELD = re.compile(r"\{[^{}]*?(?::(%[^{}]*))?\}")
_DEFAULT = re.compile(r"\{[^{}\":]*:([^{}%][^{}]*)\}")
_ALIKE = frozenset(
    {"timestamp", "host", "file", "peer", "message", "level", "severity", "facility", "service", "app", "stream"}
)
"""Fields that many events have in common, or all events of one moment."""


def bad_name(name: str) -> str | None:
    """Why the server would refuse it as the name of an index."""
    if not name or _BAD_NAME.search(name):
        return 'expected no \\ / * ? " < > | ` , # : or space in it, and no - _ + in front'
    if name != name.lower():
        return "expected lower case only"
    if len(name.encode("utf-8", "surrogatepass")) > LIMITS.name:
        return f"expected at most {LIMITS.name} bytes"
    return None


def fixed(template: Template) -> str:
    """A template with an `x` for each field and a time for each time: what is wrong with that is wrong for all events."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return _FIELD.sub(lambda field: now.strftime(field[1]) if field[1] else "x", template.text)


def defaults(template: Template) -> list[str]:
    """What stands where a field is missing."""
    return _DEFAULT.findall(template.text)


def bad_id(text: str | None) -> str | None:
    """Why the server would refuse the whole request for it."""
    if text is None or (text.isascii() and len(text) <= LIMITS.id):
        return None
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # of an attribute, such as the name of a file
        return "id is not Unicode"
    return f"id is longer than {LIMITS.id} bytes" if size > LIMITS.id else None


def actions(head: bytes, ids: Sequence[str | None]) -> list[bytes] | None:
    """Action lines that begin with `head` (the options but for the id, not closed); None when an id is refused."""
    if None not in ids:
        text = " ".join(ids)  # type: ignore[arg-type]  # no None among them
        if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:  # nothing to escape
            plain = text.encode().split(b" ")
            if len(plain) == len(ids) and all(plain) and max(map(len, plain)) <= LIMITS.id:
                front = head + b',"_id":"'
                return [front + each + b'"}}\n' for each in plain]
    if any(map(bad_id, ids)):
        return None
    none = head + b"}}\n"
    return [head + b',"_id":' + orjson.dumps(each) + b"}}\n" if each else none for each in ids]


def one_document(template: Template) -> Iterable[str]:
    """The fields of an id when none of them tells events apart."""
    fields = [str(path) for path in template.fields]
    return fields if {path.first for path in template.fields} <= _ALIKE else ()
