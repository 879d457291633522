"""The file input loses nothing and repeats nothing, whatever becomes of its files."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import shutil
from typing import ClassVar

import pytest

from shipper.batch import Event
from shipper.component import Codec
from shipper.errors import Unavailable
from shipper.files.multiline import Python, Start
from shipper.inputs.file import File
from shipper.options import Duration, Size
from shipper.testing import drive
from tests.inputs.places import Place, messages, until


async def test_lines_as_they_are_written(place: Place) -> None:
    """Each line is an event with its file and the time of reading, old lines and new ones alike."""
    path = place.write("a.log", "one\ntwo\n")
    async with place.tail() as tail:
        first = await tail.next()
        assert first.raw == b"one\ntwo"
        assert first.attrs["file"] == str(path)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.attrs["timestamp"])
        place.write("a.log", "three\n")
        assert (await tail.next()).events == [{"message": "three"}]
        place.write("new.log", "four\n")
        assert (await tail.next()).events == [{"message": "four"}]


async def test_a_position_moves_only_with_the_acknowledgement(place: Place) -> None:
    """What was not acknowledged comes again after a restart, what was does not."""
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.next()
        tail.accept()
        place.write("a.log", "two\n")
        await tail.next()  # nobody accepts it
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["two"]
    async with place.tail() as tail:
        await tail.nothing()


async def test_a_refused_delivery_comes_again(place: Place) -> None:
    """After a failed delivery the input goes on from what was acknowledged, in the same process."""
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
        place.write("a.log", "two\n")
        await tail.next()
        tail.refuse(Unavailable("busy"))
        assert messages(await tail.events(1)) == ["two"]


async def test_a_removed_file_is_kept_until_it_is_delivered(place: Place) -> None:
    """A file that was removed while its delivery failed is still read again: its handle was not let go."""
    path = place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.next()
        path.unlink()
        tail.refuse(Unavailable("busy"))
        assert messages(await tail.events(1)) == ["one"]


async def test_run_again_goes_on_behind_what_was_submitted(place: Place) -> None:
    """`run` called once more neither repeats nor skips, in the middle of a line or not."""
    place.write("a.log", "one\nhalf")
    async with place.tail() as tail:
        await tail.next()
        await tail.stop()
        place.write("a.log", " done\n")
        tail.task = asyncio.get_running_loop().create_task(tail.source.run(tail))
        assert (await tail.next()).events == [{"message": "half done"}]


async def test_rename_and_create(place: Place) -> None:
    """A renamed file is read to its end, late writes included, and is no new file under its new name."""
    path = place.write("a.log", "one\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
        with path.open("ab") as late:
            path.rename(place.logs / "a.log.1")
            place.write("a.log", "new\n")
            late.write(b"late\n")
            late.flush()
            assert sorted(messages(await tail.events(2))) == ["late", "new"]
            place.write("a.log.1", "later\n")
            assert messages(await tail.events(1)) == ["later"]
        await tail.nothing()


async def test_renamed_out_of_the_patterns(place: Place) -> None:
    """A file that no pattern finds any more is read to its end, and let go when it has been quiet for `rotate_wait`."""
    path = place.write("a.log", "one\n")
    async with place.tail(include=["*.log"]) as tail:
        assert messages(await tail.events(1)) == ["one"]
        path.rename(place.logs / "a.old")
        place.write("a.old", "late\n")
        assert messages(await tail.events(1)) == ["late"]
        source = tail.source
        assert isinstance(source, File) and source._tailer
        census = source._tailer.census
        await until(lambda: not census.files)


async def test_copy_and_truncate(place: Place) -> None:
    """The copy is not read again, what was written between the last look and the truncation is found in it."""
    path = place.write("a.log", "one\ntwo\n")
    async with place.tail() as tail:
        assert messages(await tail.events(2)) == ["one", "two"]
        for number in range(3):
            place.write("a.log", f"unread {number}\n")
            shutil.copy(path, place.logs / f"a.log.{number}")
            os.truncate(path, 0)
            place.write("a.log", f"new {number}\n")
            assert sorted(messages(await tail.events(2))) == [f"new {number}", f"unread {number}"]
        await tail.nothing()


async def test_a_copy_that_no_pattern_finds(place: Place) -> None:
    """Also then what had not been read is found in the copy beside the truncated file."""
    path = place.write("a.log", "one\n")
    async with place.tail(include=["a.log"]) as tail:
        assert messages(await tail.events(1)) == ["one"]
        place.write("a.log", "unread\n")
        shutil.copy(path, place.logs / "a.log.1")
        os.truncate(path, 0)
        place.write("a.log", "new\n")
        assert sorted(messages(await tail.events(2))) == ["new", "unread"]
        await tail.nothing()


async def test_truncated_and_grown_beyond_its_old_size(place: Place) -> None:
    """A truncation is seen even when the file is longer than before at the next look; no line is cut in two."""
    path = place.write("a.log", "start\n")
    async with place.tail() as tail:
        await tail.events(1)
        for number in range(5):
            os.truncate(path, 0)
            lines = [f"round {number} line {line}" for line in range(number * 10 + 3)]
            place.write("a.log", "\n".join(lines) + "\n")
            assert messages(await tail.events(len(lines))) == lines
        await tail.nothing()


async def test_a_hole_that_a_stale_writer_leaves(place: Place) -> None:
    """A writer that goes on at its old place behind a truncation leaves zeros, which are no text."""
    path = place.logs / "a.log"
    with path.open("wb", buffering=0) as writer:
        writer.write(b"x" * 9000 + b"\n")
        async with place.tail(include=["a.log"]) as tail:
            await tail.events(1)
            os.truncate(path, 0)
            writer.write(b"after\n")
            assert messages(await tail.events(1)) == ["after"]


async def test_a_truncated_file_of_two_byte_characters(place: Place) -> None:
    """The zero that begins a character of UTF-16 is no hole."""
    place.write("a.log", "one\ntwo\n".encode("utf-16-be"))
    async with place.tail(encoding="utf-16-be") as tail:
        await tail.events(2)
        with (place.logs / "a.log").open("wb") as file:
            file.write("new\n".encode("utf-16-be"))
        assert messages(await tail.events(1)) == ["new"]


async def test_twins_are_files_of_their_own(place: Place) -> None:
    """Files that begin alike, or are the same, are each read: at the start and when they appear later."""
    head = "head " * 500 + "\n"
    for number in range(5):
        place.write(f"{number}.log", head + f"{number}\n")
    async with place.tail() as tail:
        assert len(await tail.events(10)) == 10
        for number in range(5, 10):
            place.write(f"{number}.log", head + f"{number}\n")
        found = messages(await tail.events(10))
        assert sorted(found) == sorted([head[:-1]] * 5 + [str(number) for number in range(5, 10)])


@pytest.mark.parametrize("change", ["renamed", "recreated", "same beginning", "truncated", "longer", "copied", "aside"])
async def test_what_changes_while_it_is_stopped(place: Place, change: str) -> None:
    """After a restart what exists and was not delivered is read, and nothing else."""
    path = place.write("a.log", "one\n")
    async with place.tail(include=["a.log"] if change == "aside" else ["*.log*"]) as tail:
        await tail.events(1)
    match change:
        case "renamed" | "aside":
            place.write("a.log", "unread\n")
            path.rename(place.logs / "a.log.1")
            place.write("a.log", "new\n")
            expected = ["new", "unread"]
        case "recreated":
            path.unlink()
            place.write("a.log", "new and longer\n")
            expected = ["new and longer"]
        case "same beginning":
            path.unlink()
            place.write("a.log", "one\nmore\n")
            expected = ["more", "one"]
        case "truncated":
            os.truncate(path, 0)
            place.write("a.log", "1\n")
            expected = ["1"]
        case "longer":
            os.truncate(path, 0)
            place.write("a.log", "new and longer\n")
            expected = ["new and longer"]
        case _:
            place.write("a.log", "unread\n")
            shutil.copy(path, place.logs / "a.log.1")
            os.truncate(path, 0)
            place.write("a.log", "new and longer\n")
            expected = ["new and longer", "unread"]
    async with place.tail(include=["a.log"] if change == "aside" else ["*.log*"]) as tail:
        assert sorted(messages(await tail.events(len(expected)))) == expected
        await tail.nothing()


async def test_removed_while_it_is_read(place: Place) -> None:
    """A file that is removed while nobody takes its lines is read to its end, then its handle is let go."""
    path = place.write("a.log", "".join(f"{line:0100}\n" for line in range(5000)))
    async with place.tail(room=2) as tail:
        first = await tail.next()
        path.unlink()
        found = messages(first.events)
        tail.accept()
        while len(found) < 5000:
            found += messages((await tail.next()).events)
            tail.accept()
        assert found == [f"{line:0100}" for line in range(5000)]
        source = tail.source
        assert isinstance(source, File) and source._tailer
        census = source._tailer.census
        await until(lambda: not census.files)


async def test_created_and_removed_while_the_output_is_blocked(place: Place) -> None:
    """Files are found and opened while nobody takes lines, so that removing them loses nothing."""
    place.write("a.log", "one\n" * 50_000)
    async with place.tail(room=1) as tail:
        found = messages((await tail.next()).events)
        path = place.write("b.log", "short life\n")
        source = tail.source
        assert isinstance(source, File) and source._tailer
        census = source._tailer.census
        await until(lambda: len(census.files) == 2)
        path.unlink()
        while len(found) < 50_001:
            tail.accept()
            found += messages((await tail.next()).events)
        assert found.count("short life") == 1


async def test_a_line_in_pieces_is_one_event(place: Place) -> None:
    """A line without an end is held, over a restart too; it is given out once when its file was rotated."""
    path = place.write("a.log", "one\npa")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
        place.write("a.log", "rt")
        await tail.nothing()
    place.write("a.log", "ed\nrest")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["parted"]
        path.rename(place.logs / "a.log.1")
        event = (await tail.next()).events
        tail.accept()
        assert event == [{"message": "rest", "unfinished": True}]
        await tail.nothing()


async def test_without_follow_it_ends(place: Place) -> None:
    """`follow: false` reads to the end, a last line without an end included, and goes on there the next time."""
    place.write("a.log", "one\ntwo")
    async with place.tail(follow=False) as tail:
        assert messages(await tail.events(2)) == ["one", "two"]
        await tail.ended()
    place.write("a.log", "\nthree\n")
    async with place.tail(once=True) as tail:
        assert messages(await tail.events(1)) == ["three"]
        await tail.ended()


async def test_read_from_end(place: Place) -> None:
    """What is there at the very first start is left out, whole lines only; what comes later is read from its beginning."""
    place.write("old.log", "left out\nhalf")
    options = {"read_from": "end"}
    async with place.tail(**options) as tail:
        source = tail.source
        assert isinstance(source, File) and source._tailer
        census = source._tailer.census
        await until(lambda: not census.first)
        place.write("old.log", " a line\n")
        assert messages(await tail.events(1)) == ["half a line"]
        place.write("new.log", "one\n")
        assert messages(await tail.events(1)) == ["one"]
    place.write("later.log", "two\n")
    async with place.tail(**options) as tail:
        assert messages(await tail.events(1)) == ["two"]


async def test_excludes_and_old_files_are_left_out(place: Place) -> None:
    """Exclude wins over include; a file that is older than `ignore_older` is left out until it is written to."""
    place.write("a.log", "one\n")
    place.write("a.log.bak", "no\n")
    old = place.write("old.log", "old\n")
    os.utime(old, (1, 1))
    async with place.tail(exclude=["*.bak"], ignore_older=Duration(60)) as tail:
        assert messages(await tail.events(1)) == ["one"]
        await tail.nothing()
        place.write("old.log", "new\n")
        assert messages(await tail.events(2)) == ["old", "new"]


@pytest.mark.parametrize("changed", [{"include": ["b.log"]}, {"exclude": ["a.log"]}])
async def test_a_file_that_was_taken_out_of_the_patterns(place: Place, changed: dict[str, list[str]]) -> None:
    """It is not read on because its position is known; back among them it goes on where it was."""
    for name in ("a.log", "b.log"):
        place.write(name, f"{name}\n")
    async with place.tail() as tail:
        await tail.events(2)
    for name in ("a.log", "b.log"):
        place.write(name, f"more of {name}\n")
    async with place.tail(**changed) as tail:
        assert messages(await tail.events(1)) == ["more of b.log"]
        await tail.nothing()
        assert isinstance(tail.source, File)
        rows = tail.source.survey(place.root / "state").rows
        assert [row.path for row in rows if row.state != "not read"] == [str(place.logs / "b.log")]
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["more of a.log"]
        await tail.nothing()


async def test_a_file_under_two_names_is_read_once(place: Place) -> None:
    """Hard links and links are the same file; when a link's target is switched both targets are read."""
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    place.write("a.log", "one\n")
    os.link(place.logs / "a.log", place.logs / "hard.log")
    (place.logs / "soft.log").symlink_to(place.logs / "a.log")
    target = elsewhere / "first"
    target.write_text("two\n")
    (place.logs / "to.log").symlink_to(target)
    (place.logs / "dangling.log").symlink_to(place.root / "nothing")
    (place.logs / "loop.log").symlink_to(place.logs / "loop.log")
    async with place.tail(follow_links=[str(elsewhere)]) as tail:
        assert sorted(messages(await tail.events(2))) == ["one", "two"]
        (place.logs / "to.log").unlink()
        other = elsewhere / "other"
        other.write_text("three\n")
        (place.logs / "to.log").symlink_to(other)
        assert messages(await tail.events(1)) == ["three"]
        await tail.nothing()
        assert tail.scope.counters["unreadable_files", ()] == 1  # the loop; a dangling link is no trouble
        (place.logs / "loop.log").unlink()
        place.write("loop.log", "four\n")
        assert messages(await tail.events(1)) == ["four"]


