"""`shipper test`: the tests that a configuration brings along."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.agent import shipper

CONFIG = """
data_dir: ./data
inputs: {app: {type: stdin}}
filters:
  parse: {type: parse, format: json}
  hide: {type: redact, detect: [email]}
outputs: {out: {type: stdout}}
tests:
  - name: hides mail addresses
    pipeline: main
    input: [{message: '{"msg": "from ann@example.com"}'}, '{"msg": "nothing"}']
    expect: [{msg: "from [email]"}, {msg: nothing}]
"""
FAILING = """
  - name: a wrong value, a missing field
    input: [{message: '{"a": 1}'}]
    expect: [{a: 2, b: 3}]
  - name: too few
    input: [{message: '{"a": 1}'}]
    expect: []
  - name: more than wanted
    input: [{message: '{"a": 1, "b": 2}'}]
    expect: [{a: 1}]
    exact: true
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "shipper.yaml"
    file.write_text(text)
    return file


def test_passing(tmp_path: Path) -> None:
    """All pass: status 0, a line for each, and no data folder is made."""
    done = shipper("test", "-c", write(tmp_path, CONFIG))
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed  hides mail addresses\n", "1 passed, 0 failed\n")
    assert not (tmp_path / "data").exists()


def test_failing(tmp_path: Path) -> None:
    """Status 1; each failing test says what was expected and what was found; the others still run."""
    done = shipper("test", "-c", write(tmp_path, CONFIG + FAILING))
    assert done.returncode == 1
    assert done.stderr == "1 passed, 3 failed\n"
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "passed  hides mail addresses",
        "failed  a wrong value, a missing field",
        "failed  too few",
        "failed  more than wanted",
    ]
    for words in (
        "expected a: 2, found 1",
        "has no b",
        "expected 0 events, 1 came out",
        "expected nothing more, found b",
    ):
        assert words in done.stdout


def test_as_json(tmp_path: Path) -> None:
    """`--json`: a list of names and problems on stdout, nothing else there."""
    done = shipper("test", "--json", "-c", write(tmp_path, CONFIG + FAILING))
    assert done.returncode == 1
    results = json.loads(done.stdout)
    assert [set(result) for result in results] == [{"name", "problems"}] * 4
    assert [len(result["problems"]) for result in results] == [0, 2, 1, 1]


def test_bad_configuration_is_2(tmp_path: Path) -> None:
    """Problems of the configuration come before its tests, with status 2."""
    done = shipper("test", "-c", write(tmp_path, CONFIG.replace("type: redact", "type: redacted")))
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'redact'?" in done.stderr


def test_each_test_has_fresh_filters(tmp_path: Path) -> None:
    """What a filter remembers from one test is not there in the next."""
    text = CONFIG.partition("tests:")[0].replace(
        "hide: {type: redact, detect: [email]}", "once: {type: dedupe, fields: [a]}"
    )
    same = "  - {name: once, input: ['{\"a\": 1}', '{\"a\": 1}'], expect: [{a: 1}]}\n"
    done = shipper("test", "-c", write(tmp_path, text + "tests:\n" + same + same.replace("once,", "again,")))
    assert done.returncode == 0, done.stdout


def test_a_configuration_without_tests_passes(tmp_path: Path) -> None:
    """None failed: status 0."""
    done = shipper("test", "-c", write(tmp_path, CONFIG.partition("tests:")[0]))
    assert (done.returncode, done.stderr) == (0, "0 passed, 0 failed\n")
