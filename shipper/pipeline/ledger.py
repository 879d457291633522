"""The two sums over the life of a data folder: what every run before counted, and what this one has so far.

Saved with the positions, every `checkpoint_interval` while something changes and at the stop. After a crash what was in
flight when it was saved last counts as returned: sources that can say it again do.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from shipper.clock import Clock
from shipper.pipeline.observe import OutputFlow, PipelineFlow, log

VERSION = 1
Sums = Counter[str]


class Ledger:
    """Totals by `pipeline NAME` and `output NAME`. Two files are written in turn, each whole and with a checksum."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder / "ledger"
        self.clock = clock
        self.since = clock.now()
        self.sequence = 0
        self.base: dict[str, Sums] = {}
        """What earlier runs counted."""
        self.flows: dict[str, list[PipelineFlow | OutputFlow]] = {}
        """Those that a reload took out as well: what they hold is still on its way."""
        self._saved: bytes = b""
        self._failed = False
        self._writing: asyncio.Task[None] | None = None

    # counting
    def follow(self, kind: str, flow: PipelineFlow | OutputFlow) -> None:
        """Count this one, too; where another of the name was before, it adds up."""
        name = f"{kind} {flow.name}"
        known = self.flows.setdefault(name, [])
        if flow in known:
            return
        known.append(flow)
        if isinstance(flow, OutputFlow):  # what the last run left in the buffer was counted as buffered by it
            base = self.base.setdefault(name, Sums())
            base["found"] -= base.pop("buffered", 0)

    def totals(self) -> dict[str, Sums]:
        """All sums up to now; exact whenever this is called."""
        found = {name: Sums(base) for name, base in self.base.items()}
        for name, flows in self.flows.items():
            for flow in flows:
                found.setdefault(name, Sums()).update(flow.sums())
        return found

    def total(self, kind: str, name: str) -> dict[str, Any]:
        """One's sums for people."""
        sums = self.totals().get(f"{kind} {name}", Sums())
        return {
            "since": self.since,
            **{what: count for what, count in sorted(sums.items()) if count},
            "unaccounted": unaccounted(sums),
        }

    # keeping
    def load(self) -> None:
        """What earlier runs left, with a word when the last one crashed. Raises nothing: a damaged ledger begins anew."""
        found: list[dict[str, Any]] = []
        damaged = 0
        for number in (0, 1):
            try:
                found.append(_parse((self.folder / str(number)).read_bytes()))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                damaged += 1
                log.warning("ledger: %s cannot be read: %s", self.folder / str(number), error)
        if not found:
            if damaged:
                log.warning("ledger: totals begin anew")
            return
        newest = max(found, key=lambda saved: saved["sequence"])
        self.sequence, self.since = newest["sequence"], newest["since"]
        on_the_way = 0
        for name, sums in newest["totals"].items():
            base = self.base[name] = Sums(sums)
            waiting = base.pop("in_flight", 0)
            base["returned"] += waiting
            on_the_way = max(on_the_way, waiting)
        if not newest["stopped"]:
            log.warning(
                "the last run did not come to its end: %d events were on their way at %s; these, and what came in after that, "
                "are sent again where their source can say them again, and may arrive twice",
                on_the_way, newest["saved"],
            )  # fmt: skip

    async def save(self, *, stopped: bool = False) -> None:
        """Durable when it returns, unless the disk refuses: that is said once, and tried again with the next."""
        while self._writing is not None and not self._writing.done():  # for somebody who was cancelled
            await asyncio.wait([self._writing])
        totals = orjson.dumps(self.totals(), option=orjson.OPT_SORT_KEYS)
        if totals == self._saved and not stopped:
            return
        body = orjson.dumps({
            "version": VERSION, "sequence": self.sequence + 1, "since": self.since, "saved": self.clock.now(),
            "stopped": stopped, "totals": orjson.Fragment(totals),
        })  # fmt: skip
        try:
            work = asyncio.to_thread(_write, self.folder, str((self.sequence + 1) % 2), body)
            self._writing = asyncio.get_running_loop().create_task(work)
            await asyncio.shield(self._writing)
        except OSError as error:
            if not self._failed:
                log.error("ledger: cannot be saved: %s", error)
            self._failed = True
            return
        self._failed = False
        self.sequence += 1
        self._saved = totals


def unaccounted(sums: Mapping[str, int]) -> int:
    """What came minus where it went: 0."""
    came = ("received", "made", "handed", "found")
    gone = ("delivered", "returned", "buffered", "in_flight")
    out = sum(count for what, count in sums.items() if what.startswith(("dropped: ", "dead_lettered: ")))
    return _sum(sums, came) - _sum(sums, gone) - out


def _sum(sums: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(sums.get(name, 0) for name in names)


def _parse(data: bytes) -> dict[str, Any]:
    crc, _, body = data.removesuffix(b"\n").partition(b" ")
    if crc != b"%08x" % zlib.crc32(body):
        raise ValueError("torn or changed")
    saved: dict[str, Any] = orjson.loads(body)
    if saved["version"] != VERSION:
        raise ValueError(f"written by another version ({saved['version']})")
    return saved


def _write(folder: Path, name: str, body: bytes) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    new = folder / "new"
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"%08x %b\n" % (zlib.crc32(body), body))
        file.flush()
        os.fsync(fd)
    new.replace(folder / name)
    with suppress(OSError):  # the other slot is as good
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
