"""The Python that the guides show is not only shown: it is written to files, and its tests pass."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.e2e.agent import ROOT, environment, shipper

GUIDE = ROOT / "docs" / "plugins.md"


def plugins_in(folder: Path) -> Path:
    """The files that the guide shows, each below its name."""
    plugins = folder / "plugins"
    plugins.mkdir()
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S):
        name = re.match(r"# plugins/(\w+\.py)\n", block)
        assert name, f"a block that is no file: {block[:60]}"
        (plugins / name[1]).write_text(block)
    return plugins


def test_the_plugins_of_the_guide_pass_their_tests_and_are_clean(tmp_path: Path) -> None:
    """Filter, output and input of the guide work, and are written as we write ours."""
    plugins = plugins_in(tmp_path)
    names = {file.name for file in plugins.iterdir()}
    assert {f"test_{kind}.py" for kind in ("severity", "sqlite", "table")} < names
    config = ["--config", str(ROOT / "pyproject.toml")]
    for argv in (["pytest", "-q", "plugins"], ["ruff", "check", *config, "--select", "E,F,B,UP", "plugins"]):
        done = subprocess.run(
            [sys.executable, "-m", *argv], cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugins_of_the_guide_run(tmp_path: Path) -> None:
    """From a file through the filter into the database, by a configuration; their pages are there."""
    plugins_in(tmp_path)
    (tmp_path / "app.log").write_text('{"level": "error"}\n{"level": "loud"}\n')
    (tmp_path / "shipper.yaml").write_text("""
plugins: [./plugins]
inputs: {app: {type: file, include: [app.log], codec: ndjson}}
filters: {number: {type: severity, default: 6}}
outputs: {db: {type: sqlite, path: events.db}}
""")
    done = shipper("run", "--once", "-c", "shipper.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    database = sqlite3.connect(tmp_path / "events.db")
    rows = database.execute("select event from events").fetchall()
    database.close()
    assert [json.loads(event)["severity"] for (event,) in rows] == [3, 6]
    page = shipper("plugins", "show", "severity", cwd=tmp_path)
    assert "Severity of words that are not known." in page.stdout
