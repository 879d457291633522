"""A new file is compared with what it may be a copy of, and not with everything that happens to begin as it does."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from shipper.files.alike import MOST, Alike
from shipper.files.checkpoints import Entry
from shipper.files.handles import Handle
from shipper.files.identity import HEAD, Digest
from shipper.files.reading import MARK
from shipper.files.rotation import PROOF, is_copy, packs

NAMES = (
    "app.log",
    "app.log.1",
    "app.log.2.gz",
    "app-20261122.log",
    "app.1.log",
    "app2.log",
    "app",
    "other.log",
    ".log",
)


@dataclass
class Content(Handle):
    """A file in memory; packed or not, this is what is in it."""

    data: bytes
    compressed: bool = False
    fd: int = field(default=-1, init=False)
    heads: int = field(default=0, init=False)

    def reaches(self, offset: int) -> bool:
        return self.compressed or len(self.data) >= offset

    def head(self, size: int) -> bytes:
        self.heads += 1
        return self.data[:size]

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


def known(path: str, data: bytes) -> Entry:
    """What was read of such content."""
    return Entry(path, (1, 1), 0, len(data), Digest.of(data[:HEAD]), Digest.of(data[-MARK:]))


TEXTS = st.builds(
    lambda start, size, end: (start * 700 * size)[: 700 * size] + end,
    st.sampled_from([b"a", b"banner\n"]),
    st.sampled_from([0, 1, 2, 8]),
    st.sampled_from([b"", b"x\n", b"y\n"]),
)
PATHS = st.builds(lambda folder, name: f"{folder}/{name}", st.sampled_from(["/l", "/m"]), st.sampled_from(NAMES))


@given(st.lists(st.tuples(PATHS, TEXTS), max_size=12), PATHS, TEXTS, st.booleans())
def test_nothing_that_it_is_a_copy_of_is_left_out(
    entries: list[tuple[str, bytes]], path: str, data: bytes, packed: bool
) -> None:
    """All entries that the plain question, asked of each, says yes to are found; and none that begins otherwise."""
    all_of_them = [known(*each) for each in entries]
    handle = Content(data, packed)
    found = Alike(all_of_them).of(handle, path)
    assert len(set(found)) == len(found)
    yes = {entry for entry in all_of_them if is_copy(entry, path, handle) or packs(entry, path, handle)}
    assert yes <= set(found)
    for entry in found:
        assert Digest.of(data[: entry.head.length]) == entry.head


def test_thousands_of_the_same_beginning_are_not_all_considered() -> None:
    """Of so many with a banner only the newest, and one named like the original however old; of short ones nobody."""
    banner = b"banner\n" * PROOF
    original = known("/l/app.log", banner)
    many = [original, *(known(f"/l/f{number}", banner) for number in range(5000))]
    found = Alike(many).of(Content(banner), "/l/app.log.1")
    assert original in found
    assert many[-1] in found
    assert len(found) == MOST + 1
    short = [known(f"/l/f{number}", b"hello\n") for number in range(5000)]
    assert Alike(short).of(Content(b"hello\n"), "/l/g") == []