async def test_what_is_no_file_is_not_opened(place: Place) -> None:
    """A FIFO, a folder and a device that match are left alone, and block nobody."""
    os.mkfifo(place.logs / "fifo.log")
    (place.logs / "folder.log").mkdir()
    (place.logs / "device.log").symlink_to("/dev/zero")
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
        await tail.nothing()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read(place: Place) -> None:
    """An unreadable file is one warning, is tried again, and holds up nobody."""
    path = place.write("secret.log", "two\n")
    path.chmod(0)
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
        await tail.nothing()
        assert tail.scope.counters["unreadable_files", ()] == 1
        path.chmod(0o600)
        assert messages(await tail.events(1)) == ["two"]


async def test_more_files_than_handles(place: Place) -> None:
    """With few handles all files are read, over and over, in the order of their lines."""
    async with place.tail() as tail:
        source = tail.source
        assert isinstance(source, File) and source._tailer
        census = source._tailer.census
        census.opening.most = 8
        for turn in range(3):
            for number in range(40):
                place.write(f"{number}.log", f"{number} {turn}\n")
            found = messages(await tail.events(40))
            assert sorted(found) == sorted(f"{number} {turn}" for number in range(40))
        assert sum(file.handle is not None for file in census.files.values()) <= 8
        await tail.nothing()


