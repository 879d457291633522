"""The buffer's disk part against a model, on a disk that loses power and fails (Hypothesis)."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shipper.batch import Piece
from shipper.delivery.store import Store
from tests.delivery.simdisk import SimDisk

FOLDER = Path("/buffer")


class StoreMachine(RuleBasedStateMachine):
    """What was acknowledged and is not done comes back, whole and in order, whatever the disk did."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.disk = SimDisk(seed)
        self.numbers = itertools.count()
        self.acked: dict[bytes, int] = {}  # body -> events; a dict keeps order
        self.done: set[bytes] = set()
        self.tried: set[bytes] = set()  # appends that failed: they may be there, nobody was told
        self.read: dict[bytes, tuple[int, int]] = {}
        self.failed = 0  # events in appends that failed
        self.open()

    def open(self) -> None:
        self.store = Store(FOLDER, 60_000, self.disk.set_aside, said={"type": "x"}, disk=self.disk, segment=4096)
        self.store.open()
        self.read = {}

    @rule(sizes=st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 4)), min_size=1, max_size=4))
    def append(self, sizes: list[tuple[int, int]]) -> None:
        pieces = [Piece(b"%d:" % next(self.numbers) + b"x" * size, count) for size, count in sizes]
        self.tried |= {piece.body for piece in pieces}
        try:
            self.store.append(pieces)
        except OSError:
            self.failed += sum(count for _, count in sizes)
            return
        self.acked.update({piece.body: piece.count for piece in pieces})

    @rule(size=st.integers(1, 5000), fails=st.booleans())
    def read_back(self, size: int, fails: bool) -> None:
        self.disk.fail_read = int(fails)
        try:
            records = self.store.read(size, 100)
        except OSError:
            return
        finally:
            self.disk.fail_read = 0
        for record in records:
            assert record.piece.body in self.tried, "only what was appended comes back"
            assert record.piece.body not in self.read, "and in one life only once"
            self.read[record.piece.body] = (record.first, record.end)

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        waiting = [body for body in self.read if body not in self.done]
        if waiting:
            body = data.draw(st.sampled_from(waiting))
            self.store.mark(*self.read[body])
            self.done.add(body)

    @rule(fails=st.booleans())
    def tidy(self, fails: bool) -> None:
        self.disk.fail_sync += int(fails)
        try:
            self.store.tidy()
        except OSError:
            return

    @rule(sync=st.integers(0, 2), write=st.integers(0, 1))
    def trouble(self, sync: int, write: int) -> None:
        self.disk.fail_sync, self.disk.fail_write = sync, write

    @rule()
    def power_cut(self) -> None:
        self.disk.power_cut()
        self.open()
        self.everything_is_there()

    @rule()
    def restart(self) -> None:
        self.disk.fail_sync = self.disk.fail_write = 0
        self.store.close()
        assert not self.disk.open_files, "every file is closed"
        self.open()
        self.everything_is_there()

    def everything_is_there(self) -> None:
        found: list[bytes] = []
        while records := self.store.read(3000, 50):
            for record in records:
                found.append(record.piece.body)
                self.read[record.piece.body] = (record.first, record.end)
        assert set(found) <= self.tried
        assert len(found) == len(set(found))
        due = [body for body in self.acked if body not in self.done]
        assert [body for body in found if body in set(due)] == due, "all of it, in order"
        lost = self.store.take_lost()
        # an append that failed may be there in parts: nobody can tell whether it was acknowledged
        assert lost is None or lost.events <= self.failed, "what was acknowledged is not damaged"

    @invariant()
    def it_is_bounded(self) -> None:
        if not hasattr(self, "store"):
            return
        left = sum(count for body, count in self.acked.items() if body not in self.done)
        assert self.store.waiting >= left


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
