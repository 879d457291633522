"""Small when idle: what a running agent has imported, and how often it wakes when nothing happens.

Neither is a time: modules are counted, and so are the moments at which a thread let go of the processor by itself.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent import ROOT, Agent
from tests.e2e.fake import Destination

NEVER = (
    "aiofiles", "cramjam", "dateutil", "google", "importlib.metadata", "multiprocessing", "concurrent.futures.process",
    "pydantic", "prometheus_client", "pkg_resources", "setuptools", "typeguard", "unittest", "doctest", "pdb", "pydoc", "xml",
    "zstandard", "compression", "http.server", "socketserver", "ftplib", "sqlite3", "curses", "readline", "jsonschema",
    "shipper.testing", "shipper.workers", "shipper.files.claims", "shipper.files.families", "shipper.config.describe",
)  # fmt: skip
"""Nobody needs these to read files in one process and send lines on."""
HTTP = (
    "aiohttp",
    "yarl",
    "multidict",
    "attr",
    "idna",
    "email",
    "http",
    "urllib.request",
    "shipper.net.session",
    "isal.igzip",
)
"""These come with an output that speaks HTTP, and with nothing else."""
OF_SERVERS = ("shipper.net.listen", "shipper.net.streams", "shipper.net.datagrams", "shipper.inputs.http")

MOST = {"file": 430, "http": 570}
"""Modules in all, of which about a third are ours: 382 and 507 with CPython 3.11, and room for those of a newer one."""

WAKES = 8
"""A second, all threads together: 4 looks at how late the loop is, 1 scan of the folders, 1 look at whether the ledger
has changed, one in five seconds for outputs. There is room for less than two more: a poll twice a second is noticed."""
SPAN = 3.0
"""Seconds over which they are counted."""

TELL = """
import atexit, os, sys
atexit.register(lambda: open(os.environ["MODULES"], "w").write(" ".join(sys.modules)))
"""
"""Run at the start of each process that finds it on its path as `sitecustomize`."""


def config(logs: Path, output: str) -> str:
    return f"inputs: {{app: {{type: file, include: ['{logs}/*.log']}}}}\noutputs: {{out: {output}}}\n"


def imported(tmp_path: Path, output: str) -> set[str]:
    """All modules that an agent has at its end, after its first event was delivered and it was asked for metrics and status."""
    logs, site, told = tmp_path / "logs", tmp_path / "site", tmp_path / "modules"
    logs.mkdir()
    (logs / "a.log").write_text("one\n")
    site.mkdir()
    (site / "sitecustomize.py").write_text(TELL)
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "MODULES": str(told)}
    with Agent(config(logs, output), tmp_path, env=env) as agent:
        agent.wait_for(lambda: agent.metric("shipper_output_events_total", output="out") == 1)
        agent.status()
        assert agent.stop() == 0
    return set(told.read_text().split(" "))


def of(modules: set[str], names: tuple[str, ...]) -> set[str]:
    """Those that are one of these, or lie in one."""
    return {module for module in modules if any(module == name or module.startswith(f"{name}.") for name in names)}


def plugins(modules: set[str], kind: str) -> set[str]:
    return {module.rpartition(".")[2] for module in modules if module.startswith(f"shipper.{kind}.")}


def test_file_to_file_imports_what_it_runs(tmp_path: Path) -> None:
    """Plugins that the configuration does not name, clients, servers and their libraries are not loaded (but `ssl`, by asyncio)."""
    modules = imported(tmp_path, "{type: file, path: ./out.ndjson}")
    assert "shipper.files.tailer" in modules, "it saw nothing"
    assert of(modules, NEVER + HTTP + OF_SERVERS) == set()
    assert {kind: plugins(modules, kind) for kind in ("inputs", "filters", "outputs", "codecs")} == {
        "inputs": {"file"}, "filters": set(), "outputs": {"file"}, "codecs": {"ndjson"},
    }  # fmt: skip
    assert len(modules) <= MOST["file"]


def test_an_http_output_adds_its_client_alone(tmp_path: Path) -> None:
    """The client of aiohttp, and nothing of what serves; plugins that the configuration does not name are not loaded."""
    with Destination() as server:
        modules = imported(tmp_path, f"{{type: http, url: '{server.url}'}}")
    assert {"aiohttp", "shipper.net.session"} <= modules
    assert of(modules, (*NEVER, *OF_SERVERS, "aiohttp.web", "aiohttp.test_utils")) == set()
    assert {kind: plugins(modules, kind) for kind in ("inputs", "filters", "outputs", "codecs")} == {
        "inputs": {"file"}, "filters": set(), "outputs": {"http"}, "codecs": {"ndjson"},
    }  # fmt: skip
    assert len(modules) <= MOST["http"]


def switches(agent: Agent) -> int:
    """How often its threads have let go of the processor to wait."""
    return sum(int(line.split()[1]) for line in _status(agent) if line.startswith("voluntary_ctxt_switches"))


def _status(agent: Agent) -> Iterator[str]:
    for task in Path(f"/proc/{agent.pid}/task").iterdir():
        try:
            yield from (task / "status").read_text().splitlines()
        except OSError:  # a thread that has ended meanwhile
            continue


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("output", ["{type: file, path: ./out.ndjson}", "{type: http, url: 'http://127.0.0.1:9/'}"])
def test_an_idle_agent_hardly_wakes(tmp_path: Path, output: str) -> None:
    """With 100 files in which nothing happens, few times a second, each for a reason that can be named."""
    logs = tmp_path / "logs"
    logs.mkdir()
    text = "one\n" if "file" in output else ""  # nobody is there to take it
    for number in range(100):
        (logs / f"{number}.log").write_text(text)

    def wakes() -> float:
        before, began = switches(agent), time.monotonic()
        time.sleep(SPAN)  # there is nothing to wait for: that nothing happens is what is seen
        return (switches(agent) - before) / (time.monotonic() - began)

    with Agent(config(logs, output), tmp_path) as agent:
        agent.wait_for(lambda: agent.metric("shipper_input_events_total", input="app") == (100 if text else 0))
        rates: list[float] = []
        agent.wait_for(lambda: rates.append(wakes()) or rates[-1] <= WAKES, 30, f"at most {WAKES} wakes a second")
