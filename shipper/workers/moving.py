"""Positions go where their files are read, when the number of workers has changed.

All positions of an input are gathered in a plan, which is on the disk before any of them is touched, then each worker
gets its own; at last the plan goes. Whatever a crash leaves, the next start does it again from the plan: no position is
lost and none is taken twice.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from shipper.component import Input, Scope
from shipper.config.model import Config
from shipper.files.checkpoints import Entry, Slots, put_sealed, sync_folder, unsealed
from shipper.files.claims import claim_name
from shipper.files.families import There, family
from shipper.share import Share
from shipper.workers.folders import common, folder, left

log = logging.getLogger("shipper.workers")
VERSION = 1


@dataclass(slots=True)
class Known:
    """All positions of one input; `saved` is when the last of them were."""

    entries: list[Entry]
    saved: float


class Disk:
    """What is changed on the disk, step by step; a test hands in one that fails."""

    def plan(self, path: Path, body: bytes) -> None:
        put_sealed(path, body)

    def write(self, slots: Slots, entries: list[dict[str, Any]], saved: float) -> None:
        make(slots.folder)
        slots.write(entries, saved)

    def done(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def claim(self, path: Path, index: int) -> None:
        os.symlink(str(index), path)  # noqa: PTH211 (it is no path)


def redistribute(config: Config, old: int, new: int, disk: Disk | None = None) -> None:
    """Give each of `new` workers the positions of the files that it is to read, and the claims to them.

    For every start with more than one worker, and for one worker when there were more; the data folder is locked and
    no worker runs. Raises OSError; nothing is lost then, and the next start goes on.
    """
    disk = disk or Disk()
    data_dir = Path(config.data_dir)
    shared = common(data_dir)
    if new == 1 and not shared.exists():
        return
    make(shared)
    plan = shared / "moving"
    inputs = {name: spec.make() for name, spec in config.inputs.items() if issubclass(spec.cls, Input)}
    workers = sorted({*left(data_dir), *range(new)})
    begun = _planned(plan)
    held = {name: _Held(data_dir, name, workers) for name in {**inputs, **begun}}
    known = {name: found for name, each in held.items() if (found := begun.get(name) or each.known()) is not None}
    shares: dict[str, dict[int, list[Entry]]] = {}
    for name, found in known.items():
        source = inputs.get(name)
        shares[name] = _divided(found.entries, new if source is None or source.divides else 1, _there(source))
    moves = {name for name in shares if not held[name].are(shares[name], new)}
    if begun or moves:
        disk.plan(plan, _plan({name: known[name] for name in {*moves, *begun}}))
        for name in sorted({*moves, *begun}):
            for index in workers:
                entries = [entry.dump() for entry in shares[name].get(index, ())]
                if index < new or held[name].has(index):
                    disk.write(held[name].slots[index], entries, known[name].saved)
        disk.done(plan)
        number = sum(len(known[name].entries) for name in moves)
        log.info("positions of %d files are divided anew: %d workers before, %d now", number, old, new)
    _claims(shared / "claims", shares, new, disk)


def make(path: Path) -> None:
    """A folder, and those above it, that are there after a crash too. Raises OSError."""
    if not path.is_dir():
        make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)


class _Held:
    """What each worker has of one input."""

    def __init__(self, data_dir: Path, name: str, workers: Iterable[int]) -> None:
        self.name = name
        self._aside = 0
        self.slots = {index: self._slots(folder(data_dir, index)) for index in workers}
        self.found = {index: self._load(slots) for index, slots in self.slots.items()}
        self._lost = self._aside > 0

    def _slots(self, where: Path) -> Slots:
        scope = Scope(self.name, quarantine=where / "quarantine")

        def set_aside(file: Path) -> Path:
            self._aside += 1
            return scope.set_aside(file)

        return Slots(where / "state" / f"input-{self.name}" / "positions", set_aside)

    def _load(self, slots: Slots) -> dict[str, Any] | None:
        before = self._aside
        found = slots.load()
        for reason in slots.damaged:
            log.warning("positions of %s are damaged: %s", self.name, reason)
        if len(slots.damaged) > self._aside - before:  # what cannot be read now may be readable later
            raise OSError(f"positions of {self.name} cannot be read: {slots.damaged[0]}")
        return found

    def has(self, index: int) -> bool:
        return self.found[index] is not None

    def are(self, shares: dict[int, list[Entry]], new: int) -> bool:
        """Whether each worker has its own already, and no other has any."""
        return all(
            (found is not None or index >= new)
            and _same(found["files"] if found is not None else [], shares.get(index, []))
            for index, found in self.found.items()
        )

    def known(self) -> Known | None:
        """The positions of all together; None when this input has never run."""
        there = [found for found in self.found.values() if found is not None]
        if not there and not self._lost:
            return None
        if self._lost and not there:
            log.warning("no positions of %s could be read: every file is read again from its beginning", self.name)
        return Known(
            _united(entry for found in there for entry in found["files"]),
            max((each["saved"] for each in there), default=0.0),
        )


def _same(left: list[Entry], right: list[Entry]) -> bool:
    return len(left) == len(right) and {orjson.dumps(each.dump()) for each in left} == {
        orjson.dumps(each.dump()) for each in right
    }


def _united(entries: Iterable[Entry]) -> list[Entry]:
    """Of two entries for one file the one holds that saw the later file there, or more of it."""
    united: list[Entry] = []
    places: dict[tuple[int, int], Entry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.born, entry.gone == 0, entry.offset), reverse=True):
        if entry.key != (0, 0):
            other = places.setdefault(entry.key, entry)
            if other is not entry and other.born == entry.born and other.head == entry.head:
                continue
            if other is not entry:  # its number went to another file
                entry.key, entry.born = (0, 0), 0
        united.append(entry)
    return united


def _there(source: Input | None) -> There | None:
    if source is None:
        return None
    return lambda path: os.path.exists(path) and source.reads(path) != "no"  # noqa: PTH110 (names need not be text)


def _divided(entries: list[Entry], count: int, there: There | None) -> dict[int, list[Entry]]:
    shares: dict[int, list[Entry]] = {}
    workers = [Share(index, count) for index in range(count)]
    for entry in entries:
        key = family(entry.path, there)
        owner = next(share.index for share in workers if share.takes(key))
        shares.setdefault(owner, []).append(entry)
    return shares


def _plan(known: dict[str, Known]) -> bytes:
    inputs = {
        name: {"saved": found.saved, "files": [entry.dump() for entry in found.entries]}
        for name, found in known.items()
    }
    return orjson.dumps({"version": VERSION, "inputs": inputs})


def _planned(path: Path) -> dict[str, Known]:
    """The plan of a start that did not come to its end. One that is damaged is set aside. Raises OSError."""
    try:
        plan = orjson.loads(unsealed(path.read_bytes()))
        if plan["version"] != VERSION:
            raise ValueError(f"written by another version ({plan['version']})")
        return {
            name: Known([Entry.load(entry) for entry in found["files"]], found["saved"])
            for name, found in plan["inputs"].items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        kept = Scope("moving", quarantine=path.parents[1] / "quarantine").set_aside(path)
        log.error(
            "%s: %s; it is kept as %s. Files whose positions it alone held are read again from their beginnings",
            path,
            error,
            kept,
        )
        return {}


def _claims(where: Path, shares: dict[str, dict[int, list[Entry]]], count: int, disk: Disk) -> None:
    """The claims of the last run are forgotten, and made anew."""
    shutil.rmtree(where, ignore_errors=True)
    if count == 1:
        return
    for name, workers in shares.items():
        (where / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for index, entries in workers.items():
            for entry in entries:
                if entry.key != (0, 0):
                    disk.claim(where / name / claim_name(entry.key), index)