async def test_more_files_than_handles_at_a_restart(place: Place) -> None:
    """What could not be opened yet has not gone: no copy beside it takes its place."""
    for number in range(40):
        place.write(f"{number}.log", f"{number}\n")
    async with place.tail(include=["*.log"]) as tail:
        await tail.events(40)
    for number in range(40):
        shutil.copy(place.logs / f"{number}.log", place.logs / f"{number}.log.1")
    async with place.tail(include=["*.log"]) as tail:
        place.tailer(tail).census.opening.most = 8
        await tail.nothing(1.5)


async def test_once_with_more_files_than_handles(place: Place) -> None:
    """Without `follow` too, files for which there was no handle at first are read."""
    for number in range(40):
        place.write(f"{number}.log", f"{number}\n")
    source = File(include=[str(place.logs / "*.log")], follow=False)
    async with drive(source, place.root / "state") as tail:
        assert source._tailer
        source._tailer.census.opening.most = 8
        assert sorted(messages(await tail.events(40))) == sorted(str(number) for number in range(40))
        await tail.ended()


async def test_a_busy_file_leaves_others_their_turn(place: Place) -> None:
    """A small file is read long before a large one is at its end."""
    place.write("a.log", "x" * 999 + "\n")
    big = place.logs / "a.log"
    big.write_bytes((b"x" * 999 + b"\n") * 8000)
    place.write("b.log", "small\n")
    os.utime(big, (1, 1))  # found first
    async with place.tail() as tail:
        for batches in range(40):  # noqa: B007  (read below)
            batch = await tail.next()
            tail.accept()
            if batch.attrs["file"].endswith("b.log"):
                break
        assert batches <= 16


