"""Follows files: each busy one gets a bounded turn, quiet ones cost a look now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shipper.batch import Batch
from shipper.component import Scope
from shipper.files.assembling import Assembler, Ready
from shipper.files.census import Census, Following
from shipper.files.checkpoints import Entry, Positions
from shipper.files.copies import COPY_WAIT
from shipper.files.handles import BROKEN, GzipHandle, Handle
from shipper.files.identity import HEAD, Digest
from shipper.files.reading import MARK, Lines
from shipper.files.tail import Changed, Tailed, Unreadable
from shipper.files.watching import Watcher

TURN = 16
"""Chunks that a busy file gets before others have their turn."""
SHORTEST = 0.02
"""Seconds after which a file that has just grown is looked at again; doubled each time that it has not."""

Position = tuple[Entry, int, bytes]
Submit = Callable[[Batch, Position], Awaitable[None]]
Assemble = Callable[[str, Lines], Assembler]
"""The assembler of one file, from its path and its lines."""


def _ends_with(before: bytes, mark: Digest, packed: bool) -> bool:
    """Whether these are the bytes that were there; of a packed file there may be fewer than were read before it was packed."""
    return (packed and len(before) < mark.length) or Digest.of(before[-mark.length :]) == mark


class Tailer:
    """Follows the files of one input from the positions it is given. `assemble` makes what turns lines to batches."""

    def __init__(
        self,
        following: Following,
        scope: Scope,
        positions: Positions,
        assemble: Assemble,
        exact: bool,
        ids: bool = False,
    ) -> None:
        self.following = following
        self.scope = scope
        self.clock = scope.clock
        self.positions = positions
        self.census = Census(following, scope, positions)
        self._assemble = assemble
        self._exact = exact or ids
        self._ids = ids
        self._wake = asyncio.Event()
        self._rescan = asyncio.Event()

    def commit(self, position: Position) -> None:
        """All before it is delivered."""
        self.positions.commit(*position)

    async def run(self, submit: Submit) -> None:
        """Read until cancelled; without `follow`, all that is there now. Called again, it goes on behind what was submitted."""
        for file in self.census.files.values():
            file.assembler, file.busy = None, False
            self.census.warm(file, self.clock.monotonic())
        await self.census.scan()
        if not self.following.follow:
            await self._read(submit, None)
            return
        loop = asyncio.get_running_loop()
        watcher = Watcher(lambda: self._call(loop), self.scope.log)
        self.census.moves = watcher.moves
        scanner = loop.create_task(self._scan(watcher))
        scanner.add_done_callback(lambda _: self._wake.set())
        try:
            await self._read(submit, scanner)
        finally:
            scanner.cancel()
            with suppress(asyncio.CancelledError):
                await scanner
            await asyncio.shield(asyncio.to_thread(watcher.stop))

    def close(self) -> None:
        """Let go of the files; the next `run` begins at what was committed."""
        self.census.keep()

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody reads any more
            loop.call_soon_threadsafe(self._rescan.set)

    async def _scan(self, watcher: Watcher) -> None:
        """Scan every `poll_interval`, and when the watcher hears something, then at most a tenth of the time."""
        pause, bases = 0.0, self.census.discovery.bases()
        while True:
            if watcher.lacks(bases):
                await asyncio.to_thread(watcher.watch, bases)
            rested = self.clock.monotonic() + pause
            timer = self.clock.call_later(pause + self.following.poll_interval, self._rescan.set)
            try:
                await self._rescan.wait()
            finally:
                timer.cancel()
            if (early := rested - self.clock.monotonic()) > 0:
                await self.clock.sleep(early)
            self._rescan.clear()
            began = self.clock.monotonic()
            await self.census.scan()
            self._wake.set()
            took = self.clock.monotonic() - began
            pause = min(max(SHORTEST, 10 * took), self.following.poll_interval)

    async def _read(self, submit: Submit, scanner: asyncio.Task[None] | None) -> None:
        census = self.census
        while True:
            if scanner is not None and scanner.done():
                scanner.result()
            now = self.clock.monotonic()
            more = False
            for file in [file for file in census.hot if file.due <= now]:
                file.busy = True
                try:
                    more |= await self._turn(file, submit)
                finally:
                    file.busy = False
            if more:
                await asyncio.sleep(0)
            elif census.hot:
                await self._sleep(min(file.due for file in census.hot) - self.clock.monotonic())
            elif scanner is None:
                if not census.opening.crowded:
                    return
                await self.clock.sleep(SHORTEST)
                await census.scan()
            else:
                await self._sleep(None)

    async def _sleep(self, seconds: float | None) -> None:
        """Until somebody wakes us, or so many seconds."""
        timer = None if seconds is None else self.clock.call_later(max(seconds, 0), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._wake.clear()

    async def _turn(self, file: Tailed, submit: Submit) -> bool:
        """Read a bounded part of a file; whether there may be more at once."""
        now = self.clock.monotonic()
        if file.entry is None:
            self._undecided(file, now)
            return False
        if file.settled:
            self._rest(file, now)
            return False
        if file.after and self._must_wait(file):
            file.due = now + SHORTEST
            return False
        if file.handle is None and not self.census.reopen(file):
            self._later(file, now)
            return False
        try:
            if file.assembler is None and file.finished():
                file.settled = file.flushed = True
                self._rest(file, now)
                return False
            if file.assembler is None:
                file.assembler = await self._fresh(file)
            for turn in range(TURN):
                data = file.read()
                if not turn and file.verify():  # what was read before a truncation is not its new beginning
                    self.positions.changed()
                if data is None:
                    await asyncio.sleep(0)
                    continue
                if not data:
                    break
                if self._ids:
                    if not await self.positions.named(file.entry):
                        file.due = now + self.following.poll_interval
                        return False
                    file.assembler.name(file.entry.id)
                file.grown, file.pause, file.flushed = now, 0.0, False
                for ready in file.assembler.feed(data):
                    await self._hand(file, ready, submit)
                await asyncio.sleep(0)
            else:
                file.due = file.looked = now
                return True
            if file.entry.head.length < HEAD and file.verify():
                self.positions.changed()
        except Changed:
            await self._changed(file, submit, now)
            return True
        except BROKEN as error:
            self.census.trouble(file.path, error)
            file.settled = True
            if file.assembler is None:  # broken before the position: there is nothing to give out
                self._rest(file, now)
                return False
        except Unreadable as error:
            self._failed(file, error, now)
            return False
        file.looked = now
        await self._at_end(file, submit, now)
        return False

    async def _fresh(self, file: Tailed) -> Assembler:
        """What reads on behind the last batch that was handed on, or delivered; raises Unreadable."""
        handle, entry = file.handle, file.entry
        assert handle is not None and entry is not None
        try:
            if entry.place is None:
                entry.place = (entry.offset, await self._before(handle, entry.offset))
                if entry.mark.length == 0 and entry.offset:
                    self.positions.commit(entry, *entry.place)
                elif not _ends_with(entry.place[1], entry.mark, handle.compressed):
                    raise Changed
            head = b"" if handle.compressed else handle.head(4)
        except OSError as error:
            raise Unreadable from error
        offset, before = entry.place
        reading = self.following.reading
        lines = Lines(reading, self.scope.count, offset=offset, before=before, head=head, exact=self._exact)
        return self._assemble(entry.path, lines)

    def _must_wait(self, file: Tailed) -> bool:
        """Whether what was written under its name before it is not read to its end yet."""
        files = self.census.files
        file.after = [each for each in file.after if files.get(each.key) is each and each.reached < file.since]
        return bool(file.after)

    async def _before(self, handle: Handle, offset: int) -> bytes:
        """The bytes before a position, to know the place again."""
        size = min(MARK, offset)
        if not size:
            return b""
        if handle.compressed:  # all before is decompressed on the way there
            return await asyncio.to_thread(handle.read, offset - size, size)
        return handle.read(offset - size, size)

    async def _hand(self, file: Tailed, ready: Ready, submit: Submit) -> None:
        batch, place = ready
        entry = file.entry
        assert entry is not None
        await submit(batch, (entry, *place))
        entry.place = place

    async def _at_end(self, file: Tailed, submit: Submit, now: float) -> None:
        """Nothing more to read for now: what has waited long enough is given out."""
        assembler, following = file.assembler, self.following
        assert assembler is not None
        over = isinstance(file.handle, GzipHandle) and file.handle.whole
        aside = (file.gone or file.moved) and now - max(file.since, file.grown) >= following.rotate_wait
        if not following.follow or over or file.settled or (aside and not file.flushed):
            for ready in assembler.finish(unfinished=following.follow and not over):
                await self._hand(file, ready, submit)
            if isinstance(file.handle, GzipHandle) and over and file.entry is not None:
                with suppress(OSError):  # then it is unpacked again at the next start
                    file.entry.ends = (file.handle.stat().st_size, file.handle.length)
                    self.positions.changed()
            file.flushed = True
            file.settled = not following.follow or over or file.settled
        else:
            for ready in assembler.overdue():
                await self._hand(file, ready, submit)
        self._rest(file, now)

    def _rest(self, file: Tailed, now: float) -> None:
        """When to look again; a quiet file is looked at by the scan alone."""
        following = self.following
        file.reached = now
        file.pause = min(max(file.pause * 2, SHORTEST), following.poll_interval)
        if not following.follow:
            self.census.hot.pop(file, None)
            return
        if file.gone and file.flushed and file.committed:
            self.census.drop(file)
            return
        waiting = file.gone or (file.moved and not file.flushed)
        deadline = file.assembler.deadline if file.assembler else None
        if file.pause >= following.poll_interval and not waiting and deadline is None:
            self.census.hot.pop(file, None)
            return
        file.due = now + file.pause
        if deadline is not None:
            file.due = min(file.due, max(deadline, now + 0.001))

    def _undecided(self, file: Tailed, now: float) -> None:
        """A new file is not read before it is clear whether it is a copy; the scan finds out."""
        try:
            size = 0 if file.handle is None else file.handle.stat().st_size
        except OSError as error:
            self.census.fail(file, error)
            self._later(file, now)
            return
        if file.gone and not size and now - file.since >= self.following.rotate_wait:
            self.census.drop(file)
        due = now if file.suspected is None else file.suspected + COPY_WAIT
        if size and now >= due:
            self._rescan.set()
        file.pause = min(max(file.pause * 2, SHORTEST), self.following.poll_interval)
        file.due = now + file.pause
        if now < due:
            file.due = min(file.due, due)
        elif file.pause >= self.following.poll_interval and not file.gone:
            self.census.hot.pop(file, None)

    async def _changed(self, file: Tailed, submit: Submit, now: float) -> None:
        """The file was truncated or written anew: its content so far goes on in a copy, or ends here."""
        self.scope.count("truncated_files")
        self.scope.log.info("%s was truncated or written anew: it is read from its beginning", file.path)
        try:
            copied = await self.census.copies.replace(file, now)
        except OSError as error:  # a copy that cannot be read is none
            self.census.trouble(file.path, error)
            copied = None
        if copied is None and file.assembler is not None:
            for ready in file.assembler.finish(unfinished=True):
                await self._hand(file, ready, submit)
        self.census.renew(file, now)
        if copied is not None:  # what is left in it was written before
            file.after, file.since = [copied], now

    def _failed(self, file: Tailed, error: Unreadable, now: float) -> None:
        self.census.fail(file, error.__cause__ or error)
        file.assembler = None
        self._later(file, now)

    def _later(self, file: Tailed, now: float) -> None:
        file.looked = file.reached = now
        file.due = now + self.following.poll_interval
        if not self.following.follow:
            self.census.hot.pop(file, None)
