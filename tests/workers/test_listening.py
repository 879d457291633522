"""Ports that several workers share: every peer is heard, by one of them, in order."""

from __future__ import annotations

import http.client
import json
import socket
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.agent import Agent, ndjson

PEERS, EACH = 24, 40


def ports() -> tuple[int, int, int]:
    """Three that are free, of which datagrams may have one."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in made:
            each.bind(("127.0.0.1", 0))
        first, second, third = (each.getsockname()[1] for each in made)
        return first, second, third


def test_connections_datagrams_and_requests_are_divided(tmp_path: Path) -> None:
    """TCP, UDP and HTTP on two workers: all that was sent arrives once, that of one peer in order, and both had some."""
    tcp, udp, web = ports()
    config = {
        "workers": 2,
        "data_dir": "data",
        "inputs": {
            "log": {"type": "syslog", "listen": [f"tcp://127.0.0.1:{tcp}", f"udp://127.0.0.1:{udp}"]},
            "web": {"type": "http", "listen": f"127.0.0.1:{web}"},
        },
        "outputs": {"out": {"type": "file", "path": str(tmp_path / "out.ndjson")}},
    }
    with Agent(config, tmp_path) as agent, ExitStack() as stack:
        streams = [stack.enter_context(socket.create_connection(("127.0.0.1", tcp))) for _ in range(PEERS)]
        senders = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(PEERS)]
        for number in range(EACH):
            for peer, stream in enumerate(streams):
                stream.sendall(f"<13>Aug  1 00:00:00 host tcp{peer}: {number}\n".encode())
            for peer, sender in enumerate(senders):
                sender.sendto(f"<13>Aug  1 00:00:00 host udp{peer}: {number}".encode(), ("127.0.0.1", udp))
        for peer in range(PEERS):
            body = "\n".join(json.dumps({"app": f"http{peer}", "message": str(number)}) for number in range(EACH))
            connection = http_client(web)
            connection.request("POST", "/", body, {"Content-Type": "application/x-ndjson"})
            assert connection.getresponse().status == 200
            connection.close()
        out = tmp_path / "out.ndjson"
        agent.wait_for(lambda: len(list(ndjson(out))) == 3 * PEERS * EACH, what="to deliver all")
        assert agent.unaccounted() == {}
        parts = [{name: part["inputs"][name] for name in ("log", "web")} for part in agent.status()["workers"]]
        assert agent.metric("shipper_input_events_total") == 3 * PEERS * EACH
        assert agent.stop() == 0, agent.tail()
    assert len(parts) == 2
    found: defaultdict[str, list[str]] = defaultdict(list)
    for event in ndjson(out):
        found[event["app"]].append(event["message"])
    wanted = [str(number) for number in range(EACH)]
    assert found == {f"{kind}{peer}": wanted for kind in ("tcp", "udp", "http") for peer in range(PEERS)}
    assert all(part[name]["events"] for part in parts for name in part), parts


def http_client(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
