"""What the crash scenarios put under load: a file and a client, to Elasticsearch, in order, over a buffer on disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.agent import Agent
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import file_and_web
from tests.faults.bench.destination import Destination, flapping
from tests.faults.bench.oracle import Oracle
from tests.faults.bench.writers import FileWriter

WAIT, INTERVAL, SPILL = 0.1, 0.5, 0.2
"""Seconds: how long a batch waits, how often positions are saved, how late an event may be before it goes to disk."""
EVENTS = 500
"""In a request."""
FILE_RATE, HTTP_RATE = 1500, 500
REPEATS = int(2 * (WAIT + INTERVAL) * (FILE_RATE + HTTP_RATE))
"""What one crash may send twice."""


def flow(
    server: Destination, log: Path, port: int, *, disk: str = "64MiB", events: int = EVENTS, **output: str
) -> dict[str, Any]:
    """From the file `log` and from clients at `port`; `output` are more options of the output."""
    delivery = {
        "batch": {"bytes": "256KiB", "events": events, "wait": f"{WAIT}s"},
        "concurrency": 1,
        "retry": {"first": "50ms", "max": "500ms"},
        "buffer": {"disk": disk, "when_full": "block", "spill_after": f"{SPILL}s"},
    }
    return {
        "data_dir": "./data",
        "checkpoint_interval": f"{INTERVAL}s",
        "inputs": file_and_web(log, port),
        "outputs": {
            "es": {
                "type": "elasticsearch",
                "endpoints": [server.url],
                "index": "app",
                **output,
                "delivery": delivery,
            }
        },
    }


class Load:
    """`with Load(oracle, log, port) as load`: a file that grows, and a client that posts."""

    def __init__(self, oracle: Oracle, log: Path, port: int, share: float = 1) -> None:
        self.writer = FileWriter(oracle, log, FILE_RATE * share)
        self.client = HttpClient(oracle, port, rate=HTTP_RATE * share)

    def __enter__(self) -> Load:
        self.writer.start()
        self.client.start()
        return self

    def stop(self) -> None:
        self.writer.stop()
        self.client.stop()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        for each in (self.writer, self.client):
            each.__exit__(kind, error, trace)


def half_down(server: Destination, rng: random.Random) -> contextlib.AbstractContextManager[None]:
    """Down for half of the time and more, at random, and long enough to need the buffer."""
    return flapping(server, rng, up=(0.2, 1.2), down=(0.4, 2.0))


@contextlib.contextmanager
def down(server: Destination) -> Iterator[None]:
    """It refuses connections in the block."""
    server.close()
    try:
        yield
    finally:
        server.open()


def moment(agent: Agent, rng: random.Random, number: int) -> bool:
    """Wait until it is ready and then for a moment of chance, or, every fourth `number`, for its buffer to be in use; whether it is."""
    agent.ready()
    if number % 4 == 3:
        agent.wait_for(lambda: segments(agent), what="to need its buffer", every=0.001)
    else:
        time.sleep(rng.uniform(0.05, 1.5))  # so long it lives
    return bool(segments(agent))


def died(agent: Agent, timeout: float = 30) -> None:
    """Wait for the fault point to kill it."""
    try:
        status = agent.wait(timeout)
    except AssertionError as error:
        raise AssertionError(f"the fault point was not reached: {error}") from None
    assert status == -signal.SIGKILL, f"it ended with {status}; {agent.tail()}"


def freeze(agent: Agent) -> None:
    """Not one instruction more of any thread, as when the power fails: what was acknowledged till now is all there is."""
    agent.signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{agent.pid}/task")
    agent.wait_for(lambda: all(_state(task) in "TtXZ" for task in tasks.iterdir()), what="to stand still", every=0.001)


def _state(task: Path) -> str:
    with contextlib.suppress(OSError):
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"  # the thread has ended


def segments(agent: Agent) -> list[Path]:
    """The files of its buffer, oldest first."""
    return sorted((agent.data_dir / "buffers" / "es").glob("*/*.seg"))


def positions(agent: Agent) -> list[Path]:
    """The slots that hold how far files were delivered, the newest last."""
    folder = agent.data_dir / "state" / "input-app" / "positions"
    return sorted(folder.glob("[01]"), key=lambda path: path.stat().st_mtime_ns)


def saved(agent: Agent) -> int:
    """How far its file was delivered, by the newest slot; 0 when there is none."""
    slots = [json.loads(slot.read_text().partition(" ")[2]) for slot in positions(agent)]
    newest: dict[str, Any] = max(slots, key=lambda slot: slot["sequence"], default={"files": []})
    return max((entry["offset"] for entry in newest["files"]), default=0)


def size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def quarantine(agent: Agent) -> list[str]:
    """Names of what was set aside."""
    folder = agent.data_dir / "quarantine"
    return sorted(os.listdir(folder)) if folder.exists() else []
