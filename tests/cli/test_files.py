"""`shipper files` says of every file how far it was read, and why it is not."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from shipper.files.census import Following
from shipper.files.survey import survey
from tests.e2e.agent import Agent, shipper

CONFIG = """
data_dir: ./data
checkpoint_interval: 50ms
inputs:
  app:
    type: file
    include: [{logs}/*.log*, {logs}/agent.stderr]
    exclude: ["*.bak"]
    ignore_older: 1h
    poll_interval: 50ms
    rotate_wait: 100ms
outputs: {{out: {{type: file, path: ./out/out.ndjson, delivery: {{batch: {{wait: 10ms}}}}}}}}
"""


def files(folder: Path, **env: str) -> dict[str, dict[str, Any]]:
    """What it says, by the file's name."""
    done = shipper("files", "--json", "-c", folder / "shipper.yaml", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return {Path(row["path"]).name: row for row in json.loads(done.stdout)}


def seen(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["state"], row["position"], row["size"], row["lag"], row["why"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.log").write_text("one\ntwo\n")
    (tmp_path / "packed.log.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    (tmp_path / "shipper.yaml").write_text(CONFIG.format(logs=tmp_path))
    return tmp_path


def test_beside_a_running_agent_and_after_it(folder: Path) -> None:
    """States, positions and lag are those of the agent, while it runs and when it is stopped."""
    assert seen(files(folder)["a.log"]) == ("reading", 0, 8, 8, "not begun")
    with Agent(folder / "shipper.yaml", folder) as agent:
        agent.wait_for(lambda: files(folder)["a.log"]["position"] == 8)
        found = files(folder)
        assert seen(found["a.log"]) == ("waiting", 8, 8, 0, "")
        packed = (folder / "packed.log.gz").stat().st_size
        agent.wait_for(lambda: files(folder)["packed.log.gz"]["state"] == "finished")
        assert seen(files(folder)["packed.log.gz"]) == ("finished", 8, packed, 0, "")
        assert (found["agent.stderr"]["state"], found["agent.stderr"]["why"]) == (
            "not read",
            "the agent's own log goes there",
        )
        table = shipper("files", "-c", folder / "shipper.yaml")
        assert f"agent: process {agent.pid}" in table.stdout
        assert agent.stop() == 0
    with (folder / "a.log").open("a") as log:
        log.write("three\n")
    (folder / "a.log").rename(folder / "gone.txt")
    (folder / "new.log").write_text("")
    found = files(folder)
    assert seen(found["gone.txt"]) == ("reading", 8, 14, 6, f"renamed: it was {folder / 'a.log'}")
    assert seen(found["new.log"]) == ("waiting", 0, 0, 0, "empty")
    table = shipper("files", "-c", folder / "shipper.yaml")
    assert "agent: not running" in table.stdout
    (line,) = (line for line in table.stdout.splitlines() if "gone.txt" in line)
    assert line.split() == [
        "reading",
        "8",
        "14",
        "6",
        str(folder / "gone.txt"),
        "(renamed:",
        "it",
        "was",
        f"{folder / 'a.log'})",
    ]


def test_why_a_file_is_not_read(folder: Path) -> None:
    """Each reason is said in words, also those that nobody would guess."""
    (folder / "x.log.bak").write_text("x\n")
    old = folder / "old.log"
    old.write_text("x\n")
    os.utime(old, (1, 1))
    os.mkfifo(folder / "fifo.log")
    (folder / "nowhere.log").symlink_to(folder / "nothing")
    (folder / "out.log").symlink_to("/etc/hostname")
    (folder / "loop.log").symlink_to(folder / "loop.log")
    os.link(folder / "a.log", folder / "b.log")
    (folder / "p.log.xz").write_bytes(b"\xfd7zXZ\0\0\4")
    found = files(folder)
    why = {name: row["why"] for name, row in found.items() if row["state"] == "not read"}
    real = os.path.realpath("/etc/hostname")
    assert why == {
        "x.log.bak": "excluded",
        "old.log": "not written to for longer than ignore_older, and never read",
        "fifo.log": "not a regular file",
        "nowhere.log": "a link that leads nowhere",
        "out.log": f"it leads to {real}, outside of the folders that links may lead to (follow_links)",
        "loop.log": "Too many levels of symbolic links",
        "b.log": f"another name of {folder / 'a.log'}",
        "p.log.xz": "it is packed with xz; of packed files only gzip is read",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user than root, and root to become it")
def test_no_permission() -> None:
    """A file that may not be read says so."""
    with tempfile.TemporaryDirectory() as open_to_all:
        path = Path(open_to_all) / "secret.log"
        path.write_text("x\n")
        path.chmod(0)
        Path(open_to_all).chmod(0o755)
        os.seteuid(65534)
        try:
            rows = survey(Following([f"{open_to_all}/*.log"]), Path(open_to_all) / "state", Path(open_to_all)).rows
        finally:
            os.seteuid(0)
        assert [(row.path, row.why) for row in rows] == [(str(path), "Permission denied")]


def test_a_copy_is_told(folder: Path) -> None:
    """A packed copy of a file that is still there says of what; the content that vanished into one says that."""
    with Agent(folder / "shipper.yaml", folder) as agent:
        agent.wait_for(lambda: files(folder)["a.log"]["position"] == 8)
        assert agent.stop() == 0
    (folder / "a.log.1.gz").write_bytes(gzip.compress(b"one\ntwo\nthree\n"))
    assert files(folder)["a.log.1.gz"]["why"] == f"a copy of {folder / 'a.log'}"
    (folder / "a.log").unlink()
    row = files(folder)["a.log.1.gz"]
    assert (row["state"], row["lag"], row["why"]) == ("reading", None, f"holds what was read of {folder / 'a.log'}")


def test_whatever_a_file_is_called(folder: Path) -> None:
    """Control characters of names do not reach the terminal, and names that are no text are told in JSON too."""
    with open(os.fsencode(folder) + b"/\x1b[31m\n\xff\xe2\x80\xae.log", "w") as file:
        file.write("x\n")
    table = shipper("files", "-c", folder / "shipper.yaml")
    assert table.returncode == 0
    assert all(character.isprintable() for character in table.stdout.replace("\n", ""))
    assert r"\x1b[31m\n\xff\u202e.log" in table.stdout
    assert any("\\xff" in name for name in files(folder))


def test_damaged_positions_are_said_and_stay(folder: Path) -> None:
    """It looks and changes nothing: damaged positions stay where they are."""
    slot = folder / "data/state/input-app/positions/0"
    slot.parent.mkdir(parents=True)
    slot.write_text("garbage")
    done = shipper("files", "-c", folder / "shipper.yaml")
    assert done.returncode == 0
    assert "positions of app are damaged" in done.stderr
    assert slot.read_text() == "garbage"


def test_a_bad_configuration_and_one_without_files(tmp_path: Path) -> None:
    """A configuration with problems is status 2 with nothing on stdout; one without files is no error."""
    config = tmp_path / "shipper.yaml"
    config.write_text("inputs: {in: {type: fil}}\noutputs: {out: {type: stdout}}\n")
    done = shipper("files", "-c", config)
    assert (done.returncode, done.stdout) == (2, "")
    config.write_text("inputs: {in: {type: stdin}}\noutputs: {out: {type: stdout}}\n")
    assert shipper("files", "--json", "-c", config).stdout == "[]\n"
    assert shipper("files", "-c", config).stderr == "no input follows files\n"
