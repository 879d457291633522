"""T01 to T04: files that are renamed, copied, cut, replaced and packed, while the agent runs and while it does not."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bench.destination import Destination
from tests.faults.bench.following import files_to, logrotate, messages, quiet, settled
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import Oracle, Verdict
from tests.faults.bench.scenario import Bench
from tests.faults.bench.under import strace
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults


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
    said = messages(server)
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


def test_t02_three_lines_around_a_copytruncate(bench: Bench) -> None:
    """T02, the test harness's case: a line, a copy and a cut, a line in the cut file, a last one in the copy after 5 s, both
    files in the patterns: 3 == 3, so the copy is not read again.
    """
    log, copy = bench.folder / "app.log", bench.folder / "app.log.0"
    log.write_text("First line\n")
    with Destination() as server, bench.agent(files_to(server, log, copy)) as agent:
        agent.wait_for(lambda: len(server.taken) == 1)
        shutil.copyfile(log, copy)
        os.truncate(log, 0)
        log.write_text("New file line\n")
        time.sleep(5)  # the writer that comes late is the fault
        with copy.open("a") as late:
            late.write("Last line\n")
        agent.wait_for(lambda: len(server.taken) >= 3)
        quiet(bench, agent, server)
    bench.figure("lines around a copytruncate", "3", len(server.taken))
    assert sorted(messages(server)) == ["First line", "Last line", "New file line"]  # 3 == 3


@requires("logrotate")
def test_t02_logrotate_copies_and_truncates(bench: Bench) -> None:
    """T02: through 10 runs of the real logrotate with `copytruncate`, each at a quiet moment of a writer of 2,000 lines a second,
    all copies in the patterns, no line is lost and none comes twice.
    """
    logs, times = bench.folder / "logs", 10
    logs.mkdir()
    log = logs / "app.log"
    with Destination() as server, bench.agent(files_to(server, f"{logs}/app.log*")) as agent:
        with FileWriter(bench.oracle, log, rate=2000) as writer:
            for turn in range(1, times + 1):
                agent.wait_for(lambda turn=turn: writer.done > 1200 * turn, what="to be written to")
                writer.quietly(lambda: logrotate(bench.folder, log, "copytruncate"))
            writer.stop()
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("copies made by logrotate", str(times), len(list(logs.glob("app.log.*"))))
    bench.figure("lines lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    assert len(list(logs.glob("app.log.*"))) == times
    verdict.clean(floor=1200 * times, duplicates=0)  # loss 0, dup 0, order kept


@requires("logrotate", "strace")
def test_t02_a_copy_on_a_slow_disk(bench: Bench) -> None:
    """T02: logrotate syncs its copy before it truncates the original: while a disk takes 1.5 s for 30 MB the finished copy stands
    beside the whole original, and is no new file all the same: no line is lost and none comes twice.
    """
    logs, slow = bench.folder / "logs", strace("fsync:delay_enter=1500000:when=1")
    logs.mkdir()
    log = logs / "app.log"
    source = bench.oracle.source("app.log", 3000)
    source.append(log, 10_000)
    with Destination() as server, bench.agent(files_to(server, f"{logs}/app.log*")) as agent:
        bench.oracle.wait(agent, server.taken)
        began = time.monotonic()
        logrotate(bench.folder, log, "copytruncate", under=slow)
        took = time.monotonic() - began
        source.append(log, 100)
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lines lost, twice (copy synced for 1.5 s)", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    assert took > 1.5
    assert [path.name for path in logs.glob("app.log.*")] == ["app.log.1"]
    verdict.clean(floor=10_000, duplicates=0)


def test_t02_a_writer_that_leaves_a_hole(bench: Bench) -> None:
    """T02: a writer that does not append goes on at its old place behind each of 20 truncations, and leaves a hole: every line
    comes once and not one NUL byte.
    """
    log, times = bench.folder / "app.log", 20
    source = bench.oracle.source("app.log")
    with Destination() as server, bench.agent(files_to(server, log)) as agent, log.open("wb", buffering=0) as stale:
        for _ in range(times):
            chunk = source.mint(100)
            stale.write(chunk.text)
            chunk.written()
            bench.oracle.wait(agent, server.taken)
            os.truncate(log, 0)  # what is there was delivered: nothing may be lost
        hole = stale.tell()
        chunk = source.mint(100)
        stale.write(chunk.text)
        chunk.written()
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    zeros = sum("\0" in text for text in messages(server))
    bench.figure("bytes of the last hole", "> 500,000", hole)
    bench.figure("lines with NUL bytes", "0", zeros)
    assert hole > 500_000
    assert log.stat().st_blocks * 512 < hole  # else it was no hole
    assert zeros == 0
    verdict.clean(floor=2000, duplicates=0)


def test_t03_truncated_and_grown_beyond_its_size(bench: Bench) -> None:
    """T03: twenty times the file is truncated and gets more than it had before the agent looks again: each line of the new
    content comes once, and no part of a line. That the agent does not look meanwhile is made sure by stopping it.
    """
    log, times = bench.folder / "app.log", 20
    source = bench.oracle.source("app.log")
    source.append(log, 50)
    with Destination() as server, bench.agent(files_to(server, log)) as agent:
        for turn in range(1, times + 1):
            bench.oracle.wait(agent, server.taken)
            before = log.stat().st_size
            agent.signal(signal.SIGSTOP)
            os.truncate(log, 0)
            source.append(log, 50 + 5 * turn)
            agent.signal(signal.SIGCONT)
            assert log.stat().st_size > before  # the size says nothing
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("truncated and grown beyond the old size", "20 of 20 read", times)
    bench.figure(
        "lines lost, twice, in parts", "0, 0, 0", f"{len(verdict.missing)}, {verdict.duplicates}, {parts(verdict)}"
    )
    verdict.clean(floor=2000, duplicates=0)


def parts(verdict: Verdict) -> int:
    """Lines that nobody wrote so."""
    return len(verdict.spurious) + len(verdict.corrupted)


Change = Callable[[Oracle, Path], None]


def renamed(oracle: Oracle, log: Path) -> None:
    oracle.source("app.log").append(log, 200)
    log.rename(log.with_name("app.log.1"))
    oracle.source("new").append(log, 300)


def renamed_twice(oracle: Oracle, log: Path) -> None:
    oracle.source("app.log").append(log, 200)
    log.rename(log.with_name("app.log.2"))
    oracle.source("between").append(log.with_name("app.log.1"), 300)
    oracle.source("new").append(log, 300)


def truncated_to_less(oracle: Oracle, log: Path) -> None:
    os.truncate(log, 0)
    oracle.source("app.log").append(log, 150)


def truncated_to_more(oracle: Oracle, log: Path) -> None:
    os.truncate(log, 0)
    oracle.source("app.log").append(log, 900)


def made_anew(oracle: Oracle, log: Path) -> None:
    log.unlink()
    oracle.source("new").append(log, 450)


def packed(oracle: Oracle, log: Path) -> None:
    oracle.source("app.log").append(log, 200)
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    oracle.source("new").append(log, 300)


def copied(oracle: Oracle, log: Path) -> None:
    oracle.source("app.log").append(log, 200)
    shutil.copyfile(log, log.with_name("app.log.1"))
    os.truncate(log, 0)
    oracle.source("app.log").append(log, 300)


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"], ids=["rotated found too", "file alone"])
@pytest.mark.parametrize(
    "change", [renamed, renamed_twice, truncated_to_less, truncated_to_more, made_anew, packed, copied]
)
def test_t04_changed_while_stopped(bench: Bench, change: Change, pattern: str) -> None:
    """T04: 500 lines are delivered, the agent is stopped, the file changes: afterwards whatever exists and was not delivered
    comes, once, and what was delivered does not come again.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    log = logs / "app.log"
    bench.oracle.source("app.log").append(log, 500)
    with Destination() as server:
        with bench.agent(files_to(server, f"{logs}/{pattern}")) as agent:
            bench.oracle.wait(agent, server.taken)
            assert agent.stop() == 0
            change(bench.oracle, log)
            if change is renamed_twice and pattern == "app.log":
                bench.oracle.source("between").written.clear()  # no pattern ever found it
            agent.start()
            agent.ready()
            settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lines lost, twice", "0, 0", f"{len(verdict.missing)}, {verdict.duplicates}")
    verdict.clean(floor=600, duplicates=0)
