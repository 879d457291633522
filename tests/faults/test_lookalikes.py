"""T05 and T06: files that are taken for others: recycled inodes, equal beginnings, next to no content."""

from __future__ import annotations

import shutil
import time
from collections import Counter

import pytest

from tests.faults.bench.destination import Destination
from tests.faults.bench.disks import LoopDisk
from tests.faults.bench.following import files_to, messages, open_files, quiet, recycled
from tests.faults.bench.lateness import timed
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import line
from tests.faults.bench.scenario import Bench

pytestmark = pytest.mark.faults
OLD = 300  # lines
NEW = {"shorter": 100, "longer": 500, "equal first line": OLD}
HEAD = 7  # lines of 300 bytes: 2 KiB


def lines(name: str, count: int, head: str = "", equal: int = 0) -> list[str]:
    """Lines of a file, the first few those of another."""
    return [line(head if n < equal else name, n, 300) for n in range(count)]


def text(said: list[str]) -> bytes:
    return "".join(f"{each}\n" for each in said).encode()


@requires("root", "loop")
@pytest.mark.parametrize("stopped", [False, True], ids=["up", "down"])
def test_t05_recycled_inodes(bench: Bench, stopped: bool) -> None:
    """T05: delivered files are deleted, and ext4 gives their inodes to new ones that are shorter, longer, or as long with the same
    first line, under the old name or another, while the agent runs or does not: all new lines come, once, in 12 of 12
    combinations (6 here).
    """
    pairs = [(new, name) for new in NEW for name in ("same", "other")]
    disk = bench.cleanup.enter_context(LoopDisk(bench.folder / "disk"))
    said: list[str] = []
    inodes, reused = {}, 0
    for number in range(len(pairs)):
        old = lines(f"old{number}", OLD)
        path = disk.folder / f"a{number}.log"
        path.write_bytes(text(old))
        inodes[number] = path.stat().st_ino
        said += old
    config = files_to(server := Destination(), f"{disk.folder}/*.log", rotate_wait="500ms")
    with server, bench.agent(config) as agent:
        agent.wait_for(lambda: len(server.taken) >= len(said))
        if stopped:
            assert agent.stop() == 0
        for number in range(len(pairs)):
            (disk.folder / f"a{number}.log").unlink()
        if not stopped:
            agent.wait_for(lambda: not open_files(agent, disk.folder), what="to let go of the deleted files")
        for number, (new, name) in enumerate(pairs):
            found = lines(f"new{number}", NEW[new], f"old{number}", equal=int(new == "equal first line"))
            path = disk.folder / (f"a{number}.log" if name == "same" else f"b{number}.log")
            reused += recycled(path, inodes[number], text(found))
            said += found
        if stopped:
            agent.start()
            agent.ready()
        agent.wait_for(lambda: len(server.taken) >= len(said), what="to deliver the new files")
        quiet(bench, agent, server)
    got = Counter(messages(server))
    right = sum(
        all(got[each] == 1 for each in lines(f"new{number}", NEW[new])[1:]) for number, (new, _) in enumerate(pairs)
    )
    bench.figure("inodes given out again", "6 of 6", reused)
    bench.figure("combinations without loss and duplicates", "6 of 6 (12 with both)", right)
    assert reused == len(pairs)
    assert got == Counter(said)  # loss 0, dup 0
    assert right == len(pairs)


def test_t06_twin_headers(bench: Bench) -> None:
    """T06: 50 files begin with the same 2 KiB, half of them there at the start and half of them new, and grow over a restart:
    each line comes once a file. A copy of a file that stays is a file of its own.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    said: list[str] = []

    def write(number: int, first: int, count: int) -> None:
        found = [line("head" if n < HEAD else f"file{number}", n, 300) for n in range(first, first + count)]
        with (logs / f"{number}.log").open("ab") as file:
            file.write(text(found))
        said.extend(found)

    for number in range(25):
        write(number, 0, HEAD + 10)
    with Destination() as server, bench.agent(files_to(server, f"{logs}/*.log")) as agent:
        agent.wait_for(lambda: len(server.taken) >= len(said))
        for number in range(25, 50):
            write(number, 0, HEAD + 10)
        shutil.copyfile(logs / "0.log", logs / "copy.log")
        said += lines("file0", HEAD + 10, "head", equal=HEAD)
        agent.wait_for(lambda: len(server.taken) >= len(said))
        for restart in range(2):
            for number in range(50):
                write(number, HEAD + 10 + 10 * restart, 10)
            if not restart:
                assert agent.stop() == 0
                agent.start()
                agent.ready()
            agent.wait_for(lambda: len(server.taken) >= len(said))
        quiet(bench, agent, server)
    got, due = Counter(messages(server)), Counter(said)
    bench.figure("lines lost, twice", "0, 0", f"{(due - got).total()}, {(got - due).total()}")
    assert got == due
    assert got.total() > 1000


def test_t06_tiny_and_empty_files(bench: Bench) -> None:
    """T06: 50 files of the same 2 bytes and 20 empty ones that get 2 bytes later: each is one line, and whichever is written while
    the agent runs (as it is by default: `poll_interval` 1 s) is out within 2 s. Also over a restart nothing comes twice.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    late: list[float] = []
    for number in range(25):
        (logs / f"{number}.log").write_bytes(b"x\n")
    for number in range(20):
        (logs / f"empty{number}.log").touch()
    config = files_to(server := Destination(keep=timed), f"{logs}/*.log", poll_interval="1s")
    with server, bench.agent(config) as agent:
        agent.wait_for(lambda: len(server.taken) == 25)
        fresh = [*range(25, 50), *(f"empty{number}" for number in range(20))]
        began = {}
        for each in fresh:  # at moments that have nothing to do with its looks
            path = logs / f"{each}.log"
            path.write_bytes(b"x\n")
            began[str(path)] = time.monotonic()
            time.sleep(bench.rng.uniform(0, 0.1))
        agent.wait_for(lambda: len(server.taken) >= 70)
        assert agent.stop() == 0
        agent.start()
        agent.ready()
        quiet(bench, agent, server)
    late = [event["at"] - began[event["file"]] for event in server.taken if event["file"] in began]
    bench.figure("files of 2 bytes, each one line", "70", len(server.taken))
    bench.figure("s until the line of a tiny file is out, at most", "<= 2", max(late))
    assert Counter(event["file"] for event in server.taken) == Counter(map(str, logs.iterdir()))
    assert messages(server) == ["x"] * 70
    assert len(late) == 45
    assert max(late) <= 2
