"""Hears of new, renamed and removed files at once, where the system tells; a rescan finds them anyway.

Growth is not watched: a notice for each write costs more than asking for the size now and then.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

MOVES = 10_000
"""Renames that are remembered between two looks."""


class Watcher:
    """One watch for each base folder, recursive where subfolders matter; `wake` is called in watchdog's thread."""

    def __init__(self, wake: Callable[[], None], log: logging.Logger) -> None:
        self.moves: deque[tuple[str, str]] = deque(maxlen=MOVES)
        """From where to where, as they were told; whoever looks takes them."""
        self._wake = wake
        self._log = log
        self._observer: Any = None
        self._watched: set[str] = set()
        self._failed = False
        self._lock = threading.Lock()

    def lacks(self, bases: dict[str, bool]) -> bool:
        """Whether `watch` may have something to do: asked at each scan, and nearly always it has not."""
        return not self._failed and any(base not in self._watched and base != "/" for base in bases)

    def watch(self, bases: dict[str, bool]) -> None:
        """Watch what is there and not watched yet. Walks whole trees: run it in a thread."""
        with self._lock:
            missing = [
                base
                for base in bases
                if base not in self._watched and base != "/" and os.path.isdir(base)  # noqa: PTH112
            ]  # all of "/" would be too much to watch; where Path.is_dir raises, this says no, and is asked again
            if self._failed or not missing:
                return
            try:
                for base in missing:
                    self._schedule(base, bases[base])
            except (OSError, ImportError, RuntimeError) as error:
                self._failed = True
                self._log.warning("the system does not tell of new files (%s): they are found by looking", error)

    def _schedule(self, base: str, deep: bool) -> None:
        from watchdog import events
        from watchdog.observers import Observer

        moves = self.moves

        class Handler(events.FileSystemEventHandler):
            def __init__(self, wake: Callable[[], None]) -> None:
                self.wake = wake

            def on_any_event(self, event: events.FileSystemEvent) -> None:
                if isinstance(event, events.FileMovedEvent):
                    moves.append((os.fsdecode(event.src_path), os.fsdecode(event.dest_path)))
                self.wake()

        if self._observer is None:
            self._observer = Observer()
            self._observer.start()
        kinds = [
            events.FileCreatedEvent,
            events.FileMovedEvent,
            events.FileDeletedEvent,
            events.DirCreatedEvent,
            events.DirMovedEvent,
        ]
        self._observer.schedule(Handler(self._wake), base, recursive=deep, event_filter=kinds)
        self._watched.add(base)

    def stop(self) -> None:
        """Joins the threads: run it in a thread."""
        with self._lock:
            observer, self._observer = self._observer, None
            self._watched.clear()
            if observer is not None:
                observer.stop()
                observer.join()
