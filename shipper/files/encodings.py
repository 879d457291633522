"""Which encoding the bytes of an input are in."""

from __future__ import annotations

import codecs
from functools import lru_cache

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@lru_cache
def canonical(encoding: str) -> str:
    """The codec's own name; LookupError when Python has no such text encoding, or one that cannot replace what is broken."""
    try:
        name = codecs.lookup(encoding).name
        "\n".encode(name, "replace")  # what is no text encoding (`hex`, `zlib`) raises LookupError here
        b"\xff\n".decode(name, "replace")
    except ValueError as error:
        raise LookupError(f"{encoding!r} is no encoding for text") from error
    return {"utf-8-sig": "utf-8", "ascii": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)


def detect(head: bytes, encoding: str) -> tuple[str, int]:
    """The encoding after a look at the first four bytes, and how many of them are a byte order mark.

    A mark overrides only what is some UTF: in Latin-1 the same bytes are letters.
    """
    name = canonical(encoding)
    if name.startswith("utf"):
        for bom, found in BOMS:
            if head.startswith(bom):
                return found, len(bom)
    return name, 0
