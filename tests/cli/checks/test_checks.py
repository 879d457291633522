"""The checks of `shipper doctor` one by one: the machine, folders, files, ports, names."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shipper.cli.checks import folder, machine
from shipper.cli.checks.finding import Finding, thread, within
from shipper.cli.checks.listening import listening
from shipper.cli.checks.logins import refused
from shipper.cli.checks.reaching import reach
from shipper.cli.checks.reading import inotify, matched
from shipper.clock import Clock
from shipper.codecs.ndjson import Ndjson
from shipper.config.load import load
from shipper.config.model import Config
from shipper.inputs.file import File
from shipper.net.listen import HostPort, Listen
from shipper.options import Size, Url
from shipper.outputs.blackhole import Blackhole
from shipper.outputs.http import Http
from shipper.policy import BufferPolicy, Delivery
from tests.cli.peers import peer, talking
from tests.e2e.agent import environment

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what another user may")


class At(Clock):
    def __init__(self, now: float) -> None:
        self.now_is = now

    def time(self) -> float:
        return self.now_is


@contextmanager
def nobody() -> Iterator[None]:
    "x".encode("idna")  # what Python imports late it may not be able to read as this user
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others can reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def levels(found: list[Finding]) -> list[str]:
    return [each.level for each in found]


# the machine
def test_the_clock() -> None:
    """1970, the year of a battery that is flat, is a problem; now is none."""
    assert levels(machine.clock(At(0))) == ["problem"]
    assert levels(machine.clock(At(4e9 + 2e8))) == ["problem"]
    assert levels(machine.clock(Clock())) == ["ok"]


def test_open_files() -> None:
    """A limit below what may be used is warned of, with the limit to set."""
    assert levels(machine.open_files(100, 100, 1024)) == ["ok"]
    (found,) = machine.open_files(5000, 1000, 1024)
    assert found.level == "warning" and "LimitNOFILE=6064" in found.fix


def config(place: Path, disk: int = 0) -> Config:
    file = place / "shipper.yaml"
    file.write_text("data_dir: ./data\ninputs: {i: {type: stdin}}\noutputs: {o: {type: blackhole}}\n")
    loaded = load([file])
    loaded.outputs["o"].delivery = Delivery(buffer=BufferPolicy(disk=Size(disk)))
    return loaded


def room(free: int, inodes: int = 10**6, all_inodes: int = 10**6) -> Any:
    real = os.statvfs("/")
    return os.statvfs_result((4096, 4096, 10**9, free // 4096, free // 4096, all_inodes, inodes, inodes, *real[8:10]))


def test_workers_and_cores(tmp_path: Path) -> None:
    """More processes than usable cores are a warning; one needs no word."""
    file = tmp_path / "shipper.yaml"
    text = "workers: {}\ninputs: {{in: {{type: stdin}}}}\noutputs: {{out: {{type: blackhole}}}}\n"
    for workers, levels in ((1, []), (2, ["ok"]), (3, ["warning"])):
        file.write_text(text.format(workers))
        assert [each.level for each in machine.cores(load([file]), usable=2)] == levels


def test_the_disk(tmp_path: Path) -> None:
    """Buffers that may take more than is free are a warning; hardly any room or no inodes a problem."""
    made = config(tmp_path, disk=2**30)
    assert levels(machine.disk(made, room(2**31))) == ["ok"]
    (found,) = machine.disk(made, room(2**29))
    assert (found.level, "512.0 MiB free, the buffers may take 1.0 GiB more" in found.found) == ("warning", True)
    assert levels(machine.disk(made, room(2**20))) == ["problem"]
    assert levels(machine.disk(made, room(2**31, inodes=10))) == ["problem"]
    assert levels(machine.disk(made, room(2**31, inodes=0, all_inodes=0))) == ["ok"], "btrfs has no number of inodes"


# folders
def test_the_data_folder(place: Path) -> None:
    """Missing is fine, 0700 is fine; what others may see is a warning, what they may change a problem."""
    data = place / "data"
    assert levels(folder.data_dir(data)) == ["ok"]
    data.mkdir(mode=0o700)
    assert levels(folder.data_dir(data)) == ["ok"]
    (data / "positions").write_text("x")
    assert levels(folder.data_dir(data)) == ["ok"], "the folder above is closed"
    for mode, expected in (
        (0o755, ["warning", "warning"]),
        (0o777, ["problem", "warning"]),
        (0o770, ["problem", "warning"]),
    ):
        data.chmod(mode)
        found = folder.data_dir(data)
        assert levels(found) == expected
        assert found[0].fix == f"chmod 700 {data}"
    data.chmod(0o700)
    assert levels(folder.data_dir(data, me=12345)) == ["warning"], "asked as somebody else"
    file = place / "file"
    file.write_text("")
    assert "is no folder" in folder.data_dir(file)[0].found


def test_it_keeps_no_agent_from_starting(place: Path) -> None:
    """However often doctor looks who has the data folder, the lock is there for who starts meanwhile."""
    data = place / "data"
    data.mkdir(mode=0o700)
    (data / "lock").write_text("1\n")
    look = "import pathlib, sys; from shipper.cli.checks.folder import data_dir as look; here = pathlib.Path(sys.argv[1])\n"
    look += "print(look(here)[0].level, flush=True)\nwhile True: look(here)"
    argv = [sys.executable, "-c", look, str(data)]
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE) as doctor:
        assert doctor.stdout is not None
        try:
            assert doctor.stdout.readline() == b"ok\n"
            with (data / "lock").open() as lock:
                for _ in range(300_000):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.flock(lock, fcntl.LOCK_UN)
            assert doctor.poll() is None
        finally:
            doctor.kill()


@needs_root
def test_a_data_folder_of_somebody_else(place: Path) -> None:
    """A folder, or a file in it, that belongs to another user is a problem for the one who runs."""
    data = place / "data"
    data.mkdir(mode=0o700)
    with nobody():
        (found,) = folder.data_dir(data)
        assert found.level == "problem" and f"cannot be written to by uid {NOBODY}" in found.found
        (missing,) = folder.data_dir(place / "other" / "data")
        assert missing.level == "problem" and f"{place} cannot be written to" in missing.found
    (data / "left").write_text("by root")
    os.chown(data, NOBODY, NOBODY)
    with nobody():
        (found,) = folder.data_dir(data)
    assert found.level == "problem" and f"chown -R {NOBODY} {data}" in found.fix


# files
def looked(place: Path, *include: str) -> list[Finding]:
    found = matched("app", File(include=[str(place / each) for each in include]), place / "data", Clock())
    assert found is not None
    return found.findings


def test_files_that_match(place: Path) -> None:
    """Counted when they can be read; none, or no folder, is a warning; pipes are not opened; other inputs have none."""
    assert levels(looked(place, "*.log")) == ["warning"]
    assert "no such folder yet" in looked(place, "missing/*.log")[0].found
    (place / "a.log").write_text("x")
    os.mkfifo(place / "pipe.log")
    (place / "dangling.log").symlink_to(place / "nothing")
    (found,) = looked(place, "*.log")
    assert (found.level, found.found) == ("ok", "1 files match and can be read")
    assert matched("out", Blackhole(), place, Clock()) is None  # type: ignore[arg-type]


@needs_root
def test_files_that_cannot_be_read(place: Path) -> None:
    """Each file and folder that is closed to us is named, with the right that is missing."""
    for name in ("open.log", "closed.log"):
        (place / name).write_text("x")
    (place / "closed.log").chmod(0o600)
    (place / "dir").mkdir(mode=0o700)
    with nobody():
        found = looked(place, "**/*.log")
    problems = [each for each in found if each.level == "problem"]
    assert {each.found for each in problems} == {
        f"{place}/closed.log cannot be read: permission denied",
        f"{place}/dir cannot be searched: permission denied",
    }
    assert any(f"u:{NOBODY}:rx {place}/dir" in each.fix for each in problems)


def test_inotify(place: Path) -> None:
    """Watches and instances against their limits, with the setting that helps."""
    limits = place / "limits"
    limits.mkdir()
    for name in ("watches", "instances"):
        (limits / f"max_user_{name}").write_text("5\n")
    assert levels(inotify([{str(place): True}], limits)) == ["ok"]
    for name in range(10):
        (place / str(name)).mkdir()
    (found,) = inotify([{str(place): True}], limits)
    assert found.level == "warning" and "sysctl fs.inotify.max_user_watches=" in found.fix
    (found,) = inotify([{str(place / str(name)): False} for name in range(5)], limits)[1:]
    assert "max_user_instances" in found.found
    assert levels(inotify([{str(place): False}], place)) == ["warning"]


# ports
@needs_root
def test_a_port_that_needs_a_right() -> None:
    """Below 1024 only some may listen: the capability is named."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first < 2:
        pytest.skip("here everybody may listen on every port")
    with nobody():
        (found,) = listening("inputs.s", Listen("udp://127.0.0.1:1"), None)
    assert found.level == "problem" and "CAP_NET_BIND_SERVICE" in found.fix


