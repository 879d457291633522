"""What was said, what was promised, what arrived: unique ids whose text follows from the id."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

Event = dict[str, Any]
SIZE = 300  # bytes of a line, without its newline


@lru_cache(maxsize=4096)
def line(source: str, number: int, size: int) -> str:
    """The one text that this id can have: `source number hex...`, `size` bytes of ASCII (or as many as the id needs)."""
    head = f"{source} {number} "
    noise = hashlib.blake2b(head.encode(), digest_size=32).hexdigest()
    return (head + noise * (size // 64 + 1))[: max(size, len(head) + 16)]


@dataclass(frozen=True)
class Chunk:
    """Consecutive ids of one source, minted and not yet promised to anybody."""

    source: Source
    first: int
    count: int

    @property
    def lines(self) -> list[str]:
        name, size = self.source.name, self.source.size
        return [line(name, n, size) for n in range(self.first, self.first + self.count)]

    @property
    def text(self) -> bytes:
        """The lines as a file has them, each with its newline."""
        return "".join(f"{each}\n" for each in self.lines).encode()

    @property
    def events(self) -> list[Event]:
        """The lines as a client posts them."""
        return [{"message": each} for each in self.lines]

    def written(self) -> None:
        """W: the write of these lines has returned, newline included; the agent owes them."""
        self.source.written.update(range(self.first, self.first + self.count))

    def acked(self) -> None:
        """K: the agent answered 200 for these; it owes them."""
        self.source.acked.update(range(self.first, self.first + self.count))


@dataclass(eq=False)
class Source:
    """One stream whose order counts: a file, a client. Used by one thread at a time."""

    name: str
    size: int = SIZE
    minted: int = 0
    written: set[int] = field(default_factory=set)
    acked: set[int] = field(default_factory=set)

    def mint(self, count: int) -> Chunk:
        chunk = Chunk(self, self.minted, count)
        self.minted += count
        return chunk

    def append(self, path: Path, count: int) -> Chunk:
        """Append so many new lines to a file, at once; they count as written."""
        chunk = self.mint(count)
        with path.open("ab", buffering=0) as file:
            data = chunk.text
            assert file.write(data) == len(data)
        chunk.written()
        return chunk


@dataclass(frozen=True)
class Verdict:
    """What became of everything, as one destination saw it. Lists of ids are samples, `count` says how many."""

    delivered: int
    missing: list[str]
    spurious: list[str]
    corrupted: list[str]
    duplicates: int
    disordered: list[str]

    def clean(self, floor: int = 1000, duplicates: int | None = 0, ordered: bool = True) -> None:
        """Loss 0, spurious 0, corrupted 0, at most so many duplicates (None: any number), order kept.

        The run is void unless more than `floor` ids arrived.
        """
        assert not self.missing, f"{len(self.missing)} lost, such as {self.missing[:5]}; {self}"
        assert not self.spurious, f"{len(self.spurious)} that nobody sent, such as {self.spurious[:3]}"
        assert not self.corrupted, f"{len(self.corrupted)} changed on the way, such as {self.corrupted[:3]}"
        assert self.delivered > floor, f"void: only {self.delivered} arrived, expected more than {floor}"
        assert duplicates is None or self.duplicates <= duplicates, f"{self.duplicates} > {duplicates} twice; {self}"
        assert not ordered or not self.disordered, f"{len(self.disordered)} out of order: {self.disordered[:5]}"

    def __str__(self) -> str:
        return (
            f"delivered {self.delivered}, missing {len(self.missing)}, duplicates {self.duplicates}, "
            f"spurious {len(self.spurious)}, corrupted {len(self.corrupted)}, disordered {len(self.disordered)}"
        )


class Oracle:
    """Mints ids, and judges what a destination took.

        app = oracle.source("app.log")
        app.append(path, 100)                       # W: written ids
        oracle.wait(agent, server.taken)            # until all that is owed is there
        oracle.verdict(server.taken).clean()

    `taken` is a list of events that only grows, or any sequence of them; each is read once, wherever it is asked for.
    """

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self._readings: dict[int, Reading] = {}
        self._lock = threading.Lock()

    def source(self, name: str, size: int = SIZE) -> Source:
        """The source of this name (no blanks in it), made when it is asked for first."""
        assert " " not in name, "the name is a word of each line"
        with self._lock:
            return self.sources.setdefault(name, Source(name, size))

    def reading(self, taken: Sequence[Event]) -> Reading:
        """What is known of this list of events, up to its present end."""
        found = self._readings.get(id(taken))
        if found is None:
            found = self._readings[id(taken)] = Reading(self, taken)
        found.update()
        return found

    def owed(self, taken: Sequence[Event], only: Iterable[Source] | None = None) -> int:
        """How many ids written or acked have not arrived there."""
        seen = self.reading(taken).seen
        return sum(
            1 for source in self._all(only) for n in source.written | source.acked if n not in seen.get(source.name, ())
        )

    def wait(
        self, agent: Any, taken: Sequence[Event], timeout: float = 30, only: Iterable[Source] | None = None
    ) -> None:
        """Until nothing is owed; fails with what is missing."""
        sources = list(self._all(only))
        try:
            agent.wait_for(lambda: not self.owed(taken, sources), timeout, "to deliver", every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{self.verdict(taken, sources)}; {error}") from None

    def verdict(self, taken: Sequence[Event], only: Iterable[Source] | None = None) -> Verdict:
        """The judgement over all sources, or `only` over what is owed of some."""
        reading = self.reading(taken)
        missing = [
            f"{source.name} {n}"
            for source in self._all(only)
            for n in sorted((source.written | source.acked) - reading.seen.get(source.name, Counter()).keys())
        ]
        return Verdict(
            delivered=sum(map(len, reading.seen.values())),
            missing=missing,
            spurious=list(reading.spurious),
            corrupted=list(reading.corrupted),
            duplicates=sum(seen.total() - len(seen) for seen in reading.seen.values()),
            disordered=list(reading.disordered),
        )

    def _all(self, only: Iterable[Source] | None) -> Iterable[Source]:
        return list(self.sources.values()) if only is None else only


class Reading:
    """One destination's events, sorted out as they come."""

    def __init__(self, oracle: Oracle, taken: Sequence[Event]) -> None:
        self.oracle = oracle
        self.taken = taken  # held, so that its identity stays its own
        self.read = 0
        self.seen: dict[str, Counter[int]] = {}
        self.highest: dict[str, int] = {}
        self.spurious: list[str] = []
        self.corrupted: list[str] = []
        self.disordered: list[str] = []

    def update(self) -> None:
        end = len(self.taken)
        for event in self.taken[self.read : end]:
            self._one(str(event.get("message")))
        self.read = end

    def _one(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        digits = rest.partition(" ")[0]
        source = self.oracle.sources.get(name)
        if source is None or not digits.isdecimal() or int(digits) >= source.minted:
            self.spurious.append(text[:100])
            return
        number = int(digits)
        if text != line(name, number, source.size):
            self.corrupted.append(text[:400])
            return
        seen = self.seen.setdefault(name, Counter())
        seen[number] += 1
        if seen[number] == 1:
            if number < self.highest.get(name, -1):
                self.disordered.append(f"{name} {number} after {self.highest[name]}")
            self.highest[name] = max(number, self.highest.get(name, -1))
