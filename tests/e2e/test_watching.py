"""What probes, scrapers and systemd see of the process over its life."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

from tests.e2e.agent import Agent
from tests.e2e.fake import Destination, Say

BASE = """
data_dir: ./data
stuck_after: 200ms
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {wait: 10ms}, retry: {first: 50ms, max: 100ms}}}}
"""
SLOW = """
import time

from shipper import Event, EventOutput
from pathlib import Path


class Slow(EventOutput):
    '''Takes until a file is there to open.'''

    async def open(self) -> None:
        import asyncio

        while not Path("open").exists():
            await asyncio.sleep(0.01)

    async def deliver(self, events: list[Event]) -> None:
        pass
"""


def test_probes_over_the_life_of_the_process(tmp_path: Path) -> None:
    """Alive while starting, running and draining; ready only while running, with the reason where it is not."""
    (tmp_path / "app.log").write_text("a\n")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/slow.py").write_text(SLOW)
    with Destination(lambda _: Say(503)) as server:
        text = (
            BASE.replace("URL", server.url)
            .replace("200ms", "5m")
            .replace("outputs: {", "outputs: {slow: {type: slow}, ")
        )
        agent = Agent(text + "plugins: [./plugins]\n", tmp_path)
        agent.start()
        try:
            agent.wait_for(lambda: agent.url and agent.answers("/livez") == 200)
            assert agent.answers("/readyz") == 503
            assert agent.status()["state"] == "starting"
            assert agent.metric("process_resident_memory_bytes") > 2**20
            (tmp_path / "open").touch()
            agent.ready()
            assert agent.status()["ready"] == {"ok": True, "reasons": []}
            agent.wait_for(lambda: server.seen)
            assert agent.answers("/readyz") == 200, "a destination need not answer yet"
            agent.signal(signal.SIGTERM)
            agent.wait_for(lambda: agent.answers("/readyz") == 503)
            assert agent.answers("/livez") == 200
            assert agent.status()["state"] == "draining"
            server.answer = lambda _: Say()
            assert agent.wait() == 0
        finally:
            agent.end()


def test_a_stop_while_it_still_opens(tmp_path: Path) -> None:
    """SIGTERM while an output takes for ever to open: it ends with 0, without a second signal."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/slow.py").write_text(SLOW)
    text = BASE.partition("outputs:")[0] + "outputs: {slow: {type: slow}}\nplugins: [./plugins]\n"
    agent = Agent(text, tmp_path)
    agent.start()
    try:
        agent.wait_for(lambda: agent.url and agent.answers("/livez") == 200)
        assert agent.stop(10) == 0
    finally:
        agent.end()
    assert "Traceback" not in agent.stderr


def test_stuck_is_not_ready(tmp_path: Path) -> None:
    """Input that waits while nothing is delivered for `stuck_after` turns `/readyz` 503 with the output's name and last error."""
    (tmp_path / "app.log").write_text("a\n")
    with (
        Destination(lambda _: Say(503, b"out of order")) as server,
        Agent(BASE.replace("URL", server.url), tmp_path) as agent,
    ):
        agent.wait_for(lambda: agent.answers("/readyz") == 503)
        reasons = agent.status()["ready"]["reasons"]
        assert "output out is stuck" in reasons[0]
        assert "out of order" in reasons[0]
        assert agent.answers("/livez") == 200
        server.answer = lambda _: Say()
        agent.wait_for(lambda: agent.answers("/readyz") == 200)
        assert agent.status()["outputs"]["out"]["state"] == "delivering"
        assert agent.stop() == 0


def test_systemd_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    """READY=1 once it is open, WATCHDOG=1 while it turns, STOPPING=1 when it begins to stop, not when it has stopped."""
    (tmp_path / "app.log").write_text("a\n")
    with (
        Destination(lambda _: Say(503)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}  # ten wait at most
        with Agent(BASE.replace("URL", server.url), tmp_path, env=env) as agent:
            heard = [systemd.recv(100) for _ in range(4)]
            assert heard.count(b"READY=1") == 1
            assert heard.count(b"WATCHDOG=1") == 3
            agent.signal(signal.SIGTERM)
            while systemd.recv(100) != b"STOPPING=1":
                pass
            assert agent.process is not None
            assert agent.process.poll() is None, "it drains still"
            assert systemd.recv(100) == b"WATCHDOG=1", "and is alive meanwhile"
            server.answer = lambda _: Say()
            assert agent.wait() == 0


def test_json_log_is_json_to_the_last_line(tmp_path: Path) -> None:
    """With `log: {format: json}` every line of stderr is an object with time, level and message."""
    with Destination() as server, Agent(BASE.replace("URL", server.url) + "log: {format: json}\n", tmp_path) as agent:
        agent.signal(signal.SIGHUP)
        agent.wait_for(lambda: agent.metric("shipper_reloads_total") == 1)
        assert agent.stop() == 0
    entries = [json.loads(line) for line in agent.stderr.splitlines()]
    assert {"timestamp", "level", "logger", "message"} <= set(entries[0])
    assert "reloaded: no component changed" in [entry["message"] for entry in entries]


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`shipper run | head -1`: no traceback; the lines stay where they are, and a signal ends it with 0."""
    (tmp_path / "app.log").write_text("".join(f"line {n}\n" for n in range(2000)))
    text = "data_dir: ./data\nshutdown_grace: 100ms\ninputs: {app: {type: file, include: [./app.log]}}\noutputs: {out: {type: stdout}}\n"
    with Agent(text, tmp_path, stdout=subprocess.PIPE) as agent:
        assert agent.process is not None
        assert agent.process.stdout is not None
        with agent.process.stdout as reader:
            assert b'"line 0"' in reader.readline()
        with (tmp_path / "app.log").open("a") as file:
            file.write("x" * 2**20 + "\n")
        agent.wait_for(lambda: "standard output is closed" in agent.stderr)
        assert agent.stop() == 0
    assert "Traceback" not in agent.stderr
