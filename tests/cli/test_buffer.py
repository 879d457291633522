"""`shipper buffer`: what waits on disk, seen from outside."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.agent import Agent, shipper

DOWN = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log]}}
filters: {parse: {type: parse, format: json}}
outputs:
  es: {type: elasticsearch, endpoints: ["http://127.0.0.1:9"], index: logs, delivery: {batch: {wait: 10ms}, buffer: {spill_after: 50ms}}}
"""


def test_list_check_export(tmp_path: Path) -> None:
    """Beside the agent and after it: how much there is, whether it is whole, and the events themselves."""
    (tmp_path / "app.log").write_text("".join(f'{{"id": {n}}}\n' for n in range(500)))
    with Agent(DOWN, tmp_path) as agent:
        agent.wait_for(lambda: agent.metric("shipper_buffer_bytes", output="es") > 5000)
        agent.wait_for(lambda: agent.metric("shipper_in_flight_events", pipeline="main") == 0)
        (listed,) = shipper("buffer", "ls", "--json", cwd=tmp_path).stdout.splitlines()
        found = json.loads(listed)
        assert (found["output"], found["events"], found["taken"], found["damaged"]) == ("es", 500, True, 0)
        assert agent.stop() == 0
    done = shipper("buffer", "export", "es", cwd=tmp_path)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(500))
    raw = shipper("buffer", "export", "es", "--raw", cwd=tmp_path).stdout
    assert raw.count('{"create":') == 500
    assert shipper("buffer", "check", cwd=tmp_path).returncode == 0
    (segment,) = (tmp_path / "data" / "buffers" / "es" / "0").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    checked = shipper("buffer", "check", cwd=tmp_path)
    assert checked.returncode == 1
    assert "are damaged" in checked.stdout
    assert "there is no buffer of 'nix'" in shipper("buffer", "export", "nix", cwd=tmp_path).stderr


def test_a_buffer_of_another_type_is_told_of(tmp_path: Path) -> None:
    """What the configured output cannot take stays, is said at the start, and can be exported."""
    (tmp_path / "app.log").write_text('{"id": 1}\n')
    with Agent(DOWN, tmp_path) as agent:
        agent.wait_for(lambda: agent.metric("shipper_buffer_bytes", output="es") > 100)
        agent.wait_for(lambda: agent.metric("shipper_in_flight_events", pipeline="main") == 0)
        assert agent.stop() == 0
        agent.config.write_text(agent.config.read_text().replace(
            'type: elasticsearch, endpoints: ["http://127.0.0.1:9"], index: logs,', 'type: http, url: "http://127.0.0.1:9/",'
        ))  # fmt: skip
        agent.start()
        agent.ready()
        assert "were encoded for another output (elasticsearch) and stay there" in agent.stderr
        assert agent.stop() == 0
    assert "no configured output takes it (elasticsearch)" in shipper("buffer", "ls", cwd=tmp_path).stdout
