"""Positions go to the workers that there are now: none is lost and none is doubled, whatever a crash cuts short."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.component import Scope
from shipper.config.load import load
from shipper.config.model import Config
from shipper.files.checkpoints import Entry, Slots
from shipper.files.claims import claim_name
from shipper.files.families import family
from shipper.files.identity import Digest
from shipper.share import Share
from shipper.workers.folders import common, data_dirs, folder
from shipper.workers.moving import Disk, redistribute

INPUTS = ("app", "web")


def configured(root: Path, inputs: Iterable[str] = INPUTS) -> Config:
    each = "".join(f"  {name}: {{type: file, include: ['/var/log/{name}/*']}}\n" for name in inputs)
    path = root / "shipper.yaml"
    path.write_text(f"data_dir: {root / 'data'}\ninputs:\n{each}outputs:\n  out: {{type: blackhole}}\n")
    return load([path])


def slots(config: Config, name: str, index: int) -> Slots:
    state = folder(Path(config.data_dir), index) / "state" / f"input-{name}"
    return Slots(state / "positions", Scope(name, quarantine=state).set_aside)


def entry(name: str, number: int, offset: int = 0) -> Entry:
    return Entry(
        f"/var/log/{name}/log-{number}x.txt", (1, number + 1), 5, offset or number, Digest(4, "ab"), Digest(5, "cd")
    )


def save(config: Config, name: str, entries: list[Entry], index: int = 0, saved: float = 10.0) -> None:
    slots(config, name, index).write([each.dump() for each in entries], saved)


def known(config: Config, name: str, count: int) -> list[list[dict[str, Any]]]:
    """What each worker has, in order; those beyond `count` have nothing."""
    found = []
    for index in range(len(data_dirs(Path(config.data_dir))) + count):
        saved = slots(config, name, index).load()
        dumps = sorted((each.dump() for each in saved["files"]), key=str) if saved else []
        if index < count:
            assert saved is not None and saved["saved"] == 10.0
            found.append(dumps)
        else:
            assert not dumps
    return found


def expected(entries: list[Entry], count: int) -> list[list[dict[str, Any]]]:
    return [
        sorted((each.dump() for each in entries if Share(index, count).takes(family(each.path))), key=str)
        for index in range(count)
    ]


def claims(config: Config, name: str) -> dict[str, int]:
    where = common(Path(config.data_dir)) / "claims" / name
    return {link.name: int(os.readlink(link)) for link in where.iterdir()} if where.is_dir() else {}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 30))
def test_each_worker_has_what_it_is_to_read(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], size: int
) -> None:
    """After any changes of their number each worker has the positions of its families and the claims to their files."""
    config = configured(tmp_path_factory.mktemp("data"))
    entries = {name: [entry(name, number) for number in range(size)] for name in INPUTS}
    for name in INPUTS:
        save(config, name, entries[name])
    for before, count in itertools.pairwise([1, *counts]):
        redistribute(config, before, count)
        for name in INPUTS:
            assert known(config, name, count) == expected(entries[name], count)
            owners = {
                claim_name(each.key): index
                for index in range(count)
                for each in entries[name]
                if Share(index, count).takes(each.path)
            }
            assert claims(config, name) == (owners if count > 1 else {})


def test_one_process_touches_nothing(tmp_path: Path) -> None:
    """Where there was never more than one worker, not even a folder is made."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", 1)])
    redistribute(config, 1, 1)
    assert not common(Path(config.data_dir)).exists()


def test_what_fits_is_not_written_again(tmp_path: Path) -> None:
    """A start with as many workers as before writes no position, and makes the claims anew."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", number) for number in range(9)])
    redistribute(config, 1, 2)
    before = [slots(config, "app", index).load() for index in (0, 1)]
    stray = common(Path(config.data_dir)) / "claims" / "app" / "0-1"
    stray.symlink_to("1")
    redistribute(config, 2, 2)
    assert [saved and saved["sequence"] for saved in before] == [
        saved and saved["sequence"] for saved in (slots(config, "app", index).load() for index in (0, 1))
    ]
    assert not stray.is_symlink()


def test_a_new_input_stays_new(tmp_path: Path) -> None:
    """Of an input that never ran nothing is written: `read_from: end` has its first start in every worker."""
    config = configured(tmp_path)
    redistribute(config, 1, 3)
    assert all(slots(config, "app", index).load() is None for index in range(3))


def test_a_first_start_is_over_for_all(tmp_path: Path) -> None:
    """A worker without any file of an input that has run knows that it has: `read_from: end` skips nothing again."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", 1)])
    redistribute(config, 1, 4)
    assert all(slots(config, "app", index).load() is not None for index in range(4))


def test_what_no_input_reads_now_is_left_until_it_does(tmp_path: Path) -> None:
    """Positions of an input that was taken out stay where they are, and are divided when it is back."""
    config = configured(tmp_path)
    entries = [entry("web", number) for number in range(12)]
    save(config, "web", entries)
    redistribute(config, 1, 3)
    redistribute(configured(tmp_path, ["app"]), 3, 2)
    redistribute(configured(tmp_path), 2, 2)
    assert known(config, "web", 2) == expected(entries, 2)


