"""Our metrics page, judged by Prometheus's own linter."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.agent import Agent


def test_promtool_finds_nothing_wrong(promtool: str, tmp_path: Path) -> None:
    """Every metric has help and a type, names and units follow the conventions, nothing is said twice."""
    (tmp_path / "app.log").write_text('{"message": "from ann@example.com", "level": "error"}\nnot json\n')
    config = {
        "inputs": {"app": {"type": "file", "include": [str(tmp_path / "app.log")]}},
        "filters": {
            "parse": {"type": "parse", "format": "json"},
            "some": {"type": "drop", "when": "level == 'debug'"},
            "hide": {"type": "redact", "detect": ["email"]},
        },
        "outputs": {
            "out": {"type": "file", "path": str(tmp_path / "out.ndjson")},
            "nothing": {"type": "blackhole"},
        },
    }
    with Agent(config, tmp_path) as agent:
        agent.wait_for(lambda: agent.metric("shipper_output_events_total", output="out") == 2)
        page = agent.get("/metrics")
        assert agent.stop() == 0
    lint = subprocess.run([promtool, "check", "metrics"], input=page, text=True, capture_output=True, timeout=30)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
