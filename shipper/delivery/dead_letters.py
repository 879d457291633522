"""Events that will never be delivered, kept with the reason: one JSON line each, on disk before it counts as safe."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from shipper.batch import Event
from shipper.clock import Clock
from shipper.delivery.futures import settle, settled
from shipper.pipeline.observe import log


@dataclass(frozen=True, slots=True)
class Letter:
    """One event and why it was set aside."""

    event: Event
    reason: str
    status: int | None = None
    attempts: int = 1


class DeadLetters:
    """One file a component below `folder`; what waits is written and fsynced together, off the loop.

    A disk that refuses is back-pressure: the letters wait, and so do those who wrote them.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.waiting: dict[str, list[tuple[bytes, Future[None]]]] = {}
        self.writer: asyncio.Task[None] | None = None

    def put(self, component: str, letters: Sequence[Letter]) -> Future[None]:
        """The future is done when the letters are on disk."""
        if not letters:
            return settled()
        now = self.clock.now()
        body = b"".join([encode_letter(now, component, letter) for letter in letters])
        future: Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(component, []).append((body, future))
        if self.writer is None or self.writer.done():
            self.writer = asyncio.get_running_loop().create_task(self._write())
        return future

    async def _write(self) -> None:
        pause = 0.1
        while self.waiting:
            component = next(iter(self.waiting))
            entries = self.waiting.pop(component)
            try:
                await asyncio.to_thread(append, self.path(component), b"".join([body for body, _ in entries]))
            except OSError as error:
                self.waiting[component] = entries + self.waiting.get(component, [])
                log.error("dead letters of %s cannot be written: %s; trying again in %.0fs", component, error, pause)
                await self.clock.sleep(pause)
                pause = min(pause * 2, 10)
                continue
            except asyncio.CancelledError:
                self.waiting[component] = entries + self.waiting.get(component, [])
                raise
            pause = 0.1
            for _, future in entries:
                settle(future)

    def path(self, component: str) -> Path:
        return self.folder / f"{component}.ndjson"

    async def close(self, grace: float = 5.0) -> None:
        """Wait for what is being written; what cannot be within `grace` seconds fails for those who wait."""
        if self.writer is not None and not self.writer.done():
            await asyncio.wait([self.writer], timeout=grace)
            self.writer.cancel()
            await asyncio.wait([self.writer])
        for entries in self.waiting.values():
            for _, future in entries:
                future.cancel()
        self.waiting.clear()


def append(path: Path, body: bytes) -> None:
    """Append whole lines and fsync them; after a failure the file ends where it ended before.

    What a crash left of a line ends there: it must not spoil the next one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(handle).st_size
        try:
            torn = size and os.pread(handle, 1, size - 1) != b"\n"
            view = memoryview(b"\n" + body if torn else body)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if new:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def encode_letter(time: str, component: str, letter: Letter) -> bytes:
    """One line: `{"time", "component", "reason", "status", "attempts", "event"}`."""
    head = {
        "time": time,
        "component": component,
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
    }
    try:
        return orjson.dumps({**head, "event": letter.event}, default=str) + b"\n"
    except orjson.JSONEncodeError:
        # what orjson cannot say (lone surrogates, integers over 64 bits, deep nesting) the slow way can
        return json.dumps({**head, "event": _shallow(letter.event)}, default=str).encode("ascii") + b"\n"


def _shallow(value: Any, depth: int = 0) -> Any:
    """The value with string keys, and with what is nested over 200 levels as text."""
    if depth > 200:
        return _flat(value)
    if isinstance(value, dict):
        return {str(key): _shallow(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shallow(each, depth + 1) for each in value]
    return value


def _flat(value: Any) -> str:
    """Any nesting as JSON text, without recursion."""
    out: list[str] = []
    stack: list[Any] = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, _Text):
            out.append(each)
        elif isinstance(each, dict):
            parts: list[Any] = [_Text("{")]
            for index, (key, inner) in enumerate(each.items()):
                parts += [_Text(("," if index else "") + json.dumps(str(key)) + ":"), inner]
            stack += reversed([*parts, _Text("}")])
        elif isinstance(each, list | tuple):
            parts = [_Text("[")]
            for index, inner in enumerate(each):
                parts += [_Text("," if index else ""), inner]
            stack += reversed([*parts, _Text("]")])
        else:
            out.append(json.dumps(each, default=str))
    return "".join(out)


class _Text(str):
    """JSON that is finished."""

    __slots__ = ()
