"""How instructions are counted, with a valgrind that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.agents import Cannot, Floor
from bench.instructions import a_line
from bench.run import sink
from bench.scenarios import SCENARIOS, chosen

SCENARIO = chosen(SCENARIOS, "raw")[0]
PRETENDS = """#!/bin/sh
out=${2#--callgrind-out-file=}
[ "$1" = --tool=callgrind ] || exit 9
if [ -e "$out" ]; then echo "summary: 1000" >"$out"; else echo "summary: 51000" >"$out"; fi
shift 2
exec "$@"
"""


def test_start_up_is_taken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run with lines takes more than one without, a line; the run itself is made and checked."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "valgrind"
    tool.write_text(PRETENDS)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    with sink() as server:
        assert a_line(SCENARIO, Floor(), tmp_path, 100, server) == 500


def test_a_missing_tool_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where valgrind is not installed there is a sentence and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with sink() as server, pytest.raises(Cannot, match="apt-get install valgrind"):
        a_line(SCENARIO, Floor(), tmp_path, 100, server)
