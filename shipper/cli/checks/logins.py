"""What an output's `probe` said, as a line with a fix."""

from __future__ import annotations

import re

from shipper.cli.checks.finding import Finding, ok, problem
from shipper.errors import ShipperError

__all__ = ["answered", "refused"]

STATUS = re.compile(r"HTTP (\d{3})")
FIXES = {
    "3": "write the address that it redirects to: redirects are not followed",
    "401": "correct `auth`: user and password, token or key; see whether it has expired",
    "403": "give this user the right to write there",
    "404": "correct the path of the address",
    "407": "correct user and password of the `proxy`",
    "5": "look at its log: it is there, and cannot serve",
}


def answered(what: str, said: str) -> Finding:
    return ok(what, said or "nothing to complain of")


def refused(what: str, error: Exception) -> Finding:
    """A refusal or a failure; a bug of a plugin is named as one."""
    if isinstance(error, OSError):
        name = f": {error.filename}" if error.filename else ""
        return problem(what, f"{error.strerror or error}{name}", "see the file or the connection that it names")
    if not isinstance(error, ShipperError):
        return problem(what, f"{type(error).__name__}: {error}", "this is a bug of the output: report it")
    text = str(error) or type(error).__name__
    status = STATUS.search(text)
    fix = (FIXES.get(status[1]) or FIXES.get(status[1][0])) if status else None
    return problem(what, text, fix or "look at what it says")
