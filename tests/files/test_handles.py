"""Open files are read at a position, and compressed ones as what is in them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from shipper.files.handles import BROKEN, GzipHandle, NotRegular, open_file
from shipper.files.identity import Digest, born, same_content


def test_a_compressed_file_is_read_from_anywhere(tmp_path: Path) -> None:
    """Any offset and size give the bytes that are there, forwards and backwards, over members and padding."""
    content = os.urandom(70_000) + bytes(200_000) + os.urandom(1000)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content[:100]) + gzip.compress(content[100:]) + bytes(50))
    handle = open_file(str(path))
    assert isinstance(handle, GzipHandle)
    for offset, size in ((0, 10), (95, 10), (99_000, 150_000), (5, 70_000), (len(content) - 10, 100), (10**9, 5)):
        assert handle.read(offset, size) == content[offset : offset + size]
    assert handle.whole
    handle.close()


def test_a_compressed_file_in_the_making(tmp_path: Path) -> None:
    """What is there so far is read, it is not whole, and more comes as the file grows, byte by byte."""
    packed = gzip.compress(b"hello world\n")
    path = tmp_path / "a.gz"
    path.write_bytes(packed[:2])
    handle = open_file(str(path))
    assert isinstance(handle, GzipHandle)
    found = b""
    with path.open("ab", buffering=0) as file:
        for byte in packed[2:]:
            found += handle.read(len(found), 100)
            file.write(bytes([byte]))
            assert not handle.whole or found == b""
    found += handle.read(len(found), 100)
    assert found == b"hello world\n"
    assert handle.whole
    handle.close()


@pytest.mark.parametrize("nothing", [gzip.compress(b"") * 30_000, bytes(600_000)], ids=["members", "zeros"])
def test_much_that_holds_nothing(tmp_path: Path, nothing: bytes) -> None:
    """A part of a packed file that holds nothing is passed a bounded step at a time, so that nothing else waits for it."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n") + nothing + gzip.compress(b"two\n"))
    handle = open_file(str(path))
    assert isinstance(handle, GzipHandle)
    steps = [handle.read_on(1000) for _ in range(12)]
    assert steps[0] == b"one\n"
    assert set(steps[1:6]) == {None}
    assert b"".join(filter(None, steps)) == b"one\ntwo\n"
    assert steps[-1] == b""  # and that is the end
    while not handle.head(100).startswith(b"one\n"):
        pass
    handle.close()


@pytest.mark.parametrize(
    "damage", [b"garbage, and more of it", gzip.compress(b"x" * 99)[:-8] + bytes(8)], ids=["no member", "checksum"]
)
def test_what_comes_before_damage_is_given_out(tmp_path: Path, damage: bytes) -> None:
    """And the damage is told at every read behind it, whatever the library makes of a stream that has failed."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n") + damage)
    handle = open_file(str(path))
    assert isinstance(handle, GzipHandle)
    assert (handle.read_on(1000) or b"").startswith(b"one\n")
    for _ in range(3):
        with pytest.raises(BROKEN):
            handle.read_on(1000)
    handle.close()


def test_damage_is_told(tmp_path: Path) -> None:
    """A changed byte in a compressed file raises, and does not end in wrong text."""
    packed = bytearray(gzip.compress(bytes(range(256)) * 10))
    packed[len(packed) - 6] ^= 1  # in the checksum
    path = tmp_path / "a.gz"
    path.write_bytes(packed)
    handle = open_file(str(path))
    with pytest.raises(BROKEN):
        handle.read(0, 10**6)
    handle.close()


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A FIFO nobody writes to, a device and a folder raise at once."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(NotRegular):
            open_file(str(path))


def test_a_handle_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    """Nobody has to close what nobody holds any more."""
    path = tmp_path / "a"
    path.touch()
    handle = open_file(str(path))
    fd = handle.fd
    del handle
    with pytest.raises(OSError):
        os.fstat(fd)


def test_birth_tells_two_files_with_one_inode_apart(tmp_path: Path) -> None:
    """Where the file system says when a file was made, a recycled inode has another time."""
    path = tmp_path / "a"
    path.touch()
    handle = open_file(str(path))
    first = born(handle.fd)
    assert first == 0 or abs(first / 1e9 - path.stat().st_mtime) < 60
    assert born(handle.fd) == first
    handle.close()


def test_content_is_compared_where_it_counts(tmp_path: Path) -> None:
    """The beginning, the bytes before the position and the length have to fit; what follows may be anything."""
    path = tmp_path / "a"
    path.write_bytes(b"0123456789" * 10)
    handle = open_file(str(path))
    head, mark = Digest.of(b"0123456789"), Digest.of(b"56789")
    assert same_content(handle, head, 100, mark)
    assert same_content(handle, head, 20, mark)
    assert not same_content(handle, head, 110, mark)
    assert not same_content(handle, head, 21, mark)
    assert not same_content(handle, Digest.of(b"0123456788"), 20, mark)
    handle.close()