async def test_long_lines(place: Place) -> None:
    """A line over the limit is cut, marked and counted; its neighbours are whole."""
    place.write("a.log", b"before\n" + b"x" * 300_000 + b"\nafter\n")
    async with place.tail(max_line_bytes=Size(1000)) as tail:
        events = await tail.events(3)
        assert messages(events) == ["before", "x" * 1000, "after"]
        assert [event.get("truncated") for event in events] == [None, True, None]
        assert tail.scope.counters["long_lines", (("action", "truncate"),)] == 1


async def test_encodings_and_delimiters(place: Place) -> None:
    """Text in another encoding and lines with another end are read as what they say."""
    place.write("sjis.log", "日本\r\n語\r\n".encode("shift-jis"))
    place.write("bom.log", b"\xff\xfe" + "ä\nö\n".encode("utf-16-le"))
    async with place.tail(include=["sjis.log"], encoding="shift-jis", follow=False) as tail:
        assert messages(await tail.events(2)) == ["日本", "語"]
    async with place.tail(include=["bom.log"], follow=False) as tail:
        assert messages(await tail.events(2)) == ["ä", "ö"]
    place.write("nul.log", b"one\ntwo\0three\0")
    async with place.tail(include=["nul.log"], delimiter="\0", follow=False) as tail:
        assert messages(await tail.events(2)) == ["one\ntwo", "three"]