def test_sockets_of_files(place: Path) -> None:
    """Free, left over, in use: each is told from the others, and nothing is removed."""
    path = place / "s"
    address = Listen(f"unix://{path}")
    assert levels(listening("s", address, None)) == ["ok"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        assert levels(listening("s", address, None)) == ["problem"]
        assert "the agent runs" in listening("s", address, 77)[0].found
    assert "will be replaced" in listening("s", address, None)[0].found
    assert path.exists()


def test_names_that_are_none() -> None:
    """An address that cannot be bound is a problem."""
    assert levels(listening("s", HostPort("nobody.invalid:80"), None)) == ["problem"]
    assert levels(listening("s", HostPort("127.0.0.1:0"), None)) == ["ok"]


# what hangs, and what is broken
async def test_a_dead_resolver_keeps_nobody() -> None:
    """A name server that never answers is a finding after the patience, and its thread is left behind."""
    asked, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)
        return []

    output = Http(url=Url("http://logs.example/"), codec=Ndjson())
    (found,) = await reach("out", output, Clock(), resolve, patience=0.05)
    assert asked.is_set()
    assert str(found).startswith("problem  outputs.out: DNS: no answer within 0.05s; fix: ")
    release.set()


async def test_a_name_without_an_address() -> None:
    """What the resolver says, in lower case, and where to look."""

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        raise socket.gaierror(-2, "Name or service not known")

    (found,) = await reach("out", Http(url=Url("http://logs.example/"), codec=Ndjson()), Clock(), resolve)
    assert found.found == "no address for logs.example: name or service not known"
    assert "getent hosts logs.example" in found.fix


