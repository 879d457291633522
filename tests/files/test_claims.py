"""Of several workers one reads a file, whatever the file is called later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shipper.component import Scope
from shipper.files.claims import LATER, Claims, claim_name
from shipper.files.discovery import Discovery
from shipper.files.families import family
from shipper.files.identity import Key
from shipper.share import Share
from shipper.testing import FakeClock


class Folder:
    """Logs, and the claims of some workers to them."""

    def __init__(self, root: Path, count: int = 2) -> None:
        self.logs = root / "logs"
        self.logs.mkdir()
        self.root = root
        self.clock = FakeClock()
        self.workers = [self.worker(index, count) for index in range(count)]

    def worker(self, index: int, count: int = 2) -> Claims:
        scope = Scope("app", clock=self.clock, share=Share(index, count), common=self.root / "workers")
        claims = Claims.of(scope, Discovery([f"{self.logs}/*"], [], lambda path, error: None))
        assert claims is not None
        claims.begin([])
        return claims

    def path(self, name: str) -> str:
        return str(self.logs / name)

    def key(self, name: str) -> Key:
        (self.logs / name).touch()
        info = (self.logs / name).stat()
        return info.st_dev, info.st_ino

    def owner(self, name: str) -> Claims:
        """The worker that takes it by its name."""
        return next(each for each in self.workers if each._share.takes(family(self.path(name))))

    def other(self, name: str) -> Claims:
        return next(each for each in self.workers if each is not self.owner(name))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_one_process_claims_nothing() -> None:
    """A single process reads everything, and has nothing to do with claims."""
    assert Claims.of(Scope("app"), Discovery(["/x/*"], [], lambda path, error: None)) is None


def test_each_file_falls_to_one_worker(tmp_path: Path) -> None:
    """Without claims the family's name decides; all workers have some, and no two the same."""
    folder = Folder(tmp_path, 3)
    shares = [{n for n in range(300) if each.mine((1, n), folder.path(f"app-{n}x.log"))} for each in folder.workers]
    assert sorted(n for share in shares for n in share) == list(range(300))
    assert min(map(len, shares)) > 50


def test_a_renamed_file_stays_with_its_reader(folder: Folder) -> None:
    """Who has a claim reads on, though the new name would fall to the other; when the claim ends, the name decides."""
    names = [f"log{n}.txt" for n in range(50)]
    mine = next(name for name in names if folder.owner(name) is folder.workers[0])
    theirs = next(name for name in names if folder.owner(name) is folder.workers[1])
    key = folder.key(mine)
    assert folder.workers[0].mine(key, folder.path(mine)) and folder.workers[0].take(key)
    (folder.logs / mine).rename(folder.logs / theirs)
    assert folder.workers[0].mine(key, folder.path(theirs))
    assert not folder.workers[1].mine(key, folder.path(theirs))
    assert not folder.workers[1].take(key)
    folder.workers[0].settle(set())
    assert folder.workers[1].mine(key, folder.path(theirs)) and folder.workers[1].take(key)
    assert not folder.workers[0].mine(key, folder.path(theirs))


def test_a_copy_falls_to_the_reader_of_its_original(folder: Folder) -> None:
    """The copy and the packed file of a log that was claimed under another name go where that log is read."""
    names = [f"log{n}.txt" for n in range(50)]
    mine = next(name for name in names if folder.owner(name) is folder.workers[0])
    theirs = next(name for name in names if folder.owner(name) is folder.workers[1])
    key = folder.key(mine)
    assert folder.workers[0].take(key)
    (folder.logs / mine).rename(folder.logs / theirs)
    for copy in (
        f"{theirs}.1",
        f"{theirs}.2.gz",
        theirs.replace(".txt", ".1.txt"),
        theirs.replace(".txt", "-20260801.txt"),
    ):
        assert folder.workers[0].mine(folder.key(copy), folder.path(copy)), copy
        assert not folder.workers[1].mine(folder.key(copy), folder.path(copy)), copy


def test_a_number_before_the_ending_goes_with_the_log_beside_it(folder: Folder) -> None:
    """`app.1.log` is read where `app.log` is while that is there and matched by the patterns."""
    folder.key("app.log")
    for number in range(20):
        assert folder.owner("app.log").mine((9, number), folder.path(f"app.{number}.log"))


async def test_what_is_another_s_is_asked_again_later(folder: Folder) -> None:
    """A verdict by names is good for some seconds: a folder of old files costs nothing at each look."""
    for number in range(1, 20):
        folder.key(f"app.log.{number}")
    other = folder.other("app.log")
    key = folder.key("app.log.1")
    assert not other.mine(key, folder.path("app.log.1"))
    assert other.take(folder.key("app.log"))  # it was renamed from one of the other's
    assert not other.mine(key, folder.path("app.log.1"))
    await folder.clock.advance(LATER + 0.1)
    assert other.mine(key, folder.path("app.log.1"))


def test_a_worker_begins_with_what_it_knows(folder: Folder) -> None:
    """After a crash it has the claims to what its positions say and no others, and hears of what another took meanwhile."""
    first, second = folder.workers
    for inode in (1, 2):
        assert first.take((7, inode))
    assert second.take((7, 3))
    again = folder.worker(0)
    assert again.begin([(7, 2), (7, 3), (7, 4)]) == [(7, 3)]
    assert again.held == {(7, 2), (7, 4)}
    assert sorted(os.listdir(first.folder)) == sorted(claim_name((7, inode)) for inode in (2, 3, 4))
    assert second.take((7, 1))


def test_a_disk_that_is_full_stops_no_reading(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be claimed is read all the same, said once, and claimed later."""
    first, second = folder.workers
    aside = first.folder.rename(first.folder.with_name("aside"))
    assert first.take((7, 1)) and first.take((7, 2))
    assert len(caplog.records) == 1
    aside.rename(first.folder)
    first.settle({(7, 1)})
    assert not second.take((7, 1))
    assert second.take((7, 2))


def test_a_recycled_number_goes_to_whom_the_name_falls(folder: Folder) -> None:
    """When something else lies in a claimed file, its claim ends unless the name falls to the same worker."""
    name = "app.log"
    owner, other = folder.owner(name), folder.other(name)
    assert other.take((7, 1))
    assert not other.keeps((7, 1), folder.path(name))
    assert owner.mine((7, 1), folder.path(name)) and owner.take((7, 1))
    assert owner.keeps((7, 1), folder.path(name))
