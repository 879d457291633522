"""A folder of logs and an input that reads them, for the tests of the file input."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from shipper.batch import Event
from shipper.files.tailer import Tailer
from shipper.inputs.file import File
from shipper.options import Duration
from shipper.testing import drive
from shipper.testing.drive import Driver


class Place:
    """A folder of logs and the state of the input that reads them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.logs.mkdir()

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.logs / name
        with path.open("ab") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def tail(self, **options: Any) -> AbstractAsyncContextManager[Driver]:
        once = options.pop("once", False)
        room = options.pop("room", 1000)
        include = [str(self.logs / name) for name in options.pop("include", ["*.log*"])]
        settings = {"poll_interval": Duration(0.05), "rotate_wait": Duration(0.3), **options}
        source = File(include=include, **settings)
        source._once = once
        return drive(source, self.root / "state", room=room)

    def tailer(self, tail: Driver) -> Tailer:
        """What follows the files, to see what it knows."""
        assert isinstance(tail.source, File)
        assert tail.source._tailer is not None
        return tail.source._tailer


def messages(events: list[Event]) -> list[str]:
    return [event["message"] for event in events]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
