"""An input for tests of the core: numbered lines, then the end."""

import asyncio
from typing import Any, ClassVar

from shipper import Batch, Input, Send


class Lines(Input):
    """Numbered lines; goes on behind the last commit after a failure."""

    repeatable = True
    count: int = 10
    fail_at: int = -1
    forever: bool = False

    committed: ClassVar[int] = 0  # of the class: it survives close and open, as a position on disk does

    async def open(self) -> None:
        self.position = type(self).committed
        self.failed = False

    def commit(self, position: Any) -> None:
        type(self).committed = position

    async def run(self, send: Send) -> None:
        window = send.window(self.commit)
        while self.position < self.count:
            if self.position == self.fail_at and not self.failed:
                self.failed = True
                raise OSError("the disk went away")
            batch = Batch([{"n": self.position}], attrs={"file": "lines"})
            self.position += 1
            await window.submit(batch, self.position)
        if self.forever:
            await asyncio.Event().wait()
