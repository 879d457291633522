"""What an HTTP answer means for the events (RFC 9110 section 15): done, again, split, or set aside."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from shipper.errors import Rejected, TooLarge, Unavailable

__all__ = ["Misdirected", "printable", "raise_for", "retry_after", "said_at"]

AGAIN = frozenset({408, 425, 429})
MISDIRECTED = frozenset({401, 403, 404, 405, 407, 415})
"""About the address or the credentials: the events are fine, somebody has to look at the configuration."""
EXCERPT = 500  # characters of an answer that a reason quotes


class Misdirected(Unavailable):
    """Try again, but it will hardly help: the address or the credentials are wrong. To be said loudly."""


def raise_for(status: int, headers: Mapping[str, str], excerpt: str, *, now: float | None = None) -> None:
    """Return for 2xx, else raise what comes next.

    408, 425, 429, 5xx: `Unavailable` with what `Retry-After` asks for. 3xx, 401, 403, 404, 405, 407, 415:
    `Misdirected`, which is an `Unavailable`. 413: `TooLarge`. Any other 4xx: `Rejected`. `excerpt` is the
    beginning of the answer's text; `now` the time (seconds since 1970) that a date in `Retry-After` is measured from.
    """
    if 200 <= status < 300:
        return
    said = printable(" ".join(excerpt.split()), EXCERPT)
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status in MISDIRECTED or 300 <= status < 400:
        if 300 <= status < 400:
            reason = f"HTTP {status}: redirected, and redirects are not followed"
        raise Misdirected(reason, retry_after(headers, now))
    if status == 413:
        raise TooLarge(reason, status)
    if status in AGAIN or not 400 <= status < 500:
        raise Unavailable(reason, retry_after(headers, now))
    raise Rejected(reason, status)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float:
    """Seconds that `Retry-After` asks to wait: a number or a date; 0 for none, the past, or anything unreadable."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    then = _date(text)
    return 0.0 if then is None else max(0.0, then - (time.time() if now is None else now))


def said_at(headers: Mapping[str, str]) -> float | None:
    """When a server answered by its own clock, in seconds since 1970; None when it does not say."""
    return _date(headers.get("Date", ""))


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def printable(text: str, most: int) -> str:
    """At most so many characters, with control characters (terminal escapes, newlines) written as escapes."""
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in cut)
    return f"{cut}..." if len(text) > most else cut
