"""Rotated files are known by their names and by what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.files.rotation import Folders, by_inode, neighbours, related


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


def test_neighbours_are_all_that_are_related(tmp_path: Path) -> None:
    """Whatever is beside it, those whose names say so are found, and no others."""
    names = [
        "app.log",
        "app.log.1",
        "app-20261122.log",
        "app.1.log",
        "app2.log",
        "application.log.1",
        "b.log.1",
        ".log.1",
        ".log",
    ]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "app.log.2").mkdir()
    paths = [str(tmp_path / name) for name in names]
    for path in [*paths, str(tmp_path / "app"), str(tmp_path / "gone.log")]:
        assert sorted(neighbours(path)) == sorted(other for other in paths if related(path, other))


def test_a_folder_is_listed_once_in_a_look_at_many_files(tmp_path: Path) -> None:
    """Thousands that went at once are not looked for one by one; the next look sees what has come."""
    (tmp_path / "a").touch()
    info = (tmp_path / "a").stat()
    key, seen = (info.st_dev, info.st_ino), Folders()
    assert by_inode(str(tmp_path / "a"), (key[0], 0), seen) is None
    (tmp_path / "a").rename(tmp_path / "b")
    assert by_inode(str(tmp_path / "a"), key, seen) is None
    assert by_inode(str(tmp_path / "a"), key) == str(tmp_path / "b")
    assert by_inode(str(tmp_path / "none" / "a"), key, seen) is None
