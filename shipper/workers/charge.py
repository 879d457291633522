"""One process that the supervisor answers for: what is known of it, and when it is started again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from shipper.workers.front import Known
from shipper.workers.place import Place
from shipper.workers.post import Post

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
HEALTHY = 60.0  # seconds after which a life counts as having worked


@dataclass(eq=False)
class Charge:
    """A worker with its place, or the front."""

    place: Place | None
    pid: int | None = None
    post: Post | None = None
    ready: bool = False
    ever_ready: bool = False
    ended: bool = False
    """It ended because it had nothing left to do."""
    status: int = 0
    """What its last life ended with."""
    restarts: int = 0
    due: float | None = None
    """When it is started again."""
    why: str = "starting"
    began: float = 0.0
    heard: float = 0.0
    pause: float = FIRST_PAUSE

    @property
    def name(self) -> str:
        return f"worker {self.place.index}" if self.place is not None else "the API"

    @property
    def drains(self) -> bool:
        return self.place is not None and self.place.drains

    def started(self, pid: int, post: Post, now: float) -> None:
        self.pid, self.post, self.due = pid, post, None
        self.ready = self.ended = False
        self.began = self.heard = now
        self.why = "starting"

    def died(self, now: float, why: str) -> float:
        """To be started again after this pause, which doubles unless the life that ended was a healthy one."""
        pause = FIRST_PAUSE if now - self.began > HEALTHY else self.pause
        self.pause = min(pause * 2, LONGEST_PAUSE)
        self.restarts += 1
        self.due = now + pause
        self.why = why
        return pause

    def say(self, line: str) -> None:
        if self.post is not None:
            self.post.say(line)

    def kill(self) -> None:
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    def known(self) -> Known:
        assert self.place is not None
        why = "" if self.ready or self.ended else self.why
        return Known(self.name, self.place.index, self.pid, self.ready, self.drains, self.restarts, why)

    def __repr__(self) -> str:
        return f"Charge({self.name}, pid {self.pid}, {'ready' if self.ready else self.why}, {self.restarts} restarts)"


def state_line(state: str, charges: Sequence[Charge]) -> str:
    """What the front is told."""
    known = [asdict(each.known()) for each in charges if each.place is not None]
    return "state " + json.dumps({"state": state, "workers": known})


def ending(code: int) -> str:
    """An exit code as `os.waitstatus_to_exitcode` gives it, in words."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
