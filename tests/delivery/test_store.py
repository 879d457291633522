"""The buffer's disk part: what damage does, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.batch import Piece
from shipper.delivery.buffers import find, identity, left, open_store
from shipper.delivery.progress import Done, Progress
from shipper.delivery.segments import Lost, heading, name_of
from shipper.delivery.store import Store
from shipper.testing import FakeOutput
from tests.delivery.simdisk import SimDisk


def store(folder: Path, **options: int) -> Store:
    quarantine = folder.parent / "quarantine"

    def set_aside(path: Path) -> Path:
        quarantine.mkdir(exist_ok=True)
        return path.replace(quarantine / path.name)

    made = Store(
        folder, options.get("limit", 2**20), set_aside, said={"type": "x"}, segment=options.get("segment", 2**20)
    )
    made.open()
    return made


def piece(number: int) -> Piece:
    return Piece(b"event %d\n" % number, 1, "key")


def everything(buffer: Store) -> list[int]:
    """Numbers that come back, each marked done."""
    found = []
    while records := buffer.read(1000, 1000):
        for record in records:
            found.append(int(record.piece.body.split()[1]))
            buffer.mark(record.first, record.end)
    return found


def filled(folder: Path, count: int = 400, **options: int) -> Path:
    """A buffer of events 0 up to `count`, each its own record, closed; its first segment."""
    buffer = store(folder, **options)
    for number in range(count):
        buffer.append([piece(number)])
    buffer.close()
    return buffer.segments[0].path


def lost(buffer: Store) -> Lost:
    return buffer.take_lost() or Lost()


def test_comes_back_in_order_and_goes_away_when_done(tmp_path: Path) -> None:
    """All of it after a restart, once; then no segment is left."""
    filled(tmp_path / "b")
    buffer = store(tmp_path / "b")
    assert buffer.waiting == 400
    assert everything(buffer) == list(range(400))
    buffer.close()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["progress"]
    again = store(tmp_path / "b")
    assert (again.waiting, again.end, everything(again)) == (0, 400, [])


def test_a_flipped_bit_costs_one_record(tmp_path: Path) -> None:
    """Record 200 of 400 is damaged: 399 come out, one is counted, the segment is kept in the quarantine."""
    segment = filled(tmp_path / "b")
    data = bytearray(segment.read_bytes())
    data[data.index(b"event 200\n") + 2] ^= 1
    segment.write_bytes(data)
    buffer = store(tmp_path / "b")
    assert everything(buffer) == [*range(200), *range(201, 400)]
    found = lost(buffer)
    assert (found.records, found.events) == (1, 1)
    buffer.tidy()
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == [segment.name]
    assert buffer.waiting == 0


def test_a_damaged_heading_costs_nothing_and_is_told_once(tmp_path: Path) -> None:
    """All records behind it come out; it is counted, also when the segment is opened twice, and the segment is kept."""
    segment = filled(tmp_path / "b", 10)
    data = bytearray(segment.read_bytes())
    data[10] ^= 1
    segment.write_bytes(data)
    buffer = store(tmp_path / "b")
    assert len(buffer.read(1, 1)) == 1
    buffer._stop_reading()
    assert everything(buffer) == list(range(1, 10))
    found = lost(buffer)
    assert (found.records, found.events) == (1, 0)
    buffer.mark(0, 1)
    buffer.tidy()
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == [segment.name]


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xf1sh", b"\xf1shp\1\2\3\4\xff\xff\0\0" + b"\0" * 16])
def test_a_torn_tail_is_nobodys_loss(tmp_path: Path, tail: bytes) -> None:
    """Zeros and half a frame at the end were never acknowledged: all comes out, nothing is counted."""
    segment = filled(tmp_path / "b")
    segment.write_bytes(segment.read_bytes() + tail)
    buffer = store(tmp_path / "b")
    buffer.append([piece(400)])
    assert everything(buffer) == list(range(401))
    assert lost(buffer) == Lost()


def test_a_garbage_tail_is_counted(tmp_path: Path) -> None:
    """What cannot be told from a damaged record counts as one; nothing else is touched."""
    segment = filled(tmp_path / "b")
    segment.write_bytes(segment.read_bytes() + bytes(range(1, 256)) * 20)
    buffer = store(tmp_path / "b")
    assert everything(buffer) == list(range(400))
    assert lost(buffer).records == 1


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """A segment that ends anywhere: what lies before comes out, and the buffer works."""
    segment = filled(tmp_path / "b", 5)
    data = segment.read_bytes()
    for size in range(len(data)):
        segment.write_bytes(data[:size])
        (tmp_path / "b" / "progress").unlink(missing_ok=True)
        buffer = store(tmp_path / "b")
        whole = data[:size].count(b"\n", data.index(b"event"))
        before = everything(buffer)
        assert before == list(range(whole)), size
        buffer.append([piece(9)])
        assert everything(buffer) == [9]
        buffer.close()


def test_a_missing_segment(tmp_path: Path) -> None:
    """One in the middle is gone: the others come out, and how many events it held is known."""
    filled(tmp_path / "b", segment=4096)
    segments = sorted((tmp_path / "b").glob("*.seg"))
    assert len(segments) > 3
    first, following = int(segments[1].stem), int(segments[2].stem)
    segments[1].unlink()
    buffer = store(tmp_path / "b", segment=4096)
    assert everything(buffer) == [*range(first), *range(following, 400)]
    assert lost(buffer).events == following - first
    assert buffer.waiting == 0


def test_a_segment_of_another_version(tmp_path: Path) -> None:
    """One that a later release wrote is set aside and counted; the others come out."""
    filled(tmp_path / "b", segment=4096)
    segments = sorted((tmp_path / "b").glob("*.seg"))
    first, following = int(segments[1].stem), int(segments[2].stem)
    segments[1].write_bytes(b"".join(heading(first, {"version": 99})) + b"whatever")
    buffer = store(tmp_path / "b", segment=4096)
    assert everything(buffer) == [*range(first), *range(following, 400)]
    found = lost(buffer)
    assert (found.records, found.events) == (1, following - first)
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == [segments[1].name]


def test_the_progress_is_damaged(tmp_path: Path) -> None:
    """With one slot torn the other is used, with both all that is there comes again: nothing is left out."""
    filled(tmp_path / "b")
    buffer = store(tmp_path / "b")
    for record in buffer.read(10**6, 100):
        buffer.mark(record.first, record.end)
    buffer.tidy()
    buffer.close()
    progress = tmp_path / "b" / "progress"
    data = progress.read_bytes()
    assert store(tmp_path / "b").waiting == 300
    progress.write_bytes(b"x" * len(data))
    again = store(tmp_path / "b")
    assert everything(again) == list(range(400))
    assert lost(again).records == 1 or lost(again).events == 0


def test_a_link_in_place_of_a_segment_is_not_followed(tmp_path: Path) -> None:
    """A planted link is not read: it counts as a segment that cannot be."""
    filled(tmp_path / "b", segment=4096)
    segments = sorted((tmp_path / "b").glob("*.seg"))
    outside = tmp_path / "outside"
    segments[1].rename(outside)
    segments[1].symlink_to(outside)
    buffer = store(tmp_path / "b", segment=4096)
    assert int(segments[1].stem) not in everything(buffer)
    assert lost(buffer).records == 1


def test_the_oldest_gives_way(tmp_path: Path) -> None:
    """`drop_oldest` takes whole segments that nobody began to read, and says how many events they held."""
    filled(tmp_path / "b", segment=4096)
    buffer = store(tmp_path / "b", segment=4096)
    first = buffer.segments[0].end
    assert buffer.drop_oldest() == first
    assert everything(buffer) == list(range(first, 400))


def test_a_failed_fsync_acknowledges_nothing() -> None:
    """Whatever the kernel kept of it, the same pieces appended again are there once, after a power cut too."""
    for seed in range(50):
        disk = SimDisk(seed)
        buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
        buffer.open()
        buffer.append([piece(0)])
        disk.fail_sync = 1
        with pytest.raises(OSError, match="Input/output"):
            buffer.append([piece(1), piece(2)])
        assert buffer.waiting == 1
        buffer.append([piece(1), piece(2)])
        disk.power_cut()
        buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
        buffer.open()
        assert everything(buffer) == [0, 1, 2]


def test_without_fsync_it_would_be_lost() -> None:
    """The model can see it: on a disk whose fsync does nothing, a power cut takes what was acknowledged."""

    class Lying(SimDisk):
        def sync(self, fd: int) -> None:
            pass

    missing = 0
    for seed in range(20):
        disk = Lying(seed)
        buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
        buffer.open()
        buffer.append([piece(0), piece(1)])
        disk.power_cut()
        buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
        buffer.open()
        missing += everything(buffer) != [0, 1]
    assert missing


def test_what_another_output_left_is_not_touched(tmp_path: Path) -> None:
    """Records of another shape stay where they are and are told of; the same output finds its own again."""
    mine, other = FakeOutput(), FakeOutput()
    other.shape = lambda: "other"  # type: ignore[method-assign]
    home = tmp_path / "buffers" / "out"
    first = open_store(home, "fake", mine, 2**20, (), Path.resolve)
    first.append([piece(1)])
    first.close()
    second = open_store(home, "fake", other, 2**20, (), Path.resolve)
    assert second.folder != first.folder
    assert [each.folder for each in left(home.parent, {second.folder})] == [first.folder]
    second.close()
    assert find(home, identity("fake", mine), ()) == first.folder
    assert find(home, identity("fake", mine), {first.folder}) != first.folder


def test_what_was_read_before_a_disk_error_is_handed_out() -> None:
    """A read that fails half way gives what it has; the next one goes on behind it, and nothing is left out."""
    disk = SimDisk()
    buffer = Store(Path("/b"), 2**24, disk.set_aside, disk=disk)
    buffer.open()
    for number in range(4):
        buffer.append([Piece(b"event %d\n" % number + b"x" * 400_000, 1)])
    whole, tries = disk.read, iter([False])

    def read(fd: int, offset: int, size: int) -> bytes:
        if offset > 500_000 and next(tries, True) is False:
            raise OSError(5, "Input/output error")
        return whole(fd, offset, size)

    disk.read = read  # type: ignore[method-assign]
    found: list[int] = []
    for _ in range(5):
        try:
            found += [record.first for record in buffer.read(10**7, 10)]
        except OSError:
            continue
    assert found == [0, 1, 2, 3]


def test_numbers_that_a_failed_append_skipped_are_no_events() -> None:
    """After a crash a start takes them for events, until it comes to where they were: told, and not as a loss."""
    disk = SimDisk()
    buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
    buffer.open()
    buffer.append([piece(0)])
    disk.fail_write = 1
    with pytest.raises(OSError, match="No space"):
        buffer.append([piece(1), piece(2)])
    buffer.append([piece(1), piece(2)])
    disk.power_cut()
    buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
    buffer.open()
    found = buffer.waiting
    assert everything(buffer) == [0, 1, 2]
    said = lost(buffer)
    assert (found - said.never, said.events, said.records) == (3, 0, 0)


def test_a_segment_that_a_failure_left_is_in_nobodys_way() -> None:
    """It could be neither finished nor removed: once the disk works, so does the buffer."""
    disk = SimDisk()
    buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk)
    buffer.open()
    remove = disk.remove

    def refuse(path: Path) -> None:
        if path in disk.names_now:
            raise OSError(30, "Read-only file system")

    disk.remove = refuse  # type: ignore[method-assign]
    disk.fail_write = 1
    with pytest.raises(OSError, match="No space"):
        buffer.append([piece(0)])
    disk.remove = remove  # type: ignore[method-assign]
    assert name_of(0) in disk.names(Path("/b"))
    buffer.append([piece(0)])
    assert everything(buffer) == [0]


def test_what_was_given_up_is_counted_though_the_progress_cannot_be_saved() -> None:
    """And no more is given up while that does not help."""
    disk = SimDisk()
    buffer = Store(Path("/b"), 2**20, disk.set_aside, disk=disk, segment=4096)
    buffer.open()
    for number in range(400):
        buffer.append([piece(number)])
    first, second = buffer.segments[0].end, buffer.segments[1].end
    disk.fail_sync = 2
    assert buffer.drop_oldest() == first
    with pytest.raises(OSError, match="Input/output"):
        buffer.drop_oldest()
    assert buffer.waiting == 400 - first
    assert buffer.drop_oldest() == second - first


def test_a_name_with_an_impossible_number_is_no_segment(tmp_path: Path) -> None:
    """Recovery does not raise, whatever lies in the folder."""
    filled(tmp_path / "b", 3)
    (tmp_path / "b" / ("9" * 20 + ".seg")).write_bytes(b"x")
    buffer = store(tmp_path / "b")
    buffer.append([piece(3)])
    assert everything(buffer) == [0, 1, 2, 3]


def test_without_any_progress_what_was_removed_is_not_told_as_lost(tmp_path: Path) -> None:
    """Segments begin at a high number, and nothing says how far was delivered: what is there is what waits."""
    filled(tmp_path / "b", segment=4096)
    segments = sorted((tmp_path / "b").glob("*.seg"))
    segments[0].unlink()
    (tmp_path / "b" / "progress").unlink()
    buffer = store(tmp_path / "b", segment=4096)
    first = int(segments[1].stem)
    assert buffer.waiting == 400 - first
    assert everything(buffer) == list(range(first, 400))
    assert lost(buffer).events == 0


def test_the_name_of_the_progress_is_durable_before_it_counts() -> None:
    """A first save that fails leaves no handle open, and the next one makes sure of the name."""
    disk = SimDisk()
    progress = Progress(Path("/b/progress"), disk)
    disk.fail_sync = 1
    with pytest.raises(OSError, match="error"):
        progress.save("e", Done(1))
    assert not disk.open_files
    progress.save("e", Done(2))
    disk.power_cut()
    saved = Progress(Path("/b/progress"), disk).load()
    assert saved
    assert saved["to"] == 2
