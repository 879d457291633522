"""New files are heard of; where the system does not tell, nobody relies on it."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from shipper.files.watching import Watcher
from shipper.inputs.file import File
from shipper.options import Duration
from shipper.testing import drive

LOG = logging.getLogger("shipper.test")


async def test_a_new_file_is_read_long_before_the_next_scan(tmp_path: Path) -> None:
    """With an interval of minutes, a file in a folder that was made meanwhile is read at once, renames included."""
    logs = tmp_path / "logs"
    logs.mkdir()
    source = File(include=[str(logs / "**/*.log")], poll_interval=Duration(300))
    async with drive(source, tmp_path / "state") as tail:
        await tail.nothing(0.1)
        (logs / "sub").mkdir()
        (logs / "sub" / "a.log").write_text("one\n")
        assert [event["message"] for event in await tail.events(1)] == ["one"]
        (logs / "b.tmp").write_text("two\n")
        (logs / "b.tmp").rename(logs / "b.log")
        assert [event["message"] for event in await tail.events(1)] == ["two"]


def test_threads_do_not_grow_with_files(tmp_path: Path) -> None:
    """However many files a folder has, watching it takes the same few threads, and none is left behind."""
    for number in range(200):
        (tmp_path / f"{number}.log").touch()
    before = threading.active_count()
    watcher = Watcher(lambda: None, LOG)
    watcher.watch({str(tmp_path): True})
    assert threading.active_count() - before <= 4
    watcher.stop()
    assert threading.active_count() == before


def test_renames_say_where_from_and_where_to(tmp_path: Path) -> None:
    """In order, so that a file can be followed whose name lasted too short to be seen."""
    told = threading.Event()
    watcher = Watcher(told.set, LOG)
    watcher.watch({str(tmp_path): False})
    names = [str(tmp_path / name) for name in ("a", "b", "c")]
    try:
        for _ in range(100):  # the first may come before watchdog's thread has begun to listen
            Path(names[0]).touch()
            Path(names[0]).rename(names[1])
            Path(names[1]).rename(names[2])
            told.wait(1)
            told.clear()
            if (names[1], names[2]) in watcher.moves:
                break
    finally:
        watcher.stop()
    moves = list(watcher.moves)
    assert moves[moves.index((names[1], names[2])) - 1] == (names[0], names[1])


def test_writes_are_not_heard(tmp_path: Path) -> None:
    """A write wakes nobody; a new file does."""
    (tmp_path / "a.log").touch()
    heard: list[None] = []
    made = threading.Event()

    def wake() -> None:
        heard.append(None)
        made.set()

    watcher = Watcher(wake, LOG)
    watcher.watch({str(tmp_path): False})
    for _ in range(100):
        with (tmp_path / "a.log").open("a") as file:
            file.write("x\n")
    (tmp_path / "b.log").touch()
    assert made.wait(10)
    watcher.stop()
    assert len(heard) == 1


class Full(Watcher):
    """A system without room for another watch."""

    def _schedule(self, base: str, deep: bool) -> None:
        raise OSError(28, "inotify watch limit reached")


def test_a_system_that_does_not_tell_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When a watch cannot be set it is said once and not tried again; the scan goes on finding files."""
    watcher = Full(lambda: None, LOG)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            watcher.watch({str(tmp_path): True})
    assert len(caplog.records) == 1
    watcher.stop()


async def test_a_folder_that_is_made_later(tmp_path: Path) -> None:
    """Patterns may name folders that are not there yet; a scan finds them."""
    logs = tmp_path / "later"
    source = File(include=[str(logs / "*.log")], poll_interval=Duration(0.05))
    async with drive(source, tmp_path / "state") as tail:
        await asyncio.sleep(0)
        logs.mkdir()
        (logs / "a.log").write_text("one\n")
        assert [event["message"] for event in await tail.events(1)] == ["one"]


def test_a_thread_is_asked_only_when_there_is_something_to_watch(tmp_path: Path) -> None:
    """A folder that is watched needs no second look; one that is not there yet needs one at each scan."""
    watcher = Watcher(lambda: None, LOG)
    here, later = {str(tmp_path): False}, {str(tmp_path / "later"): True}
    assert watcher.lacks(here)
    watcher.watch(here)
    assert not watcher.lacks(here)
    assert not watcher.lacks({"/": True})
    watcher.watch(later)
    assert watcher.lacks(later)
    (tmp_path / "later").mkdir()
    watcher.watch(later)
    assert not watcher.lacks({**here, **later})
    watcher.stop()
