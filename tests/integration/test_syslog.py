"""What `logger` and rsyslog send, received by the syslog input."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent, ndjson
from tests.servers import Url, free_ports

COUNT = 300


def config(folder: Path, *listen: str) -> dict[str, Any]:
    out = {"type": "file", "path": str(folder / "out.ndjson"), "delivery": {"batch": {"wait": "100ms"}}}
    return {"inputs": {"net": {"type": "syslog", "listen": list(listen)}}, "outputs": {"out": out}}


def logger(port: int, messages: list[str], folder: Path, *options: str) -> None:
    """Send messages with util-linux's `logger`."""
    (folder / "messages").write_text("".join(f"{message}\n" for message in messages))
    argv = ["logger", "--server", "127.0.0.1", "--port", str(port), "--tag", "shop", "--priority", "local3.warning"]
    subprocess.run([*argv, *options, "--file", str(folder / "messages")], check=True, timeout=30)


def received(agent: Agent, count: int) -> list[dict[str, Any]]:
    """What the agent wrote, once there are `count` events; stopping it must find nothing unsafe."""
    out = agent.folder / "out.ndjson"
    agent.wait_for(lambda: len(list(ndjson(out))) >= count, what=f"to write {count} events")
    assert agent.stop() == 0, agent.stderr
    return list(ndjson(out))


@pytest.mark.servers
@pytest.mark.parametrize("form", ["--rfc3164", "--rfc5424"])
@pytest.mark.parametrize(
    ("scheme", "options"),
    [("udp", ["--udp"]), ("tcp", ["--tcp"]), ("tcp", ["--tcp", "--octet-count"])],
    ids=["udp", "lines", "octets"],
)
def test_logger(form: str, scheme: str, options: list[str], tmp_path: Path) -> None:
    """Each message of `logger` arrives once, with its program, priority and text, whatever the framing."""
    port = free_ports(1)
    messages = [f"order {n} took {n % 7} tries" for n in range(COUNT)]
    with Agent(config(tmp_path, f"{scheme}://127.0.0.1:{port}"), tmp_path) as agent:
        logger(port, messages, tmp_path, form, *options)
        found = received(agent, COUNT)
    assert [event["message"] for event in found] == messages
    assert {(event["app"], event["facility"], event["severity"]) for event in found} == {("shop", "local3", "warning")}
    assert all(event["host"] and event["timestamp"] for event in found)


def test_rsyslog_forwards_three_ways(rsyslog: Url, tmp_path: Path) -> None:
    """What rsyslog passes on as TCP lines, as octet-counted frames and as datagrams arrives once each way."""
    lines, octets, datagrams = rsyslog.ports[1:4]
    listen = [f"tcp://127.0.0.1:{lines}", f"tcp://127.0.0.1:{octets}", f"udp://127.0.0.1:{datagrams}"]
    messages = [f"relayed {n}" for n in range(COUNT)]
    with Agent(config(tmp_path, *listen), tmp_path) as agent:
        logger(rsyslog.ports[0], messages, tmp_path, "--tcp", "--rfc5424")
        found = received(agent, 3 * COUNT)
    assert sorted(event["message"] for event in found) == sorted(messages * 3)
    assert {(event["app"], event["facility"], event["severity"]) for event in found} == {("shop", "local3", "warning")}