async def test_compressed_files(place: Place) -> None:
    """A gzip file is read whole, members and all, once; one that is still being written is read on."""
    whole = gzip.compress(b"one\n") + gzip.compress(b"two\nthree") + b"\0" * 100
    place.write("a.log.gz", whole)
    async with place.tail() as tail:
        assert messages(await tail.events(3)) == ["one", "two", "three"]
        growing = gzip.compress(os.urandom(50_000).hex().encode() + b"\nlast\n")
        place.write("b.log.gz", growing[:20_000])
        await tail.nothing()
        place.write("b.log.gz", growing[20_000:])
        assert messages(await tail.events(2))[1] == "last"
        await tail.nothing()
    async with place.tail() as tail:
        await tail.nothing()


async def test_a_damaged_compressed_file(place: Place) -> None:
    """What can be read of it is read, the damage is said once, and others are read on."""
    broken = bytearray(gzip.compress("".join(f"{line}\n" for line in range(50_000)).encode()))
    broken[len(broken) // 2] ^= 0xFF
    place.write("a.log.gz", bytes(broken))
    async with place.tail() as tail:
        place.write("b.log", "fine\n")
        await until(lambda: any("b.log" in taken.batch.attrs["file"] for taken in tail.unread))
        await until(lambda: tail.scope.counters["unreadable_files", ()] == 1)


async def test_what_comes_before_the_damage(place: Place) -> None:
    """Whole members in front of what is no gzip are given out, before the damage is told."""
    place.write("a.log.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n") + b"no member, and no padding")
    async with place.tail() as tail:
        assert messages(await tail.events(2)) == ["one", "two"]
        await until(lambda: tail.scope.counters["unreadable_files", ()] == 1)


async def test_damaged_before_the_position(place: Place) -> None:
    """A compressed file that is broken before the place where it goes on is said once, and others are read on."""
    packed = bytearray(gzip.compress("".join(f"{line}\n" for line in range(50_000)).encode()))
    path = place.write("a.log.gz", bytes(packed))
    async with place.tail(room=3) as tail:
        for _ in range(3):
            await tail.next()
            tail.accept()
    packed[2000] ^= 0xFF
    with path.open("r+b") as file:
        file.write(packed)
    async with place.tail() as tail:
        await until(lambda: tail.scope.counters["unreadable_files", ()] == 1)
        place.write("b.log", "fine\n")
        assert messages(await tail.events(1)) == ["fine"]


async def test_a_compressed_file_that_was_found_empty(place: Place) -> None:
    """gzip makes its file before it writes to it: what comes then is unpacked, and not taken for text."""
    place.write("a.log.gz", b"")
    async with place.tail() as tail:
        await tail.nothing()
        place.write("a.log.gz", gzip.compress(b"one\n"))
        assert messages(await tail.events(1)) == ["one"]


async def test_our_own_folder_is_left_out(place: Place) -> None:
    """A wildcard above the data folder does not make an input read its own positions."""
    place.write("a.log", "one\n")
    source = File(include=[str(place.root / "**/*")], poll_interval=Duration(0.05))
    async with drive(source, place.root / "data" / "state" / "input-a") as tail:
        assert messages(await tail.events(1)) == ["one"]
        await until(lambda: any((place.root / "data").rglob("positions/*")))
        await tail.nothing()


async def test_multiline_over_restarts(place: Place) -> None:
    """Lines that belong together are one event; the position never passes those that wait for more."""
    options = {"multiline": Start(pattern=re.compile(r"^\d"), timeout=Duration(0.3))}
    place.write("a.log", "1 a\n b\n2 c\n")
    async with place.tail(**options) as tail:
        assert messages(await tail.events(1)) == ["1 a\n b"]
    place.write("a.log", " d\n")
    async with place.tail(**options) as tail:
        assert messages(await tail.events(1)) == ["2 c\n d"]
        place.write("a.log", "3\n")
        assert messages(await tail.events(1)) == ["3"]
    async with place.tail(**options) as tail:
        await tail.nothing()


