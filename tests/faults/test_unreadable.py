"""T10 and T11: files that may not be read, that fail, and that are no files."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.destination import Destination
from tests.faults.bench.faultpoint import EVER, FaultPoint
from tests.faults.bench.following import files_to, messages, quiet, settled
from tests.faults.bench.needs import requires
from tests.faults.bench.scenario import Bench
from tests.faults.bench.under import strace

pytestmark = pytest.mark.faults
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
"""Root, but without the right to read what its mode forbids."""


def share_of_a_core(agent: Agent, seconds: float) -> float:
    """How much it computes, watched for so long."""
    used = agent.cpu_seconds()
    time.sleep(seconds)
    return (agent.cpu_seconds() - used) / seconds


def most_said(agent: Agent, *paths: Path) -> int:
    """How often it said of one of these that it cannot be read."""
    return max(sum(f"{path} cannot be read" in row for row in agent.stderr.splitlines()) for path in paths)


@requires("root")
def test_t10_permissions(bench: Bench) -> None:
    """T10: a followed file gets mode 000 while the agent is stopped, a new one is made with it, and a folder with followed files loses
    its x for longer than `rotate_wait`: when they may be read again everything comes within 5 s, nothing twice; meanwhile at most
    one line of log for each in 30 s and 20 % of a core.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    shut = logs / "shut"
    shut.mkdir()
    old, new, inside, grown = (logs / "old.log", logs / "new.log", shut / "inside.log", shut / "grown.log")
    sources = {path: bench.oracle.source(path.name) for path in (old, new, inside, grown)}
    for path in (old, inside, grown):
        sources[path].append(path, 200)
    config = files_to(server := Destination(), f"{logs}/**/*.log", poll_interval="1s", rotate_wait="2s")
    with server, bench.agent(config, under=BOUND) as agent:
        bench.oracle.wait(agent, server.taken)
        assert agent.stop() == 0
        old.chmod(0)
        sources[old].append(old, 100)
        agent.start()
        agent.ready()
        new.touch(0)
        sources[new].append(new, 200)
        shut.chmod(0o600)
        sources[grown].append(grown, 100)
        load = share_of_a_core(agent, 6)
        assert (
            sources[old].written - bench.oracle.reading(server.taken).seen["old.log"].keys()
        )  # else nothing was forbidden
        for path, mode in ((old, 0o600), (new, 0o600), (shut, 0o700)):
            path.chmod(mode)
        sources[inside].append(inside, 100)
        began = time.monotonic()
        bench.oracle.wait(agent, server.taken)
        took = time.monotonic() - began
        said = most_said(agent, old, new, inside, grown)
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("s until all is read that may be read again", "<= 5", took)
    bench.figure("lines of log for a file in 30 s", "<= 1", said)
    bench.figure("share of a core meanwhile", "<= 0.2", load)
    verdict.clean(floor=1000 - 1, duplicates=0)
    assert took <= 5
    assert said <= 1
    assert load <= 0.2


