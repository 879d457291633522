"""What can be wrong with the options that all HTTP outputs share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shipper.net.auth import Auth
from shipper.net.compression import Compression
from shipper.net.tls import Tls
from shipper.options import Secret

__all__ = ["check_client"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS = ("host", "content-length", "transfer-encoding", "connection", "content-encoding")


def check_client(
    *,
    headers: Mapping[str, Secret],
    auth: Auth | None,
    tls: Tls,
    compression: Compression,
    own: Iterable[str] = (),
) -> Iterable[tuple[str, str]]:
    """Pairs of an option's name and a sentence. `own` are headers that the output sets itself."""
    taken = {*_OURS, *(name.lower() for name in own)} | ({"authorization"} if auth else set())
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            yield "headers", f"found {name!r}, expected the name of a header: letters, digits and dashes"
        elif name.lower() in taken:
            yield f"headers.{name}", "is set by the output itself or by another of its options"
        elif not _VALUE.fullmatch(value.reveal()):
            yield f"headers.{name}", "found a line break or another character that cannot stand in a header"
    if auth is not None:
        yield from ((f"auth.{name}", why) for name, why in auth.problems())
    yield from ((f"tls.{name}", why) for name, why in tls.problems())
    if why := compression.problem():
        yield "compression", why
