"""T12: many files, made and deleted all the time, while the system forgets to tell of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bench.destination import Destination
from tests.faults.bench.following import files_to, open_files, settled
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import Source
from tests.faults.bench.scenario import Bench
from tests.faults.bench.under import prlimit

HANDLES, CAP = 2048, 512
"""What the agent may open, and a quarter of it, which it takes for files."""
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@contextlib.contextmanager
def short_queue(events: int) -> Iterator[None]:
    """Who begins to watch folders in the block hears of so many events at most; set back at its end."""
    before = QUEUE.read_text()
    QUEUE.write_text(str(events))
    try:
        yield
    finally:
        QUEUE.write_text(before)


@pytest.mark.nightly
@pytest.mark.timeout(400)
@requires("root", "prlimit")
def test_t12_churn(bench: Bench) -> None:
    """T12: beside 1,000 files, 50 a second are made, and deleted after a second, for 60 s, half of that time while the output is blocked;
    the kernel keeps 16 events for the agent. What it had open when it was deleted comes wholly, once; it never has more files
    open than a quarter of its handles; and 500 files made while it did not listen are found.
    """
    logs, seconds = bench.folder / "logs", 60
    logs.mkdir()
    stay = {logs / f"stay{n}.log": bench.oracle.source(f"stay{n}.log") for n in range(1000)}
    for path, source in stay.items():
        source.append(path, 2)
    config = files_to(server := Destination(), f"{logs}/*.log", poll_interval="500ms", rotate_wait="1s")
    config["outputs"]["out"]["delivery"]["buffer"] = {"disk": 0}
    config["memory_limit"] = "1MiB"  # a second's worth: more is not read while the output is down
    made, most, unseen, lag = 0, 0, 0, 0.0
    living: deque[tuple[Path, Source]] = deque()
    with short_queue(16), server, bench.agent(config, under=prlimit(nofile=HANDLES)) as agent:
        bench.oracle.wait(agent, server.taken, 60)
        began, up = time.monotonic(), True
        while made < 50 * seconds or living:
            if up != (made // 250 % 2 == 0):  # 5 s up, 5 s down
                up = not up
                server.open() if up else server.close()
            if made < 50 * seconds:
                path = logs / f"churn{made}.log"
                source = bench.oracle.source(path.name)
                source.append(path, 20)
                living.append((path, source))
                made += 1
            if len(living) > 50 or made == 50 * seconds:
                path, source = living.popleft()
                source.append(path, 5)
                path.unlink()
                files = open_files(agent, logs)
                most = max(most, len(files))
                if str(path) not in files:  # nobody can read it any more
                    unseen += 1
                    source.written.clear()
            if made % 50 == 0:
                lag = max(lag, agent.metric("shipper_input_lag_bytes"))
            time.sleep(max(0.0, began + made / 50 - time.monotonic()))  # 50 a second
        if not up:
            server.open()
        agent.signal(signal.SIGSTOP)
        for number, (path, source) in enumerate(stay.items()):
            source.append(path, 1)
            if number % 2:
                bench.oracle.source(f"new{number}.log").append(logs / f"new{number}.log", 2)
        agent.signal(signal.SIGCONT)
        over = time.monotonic()
        bench.oracle.wait(agent, server.taken, 60)
        took = time.monotonic() - over
        agent.wait_for(lambda: not any(map(deleted, open_files(agent, logs))), 30, "to let go of what was deleted")
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("files made and deleted, of these not open then", "3000, <= 1 %", f"{made}, {unseen}")
    bench.figure("lines lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    bench.figure("files open at most", f"<= {CAP}", most)
    bench.figure("bytes not delivered at most, output down", "> 1 MiB", lag)
    bench.figure("s until 500 new files are read after the queue ran over", "<= 10", took)
    verdict.clean(floor=50_000, duplicates=0)
    assert unseen <= made / 100
    assert most <= CAP
    assert lag > 1 << 20  # else nothing was blocked
    assert took <= 10


def deleted(path: str) -> bool:
    return not os.path.lexists(path)
