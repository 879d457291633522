"""Links lead no further than they may, and nobody reads what he writes himself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.inputs.file import File
from shipper.options import Duration
from shipper.testing import drive
from tests.inputs.places import Place, messages, until

REFUSED = "refused_files", (("reason", "link"),)
SECRET = "root:$6$secret\n"


@pytest.fixture
def secret(place: Place) -> Path:
    """A file that lies elsewhere and is nobody's log."""
    elsewhere = place.root / "etc"
    elsewhere.mkdir()
    (elsewhere / "shadow.log").write_text(SECRET)
    return elsewhere / "shadow.log"


async def test_a_link_out_of_the_folder_is_not_followed(
    place: Place, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of what a link outside leads to no byte is read; it is said and counted once, and nothing else suffers."""
    (place.logs / "evil.log").symlink_to(secret)
    (place.logs / "relative.log").symlink_to("../etc/shadow.log")
    (place.logs / "good.log").symlink_to(place.write("data.txt", "good\n"))
    place.write("a.log", "one\n")
    async with place.tail() as tail:
        assert sorted(messages(await tail.events(2))) == ["good", "one"]
        await tail.nothing()
        assert tail.scope.counters[REFUSED] == 2
        assert [record.getMessage() for record in caplog.records if "evil.log" in record.getMessage()] == [
            f"{place.logs}/evil.log is not read: it leads to {secret}, "
            "outside of the folders that links may lead to (follow_links)"
        ]
        (place.logs / "evil.log").unlink()
        place.write("evil.log", "now a file\n")
        assert messages(await tail.events(1)) == ["now a file"]


@pytest.mark.parametrize("pattern", ["*/*.log", "**/*.log", "*/deep/*.log"])
async def test_a_folder_that_is_a_link_outside_is_not_looked_into(place: Place, secret: Path, pattern: str) -> None:
    """Wildcards lead through no folder that is a link outside, and through one inside they do."""
    deep = secret.parent / "deep"
    deep.mkdir()
    (deep / "other.log").write_text(SECRET)
    (place.logs / "evil").symlink_to(secret.parent)
    (place.logs / "x").mkdir()
    (place.logs / "x" / "deep").symlink_to(deep)
    inside = place.logs / "good" / "deep"
    inside.mkdir(parents=True)
    (inside.parent / "a.log").write_text("one\n")
    (inside / "a.log").write_text("one\n")
    (place.logs / "as").symlink_to(place.logs / "good")
    async with place.tail(include=[pattern]) as tail:
        await tail.events(2 if pattern == "**/*.log" else 1)
        await tail.nothing()
        assert tail.scope.counters[REFUSED] > 0


def test_a_folder_that_is_a_link_outside_is_listed_once(place: Place, secret: Path) -> None:
    """However many patterns lead to it."""
    (place.logs / "evil").symlink_to(secret.parent)
    source = File(include=[str(place.logs / "*/a.log"), str(place.logs / "*/b.log")])
    (row,) = source.survey(place.root / "data" / "state" / "input-a").rows
    assert (row.path, row.state) == (str(place.logs / "evil"), "not read")


async def test_a_file_that_becomes_a_link(place: Place, secret: Path) -> None:
    """Who exchanges a log for a link outside gets nothing read: neither now nor as the copy of a truncated one."""
    path = place.write("a.log", SECRET)
    async with place.tail() as tail:
        await tail.events(1)
        path.unlink()
        path.symlink_to(secret)
        await tail.nothing()
        secret.write_text(SECRET + "more\n")
        await tail.nothing()
    (place.logs / "a.log").unlink()
    (place.logs / "a.log.1").symlink_to(secret)
    place.write("a.log", "new\n")
    async with place.tail(include=["a.log"]) as tail:
        assert messages(await tail.events(1)) == ["new"]
        await tail.nothing()


async def test_a_folder_that_is_named_may_be_a_link(place: Place) -> None:
    """The folder in front of the first wildcard was named by the operator: it may lie anywhere."""
    place.write("a.log", "one\n")
    (place.root / "var").symlink_to(place.logs)
    source = File(include=[str(place.root / "var" / "*.log")], poll_interval=Duration(0.05))
    async with drive(source, place.root / "state") as tail:
        assert messages(await tail.events(1)) == ["one"]


async def test_links_as_kubernetes_makes_them(place: Place) -> None:
    """containers/*.log leads to pods, and that to the runtime's folder: with both allowed the file is read, once."""
    runtime, pods, containers = (place.root / name for name in ("docker", "pods", "containers"))
    for folder in (runtime / "id", pods / "ns_pod_uid" / "app", containers):
        folder.mkdir(parents=True)
    log = runtime / "id" / "id-json.log"
    log.write_text("one\n")
    (pods / "ns_pod_uid" / "app" / "0.log").symlink_to(log)
    (containers / "pod_ns_app-id.log").symlink_to(pods / "ns_pod_uid" / "app" / "0.log")
    include = [str(containers / "*.log"), str(pods / "*/*/*.log")]
    source = File(include=include, follow_links=[str(runtime)], poll_interval=Duration(0.05))
    async with drive(source, place.root / "state") as tail:
        assert messages(await tail.events(1)) == ["one"]
        await tail.nothing()
        assert not tail.scope.counters[REFUSED]


def test_kubernetes_folders_are_allowed_unless_told() -> None:
    """Where Kubernetes' links lead needs no option."""
    assert File(include=["/var/log/containers/*.log"]).follow_links == ["/var/log/pods", "/var/lib/docker/containers"]


async def test_a_link_into_our_own_folder(place: Place) -> None:
    """Also by a link nobody gets the positions read."""
    data = place.logs / "data"
    (place.logs / "sub").mkdir()
    (place.logs / "sub" / "link").symlink_to(data)
    place.write("a.log", "one\n")
    source = File(include=[str(place.logs / "**/*")], poll_interval=Duration(0.05))
    async with drive(source, data / "state" / "input-a") as tail:
        assert messages(await tail.events(1)) == ["one"]
        await until(lambda: any(data.rglob("positions/*")))
        await tail.nothing()


PROGRAM = """
import asyncio, logging, sys
from pathlib import Path
from shipper.inputs.file import File
from shipper.options import Duration
from shipper.testing import drive

async def main(folder):
    logging.basicConfig(level=logging.INFO)  # to stderr, which is a file in that folder
    source = File(include=[folder + "/*.log"], poll_interval=Duration(0.05))
    async with drive(source, Path(folder) / "state") as tail:
        found = [event["message"] for event in await tail.events(1)]
        await tail.nothing()
        print(found, dict(tail.scope.counters), file=sys.stderr)

asyncio.run(main(sys.argv[1]))
"""


def test_our_own_log_in_the_folder(place: Place) -> None:
    """Standard error that goes to a file which the patterns find is not read: it would grow for ever."""
    place.write("a.log", "one\n")
    own = place.logs / "agent.log"
    with own.open("ab") as log:
        command = [sys.executable, "-c", PROGRAM, str(place.logs)]
        subprocess.run(command, check=True, stderr=log, stdout=log, timeout=60, env={**os.environ})
    *said, last = own.read_text().splitlines()
    assert last == "['one'] {('refused_files', (('reason', 'own'),)): 1}"
    assert [line for line in said if "agent.log" in line] == [
        f"INFO:shipper.driven:{own} is not read: the agent's own log goes there"
    ]
