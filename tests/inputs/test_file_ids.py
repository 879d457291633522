"""Ids of the lines of files: of a random identity that is on disk before anybody sees it, and of their places."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson

from shipper.batch import ID
from shipper.errors import Unavailable
from shipper.files.checkpoints import Slots
from shipper.inputs.file import File
from shipper.options import Duration, Size
from shipper.testing import drive
from shipper.testing.drive import Driver
from tests.inputs.places import Place, until


class Naming(Place):
    """A folder of logs, read with ids."""

    def source(self, **options: object) -> File:
        settings = {"poll_interval": Duration(0.05), "rotate_wait": Duration(0.3), **options}
        made = File(include=[str(self.logs / "*.log*")], **settings)  # type: ignore[arg-type]
        made._ids = True
        return made

    def saved(self) -> dict[str, str]:
        """The identity of each file as it is on the disk now."""
        found = Slots(self.root / "state" / "positions", lambda path: path).load()
        return {entry.path: entry.id for entry in found["files"]} if found else {}


async def ids(tail: Driver, count: int) -> list[str]:
    """The ids of the next events, each batch accepted."""
    return [event[ID] for event in await tail.events(count)]


async def test_places_in_a_file(tmp_path: Path) -> None:
    """The id is the file's identity and where the line begins; it is on disk before the first batch is handed on."""
    place = Naming(tmp_path)
    path = place.write("a.log", "one\ntwo\n")
    async with drive(place.source(), tmp_path / "state") as tail:
        batch = await tail.next()
        name = place.saved()[str(path)]
        assert len(name) == 16 and batch.raw == b"one\ntwo"
        assert batch.ids == [f"{name}-0", f"{name}-4"]
        tail.accept()
        place.write("a.log", "three\n")
        assert await ids(tail, 1) == [f"{name}-8"]


async def test_what_is_read_again_has_the_ids_it_had(tmp_path: Path) -> None:
    """After a refusal, a restart, or a crash that lost every position that was saved since, ids are the same."""
    place = Naming(tmp_path)
    place.write("a.log", "".join(f"line {n}\n" for n in range(30_000)))
    async with drive(place.source(), tmp_path / "state") as tail:
        await tail.next()
        shutil.copytree(tmp_path / "state", tmp_path / "copy")  # as a crash would have left it
        await until(lambda: sum(len(taken.batch) for taken in tail.pending) == 30_000)
        tail.refuse(Unavailable("busy"))
        first = await ids(tail, 30_000)
    assert len(set(first)) == 30_000
    async with drive(place.source(), tmp_path / "state") as tail:
        await tail.nothing(0.2)
    async with drive(place.source(), tmp_path / "copy") as tail:
        assert await ids(tail, 30_000) == first


async def test_each_file_has_its_own(tmp_path: Path) -> None:
    """Equal files are different sources; one written by all their first saves."""
    place = Naming(tmp_path)
    for name in "abc":
        place.write(f"{name}.log", "same\n")
    async with drive(place.source(), tmp_path / "state") as tail:
        found = await ids(tail, 3)
        assert len({each.split("-")[0] for each in found}) == 3
        sequence = max(
            orjson.loads(path.read_bytes().split(b" ", 1)[1])["sequence"]
            for path in (tmp_path / "state" / "positions").iterdir()
            if path.name in Slots.NAMES
        )
        assert sequence < 6  # not one save a file, and those of the commits


async def test_a_truncated_file_is_another(tmp_path: Path) -> None:
    """What is written anew at the same place is no repeat; the copy that was made of the old content goes on as it was."""
    place = Naming(tmp_path)
    path = place.write("a.log", "x" * 2000 + "\none\n")
    async with drive(place.source(), tmp_path / "state") as tail:
        before = await ids(tail, 2)
        shutil.copy(path, place.logs / "a.log.1")
        with path.open("r+") as file:
            file.truncate(0)
        place.write("a.log.1", "late\n")
        place.write("a.log", "y" * 2000 + "\ntwo\n")
        after = {event["message"][:4]: event[ID] for event in await tail.events(3)}
    assert after["late"] == f"{before[0].split('-')[0]}-{2005:x}"
    assert after["two"].split("-")[0] == after["yyyy"].split("-")[0] != before[0].split("-")[0]


async def test_positions_of_an_older_release(tmp_path: Path) -> None:
    """A file whose position has no identity yet gets one, and goes on where it was."""
    place = Naming(tmp_path)
    path = place.write("a.log", "one\n")
    async with place.tail() as tail:  # nobody wants ids
        assert ID not in (await tail.events(1))[0]
        await until(lambda: place.saved())
    assert place.saved() == {str(path): ""}
    place.write("a.log", "two\n")
    async with drive(place.source(), tmp_path / "state") as tail:
        (found,) = await ids(tail, 1)
    assert found == f"{place.saved()[str(path)]}-4"


async def test_nothing_is_handed_on_while_the_identity_cannot_be_saved(tmp_path: Path) -> None:
    """A disk that refuses is back-pressure: without a lasting identity a crash would make all of it twice."""
    place = Naming(tmp_path)
    place.write("a.log", "one\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "positions").write_text("in the way")
    source = place.source(follow=False)
    async with drive(source, tmp_path / "state") as tail:
        await until(lambda: source.scope.counters["failed_checkpoints", ()])
        await tail.nothing(0.2)
        (tmp_path / "state" / "positions").unlink()
        (found,) = await ids(tail, 1)
        assert found.endswith("-0")
        await tail.ended()


async def test_lines_that_were_cut(tmp_path: Path) -> None:
    """Truncated and dropped lines leave the places of the others as they are."""
    place = Naming(tmp_path)
    place.write("a.log", f"one\n{'x' * 50}\ntwo\n")
    async with drive(place.source(max_line_bytes=Size(10)), tmp_path / "state") as tail:
        assert [each.split("-")[1] for each in await ids(tail, 3)] == ["0", "4", f"{55:x}"]
