"""What the agent is started under: each helper gives words that stand before its command line and end in `exec`.

Agent(config, tmp_path, under=[*prlimit(nofile=64), *nice(19)])
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def strace(*inject: str, paths: Sequence[Path] = (), output: Path | str = os.devnull) -> list[str]:
    """`strace("fsync:error=EIO:when=5", "write:error=ENOSPC:when=10+", paths=[buffer])`: the kernel's answers, changed.

    Each is what follows `inject=` in strace(1). With `paths` only calls on exactly those files count (not those below a
    folder). The agent keeps its own process id (`-D`). What was injected is written to `output`. Two traps:
    `when` counts **per thread**, and the calls of one file may come from several; `signal=` works only without
    `--seccomp-bpf` (strace 6.1 sends nothing otherwise), and then every call of the agent is slow. For crash points
    and errors counted over the whole process, below a folder, at full speed: `FaultPoint`.
    """
    names = ",".join(dict.fromkeys(each.partition(":")[0] for each in inject))
    fast = [] if any(":signal=" in each for each in inject) else ["--seccomp-bpf"]
    words = ["strace", "-D", "-f", *fast, "-qq", "-o", str(output), "-e", f"trace={names}", "-e", "signal=none"]
    for each in inject:
        words += ["-e", f"inject={each}"]
    for path in paths:
        words += ["-P", str(path)]
    return [*words, "--"]


def prlimit(**limits: int) -> list[str]:
    """`prlimit(nofile=64)`, with the names of prlimit(1)."""
    return ["prlimit", *(f"--{name}={value}" for name, value in limits.items()), "--"]


def nice(level: int) -> list[str]:
    return ["nice", "-n", str(level)]


def together(*envs: Mapping[str, str]) -> dict[str, str]:
    """The environments of several shims (`WallClock.env`, `FaultPoint.env`), all of them preloaded."""
    merged = {name: value for env in envs for name, value in env.items()}
    return merged | {"LD_PRELOAD": ":".join(env["LD_PRELOAD"] for env in envs if "LD_PRELOAD" in env)}


def user(uid: int) -> list[str]:
    """As another user without any group of root's; the interpreter must be readable for it."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """A control group (v1 or v2) with so many bytes; needs `@requires("cgroup")`. Removed at the end."""
    group = MemoryCgroup(limit)
    try:
        yield group
    finally:
        group.remove()


class MemoryCgroup:
    """`Agent(..., under=group.words())`; `kills` is how often the kernel killed in it."""

    def __init__(self, limit: int) -> None:
        self.v1 = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
        base = Path("/sys/fs/cgroup/memory" if self.v1 else "/sys/fs/cgroup")
        if not self.v1:
            (base / "cgroup.subtree_control").write_text("+memory")
        self.folder = base / f"shipper-faults-{os.getpid()}-{time.monotonic_ns()}"
        self.folder.mkdir()
        (self.folder / ("memory.limit_in_bytes" if self.v1 else "memory.max")).write_text(str(limit))

    def words(self) -> list[str]:
        return ["sh", "-c", f'echo $$ > {shlex.quote(str(self.folder / "cgroup.procs"))} && exec "$@"', "sh"]

    @property
    def kills(self) -> int:
        rows = (self.folder / ("memory.oom_control" if self.v1 else "memory.events")).read_text().splitlines()
        return next((int(row.split()[1]) for row in rows if row.startswith("oom_kill ")), 0)

    def remove(self) -> None:
        for pid in (self.folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        end = time.monotonic() + 10
        while (self.folder / "cgroup.procs").read_text().strip() and time.monotonic() < end:
            time.sleep(0.02)
        self.folder.rmdir()


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but burn a core each."""
    burners = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def network() -> list[str]:
    """In a network of its own, in which there is nothing but loopback: ports that others have are free there."""
    return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def listening(pid: int) -> list[str]:
    """What a process listens on, as `ss` says: `tcp 127.0.0.1:80`."""
    rows = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "ss", "-Hltnup"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    mine = [row.split() for row in rows if f"pid={pid}," in row]
    return [f"{fields[0]} {fields[4]}" for fields in mine]