class Marked(Codec):
    """A codec that joins lines `p X` with the next `f Y` of the same stream, as container runtimes write them."""

    stateful: ClassVar[bool] = True
    unfinished: int = 0
    _parts: dict[str, str] | None = None

    def fresh(self) -> Marked:
        return Marked()

    def decode(self, data: bytes) -> list[Event]:
        parts = self._parts = self._parts or {}
        out: list[Event] = []
        for line in data.decode().split("\n"):
            stream, kind, text = line.split(" ", 2)
            if parts:
                self.unfinished += len(line) + 1
            elif kind == "p":
                self.unfinished = len(line) + 1
            parts[stream] = parts.get(stream, "") + text
            if kind == "f":
                out.append({"message": parts.pop(stream), "stream": stream})
            if not parts:
                self.unfinished = 0
        return out

    def flush(self) -> list[Event]:
        events = [{"message": text, "stream": stream} for stream, text in (self._parts or {}).items()]
        self._parts, self.unfinished = None, 0
        return events


async def test_a_codec_that_holds_parts(place: Place) -> None:
    """The position never passes a part that was not given out: after a restart the whole line comes."""
    place.write("a.log", "o f one\no p tw\n")
    async with place.tail(codec=Marked()) as tail:
        assert messages(await tail.events(1)) == ["one"]
    place.write("a.log", "o f o\n")
    async with place.tail(codec=Marked()) as tail:
        assert messages(await tail.events(1)) == ["two"]
    async with place.tail(codec=Marked()) as tail:
        await tail.nothing()


async def test_multiline_by_stream(place: Place) -> None:
    """Behind a codec lines are joined stream by stream, and restarts repeat and lose nothing."""
    options = {"codec": Marked(), "multiline": Python(timeout=Duration(0.3))}
    place.write("a.log", "e f Traceback (most recent call last):\no f hello\ne p   File x\ne f .py\n")
    async with place.tail(**options) as tail:
        assert messages(await tail.events(1)) == ["hello"]
        place.write("a.log", "e f ValueError: no\no f bye\n")
        found = sorted(messages(await tail.events(2)))
        assert found == ["Traceback (most recent call last):\n  File x.py\nValueError: no", "bye"]
    async with place.tail(**options) as tail:
        await tail.nothing()


async def test_lag(place: Place) -> None:
    """The gauge says how many bytes are not delivered yet."""
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.next()
        await until(lambda: tail.scope.gauges.get("lag_bytes") == 4)
        tail.accept()
        await until(lambda: tail.scope.gauges["lag_bytes"] == 0)


def test_wrong_options_are_told() -> None:
    """An encoding that does not exist, and a delimiter that it cannot write, are problems of the configuration."""
    assert [name for name, _ in File(include=["x"], encoding="klingon").check()] == ["encoding"]
    for no_text in ("hex", "idna", "punycode", "undefined", "a\0b"):
        assert [name for name, _ in File(include=["x"], encoding=no_text).check()] == ["encoding"]
    assert [name for name, _ in File(include=["x"], encoding="latin-1", delimiter="日").check()] == ["delimiter"]
    assert list(File(include=["x"], encoding="gb18030", delimiter="日").check()) == []


async def test_a_crash_repeats_no_more_than_one_interval(place: Place) -> None:
    """Positions are on the disk soon after the acknowledgement, without any `close`."""
    place.write("a.log", "one\ntwo\n")
    async with place.tail() as tail:
        await tail.events(2)
        slots = place.root / "state" / "positions"
        await until(
            lambda: any(b'"offset":8' in (slots / name).read_bytes() for name in ("0", "1") if (slots / name).exists())
        )
        shutil.copytree(place.root / "state", place.root / "crashed")
        place.write("a.log", "three\n")
        await tail.events(1)
    shutil.rmtree(place.root / "state")
    shutil.move(place.root / "crashed", place.root / "state")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["three"]
        await tail.nothing()


async def test_without_any_positions_everything_is_read_again(place: Place) -> None:
    """When both slots are damaged nothing is lost: all is read again, even with `read_from: end`."""
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.events(1)
    for slot in (place.root / "state" / "positions").iterdir():
        slot.write_bytes(b"damaged")
    async with place.tail(read_from="end") as tail:
        assert messages(await tail.events(1)) == ["one"]