def test_of_two_entries_for_one_file_the_later_file_s_holds(tmp_path: Path) -> None:
    """An inode that one worker knew and another read anew is the later one's; the earlier content is looked for elsewhere."""
    config = configured(tmp_path)
    old, new = entry("app", 1), entry("app", 2)
    new.key, new.born, new.offset = old.key, old.born + 1, 3
    save(config, "app", [old], 0)
    save(config, "app", [new], 1)
    redistribute(config, 2, 1)
    found = slots(config, "app", 0).load()
    assert found is not None
    assert {each.path: each.key for each in found["files"]} == {new.path: new.key, old.path: (0, 0)}


class Crash(Exception):
    """The machine is gone."""


class Fragile(Disk):
    """Breaks down at one of its steps: before it is done, or when it was."""

    def __init__(self, step: int, done: bool, error: type[Exception] = Crash) -> None:
        self.left = step
        self.late = done
        self.error = error

    def _step(self, step: Any, *arguments: Any) -> None:
        self.left -= 1
        if self.left < 0 and not self.late:
            raise self.error
        step(*arguments)
        if self.left < 0:
            raise self.error

    def plan(self, path: Path, body: bytes) -> None:
        self._step(super().plan, path, body)

    def write(self, slots: Slots, entries: list[dict[str, Any]], saved: float) -> None:
        self._step(super().write, slots, entries, saved)

    def done(self, path: Path) -> None:
        self._step(super().done, path)

    def claim(self, path: Path, index: int) -> None:
        self._step(super().claim, path, index)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("before", "count", "then"), [(1, 2, 2), (1, 2, 3), (2, 3, 1), (3, 1, 1), (3, 2, 4)])
def test_a_crash_at_any_step_loses_nothing(tmp_path: Path, before: int, count: int, then: int, done: bool) -> None:
    """Wherever it ends, the next start, whatever number it wants, gives each position to one worker and none to two."""
    entries = {name: [entry(name, number) for number in range(6)] for name in INPUTS}
    for step in itertools.count():
        root = tmp_path / str(step)
        root.mkdir()
        config = configured(root)
        for name in INPUTS:
            save(config, name, entries[name])
        redistribute(config, 1, before)
        try:
            redistribute(config, before, count, Fragile(step, done))
        except Crash:
            pass
        else:
            break
        for again in range(3):  # the start after that has no better luck
            try:
                redistribute(config, count, then, Fragile(again, done))
            except Crash:
                continue
        redistribute(config, count, then)
        for name in INPUTS:
            assert known(config, name, then) == expected(entries[name], then)
        assert not (common(Path(config.data_dir)) / "moving").exists()
    assert step > 4


def test_damaged_positions_of_one_worker_cost_only_those(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is set aside with a word, the rest is divided."""
    config = configured(tmp_path)
    entries = [entry("app", number) for number in range(12)]
    save(config, "app", entries)
    redistribute(config, 1, 2)
    for name in Slots.NAMES:
        for path in slots(config, "app", 1).folder.glob(name):
            path.write_bytes(b"garbage")
    redistribute(config, 2, 1)
    left = [each for each in entries if Share(0, 2).takes(family(each.path))]
    assert known(config, "app", 1) == expected(left, 1)
    assert "damaged" in caplog.text
    assert list((folder(Path(config.data_dir), 1) / "quarantine").iterdir())


def test_all_damaged_positions_are_no_first_start(tmp_path: Path) -> None:
    """When nothing can be read, every file is read from its beginning, also with `read_from: end`."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", 1)])
    for path in slots(config, "app", 0).folder.iterdir():
        path.write_bytes(b"garbage")
    redistribute(config, 1, 2)
    for index in (0, 1):
        found = slots(config, "app", index).load()
        assert found is not None and found["saved"] == 0 and found["files"] == []


def test_positions_that_cannot_be_read_now_stop_the_start(tmp_path: Path) -> None:
    """A disk that does not answer says nothing about positions: nothing is changed, and the start fails."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", 1)])
    (slots(config, "app", 0).folder / "0").mkdir()
    with pytest.raises(OSError, match="positions of app cannot be read"):
        redistribute(config, 1, 2)
    (slots(config, "app", 0).folder / "0").rmdir()
    redistribute(config, 1, 2)
    assert known(config, "app", 2) == expected([entry("app", 1)], 2)


def test_a_damaged_plan_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As damaged positions are: what it alone still held is read again from its beginning, and nothing is skipped."""
    config = configured(tmp_path)
    save(config, "app", [entry("app", number) for number in range(6)])
    with pytest.raises(Crash):
        redistribute(config, 1, 2, Fragile(1, True))  # the first worker has its part, the second nothing
    plan = common(Path(config.data_dir)) / "moving"
    plan.write_bytes(plan.read_bytes()[:-9])
    redistribute(config, 1, 2)
    assert known(config, "app", 2)[0] == expected([entry("app", number) for number in range(6)], 2)[0]
    assert "read again from their beginnings" in caplog.text
    assert not plan.exists()
    assert list((Path(config.data_dir) / "quarantine").iterdir())
