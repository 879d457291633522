"""Rotated files are known by their names and by what is in them."""

from __future__ import annotations

import pytest

from shipper.files.rotation import related


@pytest.mark.parametrize(
    ("original", "other", "expected"),
    [
        ("/l/app.log", "/l/app.log.1", True),
        ("/l/app.log", "/l/app.log.2.gz", True),
        ("/l/app.log", "/l/app.log-20261122.gz", True),
        ("/l/app.log", "/l/app.log~", True),
        ("/l/app.log", "/l/app-20261122.log", True),
        ("/l/app.log", "/l/app-2026-11-22T12.log.gz", True),
        ("/l/app.log", "/l/app.1.log", True),
        ("/l/messages", "/l/messages-20261122", True),
        ("/l/app.log", "/l/app.log", False),
        ("/l/app.log", "/m/app.log.1", False),
        ("/l/app.log", "/l/app.logs", False),
        ("/l/app.log", "/l/app2.log", False),
        ("/l/app.log", "/l/app-errors.log", False),
        ("/l/1.log", "/l/10.log", False),
        ("/l/.log", "/l/.2log", False),
    ],
)
def test_names(original: str, other: str, expected: bool) -> None:
    """What logrotate, Log4j and Python make of a name is related to it; the name of another program's log is not."""
    assert related(original, other) is expected
