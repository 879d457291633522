"""`shipper validate`, and that `shipper run` is of the same opinion."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.agent import shipper

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests/golden/config").glob("*.yaml"))
ENV = {"SET_BADLY": "ftp://user:hunter2@x/"}
FIELDS = {"file", "line", "column", "path", "message", "suggestion"}
GOOD = """
data_dir: ./data
api: null
inputs: {app: {type: file, include: [./app.log]}}
outputs: {out: {type: file, path: ./out.ndjson}}
"""


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_run_is_of_the_same_opinion(file: Path) -> None:
    """Every bad configuration of the collection is refused by both, with the same lines, status 2 and nothing on stdout."""
    validate, run = (shipper(command, "-c", file, env=ENV, timeout=20) for command in ("validate", "run"))
    assert (validate.returncode, run.returncode) == (2, 2)
    assert validate.stderr == run.stderr
    assert (validate.stdout, run.stdout) == ("", "")
    *problems, count = validate.stderr.splitlines()
    assert count == f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: ", line) for line in problems)
    assert "hunter2" not in validate.stderr


@pytest.mark.parametrize("name", ["fifteen_mistakes", "environment", "not_yaml"])
def test_json_says_the_same(name: str) -> None:
    """`--json` gives on stdout a list with file, line, column, path, message, suggestion for each line of the text."""
    file = ROOT / f"tests/golden/config/{name}.yaml"
    text = shipper("validate", "-c", file, env=ENV)
    done = shipper("validate", "--json", "-c", file, env=ENV)
    assert (done.returncode, done.stderr) == (2, "")
    problems = json.loads(done.stdout)
    lines = text.stderr.splitlines()[:-1]
    assert len(problems) == len(lines)
    for problem, line in zip(problems, lines, strict=True):
        assert set(problem) == FIELDS
        assert line.startswith(f"{problem['file']}:{problem['line']}:{problem['column']}: ")
        assert problem["message"] in line
        assert problem["suggestion"] in line


def test_a_good_one_has_no_problems_and_runs(tmp_path: Path) -> None:
    """Status 0 from validate, as text and as JSON, and from `run --once`."""
    file = tmp_path / "shipper.yaml"
    file.write_text(GOOD)
    (tmp_path / "app.log").write_text("a line\n")
    done = shipper("validate", "-c", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{file}: no problems\n")
    done = shipper("validate", "--json", "-c", file)
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")
    assert not (tmp_path / "data").exists(), "validate touches nothing"
    assert shipper("run", "--once", "-c", file).returncode == 0
    assert json.loads((tmp_path / "out.ndjson").read_text())["message"] == "a line"


def test_finds_the_default_and_merges_folders(tmp_path: Path) -> None:
    """Without -c it is ./shipper.yaml; a folder means its *.yaml in name order; several -c are merged."""
    (tmp_path / "shipper.yaml").write_text(GOOD)
    assert shipper("validate", cwd=tmp_path).returncode == 0
    (tmp_path / "empty").mkdir()
    done = shipper("validate", cwd=tmp_path / "empty")
    if not Path("/etc/shipper/shipper.yaml").exists():
        assert done.returncode == 2
        assert "no configuration" in done.stderr
    folder = tmp_path / "conf.d"
    folder.mkdir()
    head, inputs, outputs = GOOD.strip().partition("inputs:")[0], GOOD.splitlines()[3], GOOD.splitlines()[4]
    (folder / "10-head.yaml").write_text(head)
    (folder / "20-in.yaml").write_text(inputs)
    (folder / "30-out.yaml").write_text(outputs)
    (folder / "notes.txt").write_text("inputs: [")
    assert shipper("validate", "-c", folder).returncode == 0
    args = [arg for name in ("10-head", "20-in", "30-out") for arg in ("-c", folder / f"{name}.yaml")]
    assert shipper("validate", *args).returncode == 0
    (folder / "40-again.yaml").write_text(inputs)
    done = shipper("validate", "-c", folder)
    assert done.returncode == 2
    assert f"{folder}/40-again.yaml:1:10: inputs.app: " in done.stderr
    assert f"it was first at {folder}/20-in.yaml:1" in done.stderr


def test_warnings_are_no_problems(tmp_path: Path) -> None:
    """What no pipeline uses is a warning on stderr; the status is 0."""
    file = tmp_path / "shipper.yaml"
    file.write_text(
        GOOD + "filters: {idle: {type: drop, when: 'a == 1'}}\npipelines: {main: {inputs: [app], outputs: [out]}}\n"
    )
    done = shipper("validate", "-c", file)
    assert done.returncode == 0
    assert re.search(
        rf"^warning: {re.escape(str(file))}:\d+:\d+: filters.idle: no pipeline uses this filter$", done.stderr, re.M
    )
    assert json.loads(shipper("validate", "--json", "-c", file).stdout) == []


def test_a_problem_is_one_line_whatever_is_found(tmp_path: Path) -> None:
    """Newlines and escape sequences in names and values are written as escapes, so that each problem stays one line."""
    file = tmp_path / "shipper.yaml"
    evil = r'"a\n/etc/x.yaml:1:1: fine\e[31m\r"'
    file.write_text(
        GOOD
        + f"filters: {{{evil}: {{type: {evil}}}, p: {{type: {evil}}}, q: {{type: parse, format: {evil}, {evil}: 1}}}}\n"
    )
    done = shipper("validate", "-c", file)
    assert done.returncode == 2
    *lines, _ = done.stderr.rstrip("\n").split("\n")
    assert len(lines) == len(json.loads(shipper("validate", "--json", "-c", file).stdout)) >= 3
    assert all(line.startswith(f"{file}:") and line.isprintable() for line in lines)
