"""T01 to T12: files that are rotated, cut, replaced, moved, unreadable or many."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults


def files_to(server: Destination, *include: Path) -> dict[str, Any]:
    """From files to one HTTP destination, in order."""
    delivery = {"batch": {"bytes": "256KiB", "wait": "100ms"}, "concurrency": 1, "retry": {"first": "100ms"}}
    return {
        "data_dir": "./data",
        "inputs": {"app": {"type": "file", "include": [str(path) for path in include], "poll_interval": "100ms"}},
        "outputs": {"out": {"type": "http", "url": server.url, "delivery": delivery}},
    }


def test_t01_three_lines_around_a_rename(bench: Bench) -> None:
    """T01, the test harness's case: a line, a rename, a line in the new file, a last one in the old file after 5 s: 3 == 3."""
    log, old = bench.folder / "app.log", bench.folder / "app.log.0"
    log.write_text("First line\n")
    with Destination() as server, bench.agent(files_to(server, log, old)) as agent:
        agent.wait_for(lambda: len(server.taken) == 1)
        log.rename(old)
        log.write_text("New file line\n")
        time.sleep(5)  # the writer that comes late is the fault
        with old.open("a") as late:
            late.write("Last line\n")
        agent.wait_for(lambda: len(server.taken) >= 3)
        bench.sound(agent)
        assert agent.stop() == 0
    said = [event["message"] for event in server.taken]
    bench.figure("lines around a rename", "3", len(said))
    assert sorted(said) == ["First line", "Last line", "New file line"]  # 3 == 3


@pytest.mark.timeout(180)
def test_t01_two_hundred_renames(bench: Bench) -> None:
    """T01: through 200 renames at 5 a second, old writers going on for 3 s each, 100,000 lines arrive once, in order of each file,
    and the handles of the old files are closed (at most 5 more than at the start).
    """
    log = bench.folder / "app.log"
    with Destination() as server, bench.agent(files_to(server, log)) as agent:
        base = agent.fds()
        with FileWriter(bench.oracle, log, 2400, 100_000, every=0.2, times=200, late=3) as writer:
            writer.finish(90)
        bench.oracle.wait(agent, server.taken)
        bench.sound(agent)
        agent.wait_for(lambda: agent.fds() <= base + 5, 20, "to close what was rotated away")
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("renames", "200", writer.rotations)
    bench.figure("lines lost", "0 of 100,000", len(verdict.missing))
    bench.figure("lines twice", "0", verdict.duplicates)
    assert writer.rotations == 200
    verdict.clean(floor=99_999, duplicates=0)  # W\D = 0, dup 0, order kept