@requires("gcc", "strace")
def test_t10_a_file_system_that_fails(bench: Bench) -> None:
    """T10: where the system tells of no changes (as on NFS), reading and asking about files fails with EIO and ESTALE, 1 to 4 times and
    for 3 s: when it is over everything comes within 5 s, nothing twice and no line in two; at most one line of log for a file in 30 s, and 20 % of a
    core.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    log, point, late = logs / "app.log", FaultPoint(bench.folder, logs), []
    source = bench.oracle.source("app.log")
    source.append(log, 100)
    config = files_to(server := Destination(), f"{logs}/*.log", poll_interval="200ms", rotate_wait="1s")
    deaf = strace("inotify_init1:error=EMFILE", "inotify_init:error=EMFILE")
    with server, bench.agent(config, under=deaf, env=point.env) as agent:
        bench.oracle.wait(agent, server.taken)
        began = time.monotonic()
        rounds = [
            (call, error, n) for call in ("read", "stat") for error in (errno.EIO, errno.ESTALE) for n in (1, 2, 3, 4)
        ]
        for number, (call, error, times) in enumerate(rounds):
            point.fail(error, times=times, calls=[call])
            source.append(log, 50)
            bench.oracle.source(f"new{number}").append(logs / f"new{number}.log", 20)
            agent.wait_for(lambda times=times: len(point.hits()) == times, what="to be failed")
            over = time.monotonic()
            bench.oracle.wait(agent, server.taken)
            late.append(time.monotonic() - over)
        torn = source.mint(1)
        with log.open("ab", buffering=0) as writer:
            writer.write(torn.text[:100])
            agent.wait_for(lambda: agent.metric("shipper_input_lag_bytes") == 100, what="to see half a line")
            point.fail(errno.ESTALE, times=EVER, calls=["read", "stat"])
            load = share_of_a_core(agent, 3)  # that is longer than rotate_wait: the file must not seem to be gone
            hits = len(point.hits())
            point.off()
            writer.write(torn.text[100:])
        torn.written()
        source.append(log, 50)
        over = time.monotonic()
        bench.oracle.wait(agent, server.taken)
        late.append(time.monotonic() - over)
        said, allowed = most_said(agent, *logs.iterdir()), 1 + (time.monotonic() - began) // 30
        assert "the system does not tell of new files" in agent.stderr
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("s until it reads on when the error is over", "<= 5", max(late))
    bench.figure("lines of log for a file", f"<= {allowed:g}", said)
    bench.figure("share of a core while everything fails", "<= 0.2", load)
    verdict.clean(floor=1000, duplicates=0)
    assert hits > 10
    assert max(late) <= 5
    assert said <= allowed
    assert load <= 0.2


def test_t11_a_link_is_switched(bench: Bench) -> None:
    """T11: a link leads to one file, then to another, and the first gets a late line: 3 of 3. A dangling link is read when there is
    something behind it.
    """
    logs = bench.folder / "logs"
    (logs / "real").mkdir(parents=True)
    old, new, link = logs / "real" / "one", logs / "real" / "two", logs / "current.log"
    old.write_text("old target\n")
    new.write_text("new target\n")
    link.symlink_to(old)
    (logs / "dangling.log").symlink_to(logs / "real" / "three")
    with Destination() as server, bench.agent(files_to(server, f"{logs}/*.log")) as agent:
        agent.wait_for(lambda: len(server.taken) == 1)
        (logs / "next").symlink_to(new)
        (logs / "next").rename(link)
        with old.open("a") as late:
            late.write("late in the old target\n")
        agent.wait_for(lambda: len(server.taken) >= 3)
        (logs / "real" / "three").write_text("no longer dangling\n")
        agent.wait_for(lambda: len(server.taken) >= 4)
        quiet(bench, agent, server)
    bench.figure("lines of both targets", "3", sum("target" in text for text in messages(server)))
    assert sorted(messages(server)) == ["late in the old target", "new target", "no longer dangling", "old target"]


@requires("root", "strace")
def test_t11_what_is_no_file(bench: Bench) -> None:
    """T11: a hard link is read once; loops, a FIFO, a device, a socket and a folder that match, and links that leave the folder, are
    there: not one byte of them is sent, the FIFO and the device are never opened, and all other files are read.
    """
    logs, secret = bench.folder / "logs", bench.folder / "secret"
    (logs / "sub").mkdir(parents=True)
    secret.mkdir()
    (secret / "shadow.log").write_text("root:SECRET\n" * 100)
    (logs / "evil.log").symlink_to(secret / "shadow.log")
    (logs / "evil").symlink_to(secret)
    (logs / "twice.log").symlink_to(logs / "evil.log")
    (logs / "loop.log").symlink_to(logs / "loop.log")
    (logs / "sub" / "up").symlink_to(logs)
    (logs / "folder.log").mkdir()
    fifo, device = logs / "fifo.log", logs / "device.log"
    os.mkfifo(fifo)
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # endless zeros
    server_socket = bench.cleanup.enter_context(socket.socket(socket.AF_UNIX))
    server_socket.bind(os.path.relpath(logs / "socket.log"))
    files = [logs / f"{number}.log" for number in range(10)] + [logs / "sub" / "deep.log"]
    for path in files:
        bench.oracle.source(path.name).append(path, 100)
    os.link(files[0], logs / "hard.log")
    opened = bench.folder / "opened"
    under = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(opened), "-e", "trace=openat", "--"]
    with Destination() as server, bench.agent(files_to(server, f"{logs}/**/*.log"), under=under) as agent:
        bench.oracle.wait(agent, server.taken)
        for path in files:
            bench.oracle.source(path.name).append(path, 10)
        bench.oracle.wait(agent, server.taken)
        refused = agent.metric("shipper_refused_files_total", reason="link")
        settled(bench, agent, server)
    verdict = bench.oracle.verdict(server.taken)
    outside = sum("SECRET" in text for text in messages(server))
    calls = opened.read_text()
    bench.figure("lines from outside of the folder", "0", outside)
    bench.figure("times that a FIFO, a device or a socket was opened", "0", sum(map(calls.count, ODD)))
    assert str(files[1]) in calls
    assert [name for name in ODD if name in calls] == []
    assert outside == 0
    assert refused >= 3
    verdict.clean(floor=1000, duplicates=0)  # also of the file with two names


ODD = ("fifo.log", "device.log", "socket.log")
