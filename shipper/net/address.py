"""Addresses: paths and parameters put below one, and what of one is secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from shipper.options import Url

__all__ = ["below", "hider", "secrets_of", "userinfo", "without_path", "without_userinfo"]


def below(url: Url, path: str = "", query: Mapping[str, str] | None = None) -> Url:
    """The address with a path joined to its own and parameters added to its own, both encoded as they must be."""
    parts = urlsplit(url.reveal())
    joined = parts.path.rstrip("/") + path if path else parts.path
    added = urlencode(query or {}, safe=",*.", quote_via=quote)
    return Url(urlunsplit((parts.scheme, parts.netloc, joined, "&".join(filter(None, (parts.query, added))), "")))


def without_path(url: Url) -> Url:
    """The address down to its host, with its query."""
    parts = urlsplit(url.reveal())
    return Url(urlunsplit((parts.scheme, parts.netloc, "", parts.query, "")))


def without_userinfo(url: Url) -> str:
    """The address as a request needs it: with its query, without user and password."""
    parts = urlsplit(url.reveal())
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def userinfo(url: Url) -> tuple[str, str] | None:
    """User and password of an address, decoded; None when it has none."""
    parts = urlsplit(url.reveal())
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def secrets_of(url: Url) -> list[str]:
    """What of an address must not be shown: user, password, both as they log in, and the values of its query."""
    found = [value for _, value in parse_qsl(urlsplit(url.reveal()).query)]
    user, password = userinfo(url) or ("", "")
    together = f"{user}:{password}" if user and password else ""  # its base64 is not that of its parts
    return [*found, *filter(None, (user, password, together))]


def hider(values: Iterable[str]) -> re.Pattern[str]:
    """Finds these secrets in somebody else's text: as they are, in base64, percent-encoded, or as in JSON.

    Values of less than four characters are left alone: they would be found everywhere.
    """
    forms = set()
    for value in values:
        if len(value) >= 4:
            encoded = base64.b64encode(value.encode()).decode()
            forms |= {value, encoded, quote(value, safe=""), quote(value), json.dumps(value)[1:-1]}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
