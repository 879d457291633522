"""The adapters of other agents: what they are told to do, and, of those that are on PATH, that it is the same work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.agents import Agent, Cannot, Job
from bench.generate import generated
from bench.peers import NAMES, NOTES, PEERS, find
from bench.run import Run, Sink, sink
from bench.scenarios import SCENARIOS, Scenario

INSTALLED = [name for name in NAMES if shutil.which(PEERS[name][0])]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def made(name: str) -> Agent:
    """An adapter whose program need not be there."""
    return PEERS[name][1]("/usr/bin/program")


def job(scenario: Scenario, folder: Path) -> Job:
    folder.mkdir()
    return Job(scenario, folder, Path("/logs/in.log"), 9200, 5514, wait=0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("name", NAMES)
def test_each_does_the_work_or_says_in_a_sentence_why_not(name: str, scenario: Scenario, tmp_path: Path) -> None:
    """A command with a configuration in the job's folder that names where lines come from, or Cannot."""
    work = job(scenario, tmp_path / "run")
    try:
        command = [*made(name).command(work)]
    except Cannot as why:
        assert len(str(why).split()) > 4
        return
    assert any("/usr/bin/program" in word for word in command)
    (config,) = (file for file in work.folder.iterdir() if file.suffix in (".json", ".yaml", ".conf"))
    text = config.read_text()
    assert ("/logs/in.log" if scenario.feed == "file" else "5514") in text
    if config.suffix != ".conf":
        json.loads(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_route_has_its_destination(name: str, tmp_path: Path) -> None:
    """Ten conditions write ten files, each named in the configuration."""
    work = job(BY_NAME["ten"], tmp_path / "run")
    made(name).command(work)
    text = "".join(file.read_text() for file in work.folder.iterdir())
    assert all(work.out(route).name in text for route in work.scenario.routes)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows, and a program that is not on PATH, are named; the latter with its adapter's name."""
    with pytest.raises(Cannot, match="fluent-bit, rsyslog, vector"):
        find("logstash")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Cannot, match="rsyslogd is not on PATH"):
        find("rsyslog")


def test_nothing_of_the_peers_is_imported_without_being_asked_for() -> None:
    """Who measures this agent alone needs none of them."""
    code = "import sys, bench.__main__; sys.exit(any(name.startswith('bench.peers') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_what_differs_is_said_of_each() -> None:
    """The page has something to say where work or durability are not quite the same."""
    assert set(NOTES) == set(NAMES)
    assert all(note.endswith(".") for notes in NOTES.values() for note in notes)


@pytest.mark.parametrize("scenario", ["raw", "json", "syslog", "ten"])
@pytest.mark.parametrize("name", INSTALLED)
def test_the_same_comes_out_of_a_real_one(name: str, scenario: str, server: Sink, tmp_path: Path) -> None:
    """Count, order and content, checked as they are for this agent."""
    work = BY_NAME[scenario]
    source = generated(work.shape, 2000, tmp_path / "input")
    assert Run(work, tmp_path / "run", source, server)(find(name)).cpu > 0
