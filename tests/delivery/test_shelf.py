"""The files of dead letters: rotated, bounded, never a link, and rewritten so that a crash leaves the old or the new."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shipper.delivery.shelf import Busy, Full, Shelf, first_lines, some_lines, write
from shipper.options import Size
from shipper.policy import DeadLetterPolicy

LINE = b'{"event":{"n":"%03d"},"reason":"no"}\n'
ONE = len(LINE % 0)


def lines(*numbers: int) -> bytes:
    return b"".join(LINE % number for number in numbers)


def policy(max_bytes: int, rotate: int, when_full: str = "block") -> DeadLetterPolicy:
    return DeadLetterPolicy(max_bytes=Size(max_bytes), rotate=Size(rotate), when_full=when_full)  # type: ignore[arg-type]


def put(shelf: Shelf, body: bytes, rules: DeadLetterPolicy, component: str = "es") -> list[int]:
    """All of it, as the writer does; how many letters gave way."""
    gave_way: list[int] = []
    while body:
        written, _ = shelf.append(component, body, rules, gave_way=gave_way.append)
        assert written > 0
        body = body[written:]
    return gave_way


def numbers(shelf: Shelf, component: str = "es") -> list[int]:
    found = []
    for sheet in shelf.sheets(component):
        found += [int(json.loads(line)["event"]["n"]) for line in (shelf.folder / sheet.name).read_bytes().splitlines()]
    return found


def names(shelf: Shelf) -> list[str]:
    return [sheet.name for sheet in shelf.sheets()]


def test_files_are_rotated_by_size_and_keep_order(tmp_path: Path) -> None:
    """No file grows beyond `rotate`; read in their order the letters are in theirs."""
    shelf = Shelf(tmp_path / "dead")
    for begin in range(0, 30, 2):
        put(shelf, lines(begin, begin + 1), policy(100 * ONE, 7 * ONE))
    assert names(shelf) == ["es@000001.ndjson", "es@000002.ndjson", "es@000003.ndjson", "es@000004.ndjson", "es.ndjson"]
    assert numbers(shelf) == list(range(30))
    assert all(sheet.size <= 7 * ONE for sheet in shelf.sheets())
    assert {file.stat().st_mode & 0o777 for file in shelf.folder.iterdir()} == {0o600}
    assert shelf.folder.stat().st_mode & 0o777 == 0o700


def test_many_letters_at_once_fill_several_files(tmp_path: Path) -> None:
    """A file is never larger than it may be, however many letters come together; one long letter has its own."""
    shelf = Shelf(tmp_path)
    put(shelf, lines(*range(20)), policy(100 * ONE, 6 * ONE))
    assert [sheet.size // ONE for sheet in shelf.sheets()] == [6, 6, 6, 2]
    put(shelf, b'{"event":{"n":20},"m":"%s"}\n' % (b"x" * 9 * ONE), policy(100 * ONE, 6 * ONE))
    assert numbers(shelf) == list(range(21))


def test_full_takes_what_fits_and_no_more(tmp_path: Path) -> None:
    """All files of a component together stay within `max_bytes`; another component has room of its own."""
    shelf, rules = Shelf(tmp_path), policy(20 * ONE + 3, 5 * ONE)
    with pytest.raises(Full, match=str(20 * ONE + 3)):
        put(shelf, lines(*range(25)), rules)
    assert numbers(shelf) == list(range(20))
    assert sum(sheet.size for sheet in shelf.sheets("es")) <= rules.max_bytes
    put(shelf, lines(1), rules, "loki")
    assert numbers(shelf, "loki") == [1]
    (tmp_path / "es@000001.ndjson").unlink()
    put(shelf, lines(20, 21), rules)
    assert numbers(shelf)[-2:] == [20, 21]


def test_the_oldest_give_way_when_told_so(tmp_path: Path) -> None:
    """`drop_oldest`: whole files go, it is said how many letters they had, and the bound holds all the time."""
    shelf, rules = Shelf(tmp_path), policy(20 * ONE, 5 * ONE, "drop_oldest")
    gave_way = []
    for number in range(100):
        gave_way += put(shelf, lines(number), rules)
        assert sum(sheet.size for sheet in shelf.sheets("es")) <= rules.max_bytes
    kept = numbers(shelf)
    assert kept == list(range(100))[-len(kept) :]
    assert sum(gave_way) == 100 - len(kept)
    assert len(kept) >= 15


def test_a_letter_larger_than_everything_is_kept_on_an_empty_shelf(tmp_path: Path) -> None:
    """It must not block for ever."""
    for when_full in ("block", "drop_oldest"):
        shelf = Shelf(tmp_path / when_full)
        put(shelf, b'{"event":{"n":1},"m":"%s"}\n' % (b"x" * 100 * ONE), policy(20 * ONE, 5 * ONE, when_full))
        assert numbers(shelf) == [1]


def test_names_of_components_never_meet(tmp_path: Path) -> None:
    """A component called `es.1` or `es.ndjson` has files of its own, and `es` is not bounded by them."""
    shelf, rules = Shelf(tmp_path), policy(8 * ONE, 2 * ONE)
    for component in ("es", "es.1", "es.ndjson", "es-000001"):
        put(shelf, lines(*range(6)), rules, component)
    for component in ("es", "es.1", "es.ndjson", "es-000001"):
        assert numbers(shelf, component) == list(range(6))
    assert {sheet.component for sheet in shelf.sheets()} == {"es", "es.1", "es.ndjson", "es-000001"}


@pytest.mark.parametrize("planted", ["link", "dangling", "pipe", "folder"])
def test_what_was_planted_in_place_of_a_file_is_refused(tmp_path: Path, planted: str) -> None:
    """Nothing is written through a link, nothing waits for a pipe; whoever has letters hears of it."""
    shelf = Shelf(tmp_path / "dead")
    shelf.folder.mkdir()
    victim, file = tmp_path / "victim", shelf.folder / "es.ndjson"
    if planted == "link":
        victim.write_bytes(b"precious")
    if planted in ("link", "dangling"):
        file.symlink_to(victim)
    elif planted == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises(OSError, match=r"es\.ndjson"):
        put(shelf, lines(1), policy(100 * ONE, 10 * ONE))
    assert victim.read_bytes() == b"precious" if planted == "link" else not victim.exists()
    assert shelf.sheets() == []


def test_a_planted_number_is_stepped_over(tmp_path: Path) -> None:
    """A link that has the next number is neither followed, nor replaced, nor read."""
    shelf, rules = Shelf(tmp_path), policy(100 * ONE, 2 * ONE)
    (tmp_path / "es@000001.ndjson").symlink_to("/etc/passwd")
    put(shelf, lines(*range(5)), rules)
    assert names(shelf) == ["es@000002.ndjson", "es@000003.ndjson", "es.ndjson"]
    assert numbers(shelf) == list(range(5))
    assert (tmp_path / "es@000001.ndjson").is_symlink()


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    """On a disk that is full the file ends where it ended before, and the letters are written later."""
    import resource
    import signal

    shelf, rules = Shelf(tmp_path), policy(1000 * ONE, 500 * ONE)
    put(shelf, lines(0), rules)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * ONE + 5, before[1]))  # the write ends in the middle of a line
        with pytest.raises(OSError, match="too large"):
            put(shelf, lines(1, 2, 3), rules)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert numbers(shelf) == [0]
    put(shelf, lines(1, 2, 3), rules)
    assert numbers(shelf) == [0, 1, 2, 3]


def test_rewriting_keeps_what_is_kept(tmp_path: Path) -> None:
    """Exactly the spans, with the mode of the rest; nothing left removes the file; nothing comes back from the dead."""
    shelf = Shelf(tmp_path)
    put(shelf, lines(*range(5)), policy(100 * ONE, 10 * ONE))
    (sheet,) = shelf.set_apart("es")
    handle = shelf.open(sheet)
    shelf.keep(sheet, handle, [(ONE, 2 * ONE), (4 * ONE, 5 * ONE)])
    assert numbers(shelf) == [1, 4]
    assert (tmp_path / sheet.name).stat().st_mode & 0o777 == 0o600
    shelf.keep(sheet, handle, [(0, ONE)])
    assert numbers(shelf) == [0], "spans are places of the file as it was when it was opened"
    shelf.keep(sheet, handle, [])
    assert names(shelf) == []
    shelf.keep(sheet, handle, [(0, ONE)])
    assert names(shelf) == []
    os.close(handle)
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_rewrites(tmp_path: Path) -> None:
    """Who comes second is told so; what an interrupted one left behind is removed."""
    shelf = Shelf(tmp_path)
    (tmp_path / ".es@000001.ndjson.tmp").write_bytes(b"half")
    with shelf.alone(), pytest.raises(Busy), Shelf(tmp_path).alone():
        raise AssertionError
    with shelf.alone():
        pass
    assert [file.name for file in tmp_path.iterdir()] == [".busy"]


def test_lines_are_read_whole_wherever_blocks_end(tmp_path: Path) -> None:
    """Each line once with its place, long ones, empty ones and one without an end too."""
    body = b"a\n\n" + b"b" * 300_000 + b"\n" + b"c\n" * 200_000 + b"d" * 600_000
    (tmp_path / "x").write_bytes(body)
    handle = os.open(tmp_path / "x", os.O_RDONLY)
    found: list[tuple[int, bytes]] = []
    at = 0
    while some := some_lines(handle, at, len(body))[0]:
        found += some
        at = some_lines(handle, at, len(body))[1]
    os.close(handle)
    assert at == len(body)
    assert [line for _, line in found] == body.split(b"\n")
    assert all(body[begin : begin + len(line)] == line for begin, line in found)


def test_whole_lines_that_fit() -> None:
    """Never half a line, none when the first is longer."""
    assert first_lines(b"ab\ncd\n", 6) == b"ab\ncd\n"
    assert first_lines(b"ab\ncd\n", 5) == b"ab\n"
    assert first_lines(b"ab\ncd\n", 2) == b""
    assert first_lines(b"ab\ncd\n", -1) == b""


def test_a_name_that_cannot_be_made_durable_holds_no_letters(tmp_path: Path) -> None:
    """A folder that cannot be fsynced is a failure before the letters are written: the next try does not double them."""
    handle = os.open(tmp_path, os.O_PATH)  # files can be opened below it; fsync refuses
    with pytest.raises(OSError, match="Bad file descriptor"):
        write(handle, "es.ndjson", b"1\n")
    os.close(handle)
    handle = os.open(tmp_path, os.O_RDONLY)
    write(handle, "es.ndjson", b"1\n")
    os.close(handle)
    assert (tmp_path / "es.ndjson").read_bytes() == b"1\n"
