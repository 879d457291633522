"""The bench itself: kernels, disks and clocks that fail as they are told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.bench.disks import LoopDisk, SmallDisk
from tests.faults.bench.faultpoint import FaultPoint
from tests.faults.bench.needs import requires
from tests.faults.bench.scenario import Bench
from tests.faults.bench.under import memory_cgroup, nice, prlimit, strace
from tests.faults.bench.wallclock import WallClock

pytestmark = pytest.mark.faults


def python(code: str, under: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, timeout=60
    )


@requires("strace")
def test_the_kernel_answers_as_told(bench: Bench) -> None:
    """An injected error reaches the program at the n-th call on that path only; a signal kills it there."""
    one, two = bench.folder / "one", bench.folder / "two"
    code = f"""
import os
for path in ({str(two)!r}, {str(one)!r}):
    for n in range(3):
        with open(path, "w") as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                print(os.path.basename(path), n, error.errno)
"""
    for path in (one, two):
        path.touch()
    assert python(code, strace("fsync:error=EIO:when=2", paths=[one])).stdout == f"one 1 {errno.EIO}\n"
    killed = python("import os; os.rename('a', 'b')", strace("rename:signal=SIGKILL:when=1"))
    assert killed.returncode == -9


POINTS = """
import os, sys, threading
def write(name):
    with open(os.path.join(sys.argv[1], name), "w") as file:
        file.write(name); file.flush(); os.fsync(file.fileno())
def guarded(name):
    try:
        write(name)
    except OSError as error:
        print(name, error.errno)
for name in ("one", "two", "three"):
    thread = threading.Thread(target=guarded, args=(name,))
    thread.start(); thread.join()
os.rename(os.path.join(sys.argv[1], "one"), os.path.join(sys.argv[1], "four"))
"""


@requires("gcc")
def test_a_fault_point_counts_over_all_threads(bench: Bench) -> None:
    """The n-th of the named calls below a folder fails or kills, whoever makes it; others do not count."""
    inside, outside = bench.folder / "in", bench.folder / "out"
    for folder in (inside, outside):
        folder.mkdir()
    point = FaultPoint(bench.folder, inside)

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", POINTS, str(folder)]
        return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **point.env})

    point.kill(at=3, calls=["fsync"])
    assert run(outside).returncode == 0
    assert (run(inside).returncode, point.hits()) == (-9, ["fsync three"])
    point.kill(at=10)  # three files: create, write, fsync; then the rename
    assert (run(inside).returncode, point.hits()) == (-9, ["rename one"])
    point.fail(errno.ENOSPC, at=3, calls=["write"])
    assert (run(inside).stdout, point.hits()) == (f"three {errno.ENOSPC}\n", ["write three"])
    point.off()
    assert (run(inside).returncode, point.hits()) == (0, [])


@requires("prlimit")
def test_it_runs_under_limits(bench: Bench) -> None:
    """The number of file handles and the niceness are those of the process itself."""
    code = "import os, resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], os.nice(0))"
    assert python(code, [*prlimit(nofile=64), *nice(19)]).stdout == "64 19\n"


@requires("cgroup")
def test_memory_ends_where_the_group_says(bench: Bench) -> None:
    """A process that takes more than its control group has is killed by the kernel, and that is counted."""
    with memory_cgroup(64 << 20) as group:
        done = python("x = b'x' * (200 << 20)", group.words())
        assert (done.returncode, group.kills) == (-9, 1)


@requires("mount")
def test_a_small_disk_is_full(bench: Bench) -> None:
    """Writes beyond its size get ENOSPC; room that is given back can be used."""
    with SmallDisk(bench.folder / "small", 1 << 20) as disk:
        ballast = disk.fill()
        with pytest.raises(OSError) as full:
            (disk.folder / "x").write_bytes(b"x" * 8192)
        assert full.value.errno == errno.ENOSPC
        ballast.unlink()
        (disk.folder / "x").write_bytes(b"x" * 8192)
    assert not disk.folder.is_mount()


@requires("loop")
def test_a_power_cut_takes_what_was_not_synced(bench: Bench) -> None:
    """After a cut the synced file is whole and the one that was only written is not; an aborted disk is read-only."""
    with LoopDisk(bench.folder / "disk", 64 << 20) as disk:
        kept, lost = disk.folder / "kept", disk.folder / "lost"
        with kept.open("wb") as file:
            file.write(b"k" * 100_000)
            file.flush()
            os.fsync(file.fileno())
        lost.write_bytes(b"l" * 100_000)
        began = time.monotonic()
        snap = disk.cut("snap")
        bench.figure("seconds to take a snapshot of a disk", "<= 1", time.monotonic() - began)
        with snap:
            assert (snap.folder / "kept").read_bytes() == b"k" * 100_000
            there = snap.folder / "lost"
            assert not there.exists() or there.read_bytes() != lost.read_bytes()
        disk.restore(disk.cut("again"))
        assert kept.read_bytes() == b"k" * 100_000
        with kept.open("ab", buffering=0) as open_one:
            disk.go_read_only()
            with pytest.raises(OSError) as refused:
                open_one.write(b"x")
        assert refused.value.errno == errno.EROFS
    assert not disk.folder.is_mount()


@requires("gcc")
def test_only_the_wall_clock_jumps(bench: Bench) -> None:
    """The offset counts for `time.time` while the process runs; `time.monotonic` is what it was."""
    clock = WallClock(bench.folder)
    clock.jump(-86_400)
    said = python("import time; print(time.time(), time.monotonic())", [], **clock.env).stdout.split()
    assert abs(float(said[0]) + 86_400 - time.time()) < 10
    assert abs(float(said[1]) - time.monotonic()) < 10
    assert Path(clock.env["LD_PRELOAD"]).is_relative_to(bench.folder)