async def test_one_address_of_several_is_dead(serve_nothing: int) -> None:
    """Each is tried: one that refuses is named, as a warning when another answers, and then the login is tried."""
    async with peer(talking(200)) as server:

        def resolve(host: str, port: int) -> list[tuple[str, int]]:
            return [("127.0.0.1", serve_nothing), ("127.0.0.1", port)]

        output = Http(url=Url(f"http://127.0.0.1:{server.port}/"), codec=Ndjson())
        found = await reach("out", output, Clock(), resolve)
    assert [(each.what, each.level) for each in found] == [
        ("outputs.out: DNS", "ok"),
        ("outputs.out: TCP", "warning"),
        ("outputs.out: TCP", "ok"),
        ("outputs.out: login", "ok"),
    ]


@pytest.fixture
def serve_nothing() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_through_a_proxy_only_the_proxy_is_looked_for() -> None:
    """Who has a proxy may have no name server for the world: the destination's name is not asked for."""
    asked = []

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        asked.append((host, port))
        raise OSError(2, "no")

    output = Http(url=Url("https://logs.example/"), proxy=Url("http://proxy.example:3128"), codec=Ndjson())
    await reach("out", output, Clock(), resolve)
    assert asked == [("proxy.example", 3128)]


async def test_a_check_with_a_bug_is_a_finding() -> None:
    """One check that raises spoils no other; a plugin's bug is called one."""

    def broken() -> list[Finding]:
        raise RuntimeError("oh")

    (found,) = await within("disk", thread(broken))
    assert str(found).startswith("problem  disk: could not be checked: RuntimeError: oh")
    assert "bug of the output" in refused("outputs.x", KeyError("x")).fix
