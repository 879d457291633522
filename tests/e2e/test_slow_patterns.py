"""The real process and patterns that would take years: it stays awake, and says which events they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.agent import Agent, ndjson, shipper, write_config

CONFIG = r"""
data_dir: ./data
inputs:
  app: {type: file, include: [./app.log], poll_interval: 50ms}
  joined:
    type: file
    include: [./joined.log]
    poll_interval: 50ms
    multiline: {type: start, pattern: '^(\w+\s?)*$', timeout: 100ms}
filters:
  parse: {type: parse, format: regex, pattern: '^(?<words>(\w+\s?)*)$'}
  hide: {type: redact, patterns: {letters: '(?<value>(b+)+)c'}, on_error: pass}
  keep: {type: keep, when: "not matches(message, r'^(d+)+$')"}
outputs: {out: {type: file, path: ./out.ndjson}}
"""
PROMISED = 0.25
MARGIN = 4.0
"""The stall is wall-clock time, and the machine may be busy with other tests; unguarded each of these takes years."""
PARTS = {
    "parse": (None, {"parse": {"type": "parse", "format": "regex", "pattern": r"^(?<words>(\w+\s?)*)$"}}),
    "redact": (None, {"hide": {"type": "redact", "patterns": {"b": r"(?<value>(b+)+)c"}, "on_error": "pass"}}),
    "keep": (None, {"keep": {"type": "keep", "when": r"not matches(message, r'^(d+)+$')"}}),
    "multiline": ({"type": "start", "pattern": r"^(\w+\s?)*$", "timeout": "100ms"}, {}),
}


def lines() -> list[str]:
    """Five thousand lines, a tenth of them poison for one of the patterns or for all, of 26 to 1,000 characters."""
    bad = ["a" * 26 + "!", "b" * 40 + "!", "d" * 60 + "!", "a" * 1000 + "!", "word " * 30 + "!"]
    return [bad[number // 10 % 5] if number % 10 == 3 else f"good line {number}" for number in range(5000)]


@pytest.mark.parametrize("part", PARTS)
def test_the_loop_turns_on_and_every_line_arrives(part: str, tmp_path: Path) -> None:
    """A catastrophic pattern stalls the loop for 250 ms at most; each event on which it took too long is marked."""
    multiline, filters = PARTS[part]
    app = {"type": "file", "include": ["./app.log"], "poll_interval": "50ms", "multiline": multiline}
    out = {"type": "file", "path": "./out.ndjson"}
    config = {"data_dir": "./data", "inputs": {"app": app}, "filters": filters, "outputs": {"out": out}}
    (tmp_path / "app.log").write_text("\n".join(lines()) + "\n")
    with Agent(config, tmp_path) as agent:
        agent.wait_for(lambda: agent.answers("/livez") == 200 and len(list(ndjson(tmp_path / "out.ndjson"))) >= 5000)
        status, timeouts = agent.status(), agent.metric("shipper_regex_timeouts_total")
        assert not agent.unaccounted()
        assert not agent.tracebacks()
        assert agent.stop() == 0
    assert status["longest_stall_seconds"] < PROMISED * MARGIN
    events = list(ndjson(tmp_path / "out.ndjson"))
    assert [event.get("message", event.get("words")) for event in events] == lines()
    marked = [event for event in events if "the pattern" in event.get("shipper_error", "")]
    assert len(marked) == timeouts > 0
    if part == "parse":  # a tenth of a second with one batch is long enough to be said
        assert status["held_the_loop"]["filter parse"]["batches"] > 0
        assert "filter parse held the loop for" in agent.stderr


def test_validate_warns_of_them_with_their_places(tmp_path: Path) -> None:
    """Each with line and column, how bad it is, and what will happen; they are no errors."""
    file = write_config(CONFIG, tmp_path)
    done = shipper("validate", "-c", file)
    assert done.returncode == 0
    warned = [line for line in done.stderr.splitlines() if "doubles with each character" in line]
    places = {line.removeprefix(f"warning: {file}:").partition(": found")[0] for line in warned}
    assert places == {
        "9:39: inputs.joined.multiline.pattern",
        "11:48: filters.parse.pattern",
        "12:44: filters.hide.patterns.letters",
        "13:28: filters.keep.when",
    }
    assert all("8192 characters, for 25ms at most" in line for line in warned)


def test_validate_warns_of_routes_and_allowances(tmp_path: Path) -> None:
    """Conditions of routes and patterns in lists have their own places; safe patterns are not spoken of."""
    file = write_config(
        "inputs: {in: {type: stdin}}\n"
        "filters: {hide: {type: redact, detect: [email], allow: [x, '/(a|aa)+/', '/.*@example[.]com/']}}\n"
        "outputs: {out: {type: stdout}}\n"
        "pipelines: {main: {inputs: [in], filters: [hide], outputs: [{output: out, when: \"matches(m, '(x+x+)+y')\"}]}}\n",
        tmp_path,
    )
    done = shipper("validate", "-c", file)
    assert done.returncode == 0
    warned = [line for line in done.stderr.splitlines() if "expected a pattern" in line]
    assert [line.removeprefix(f"warning: {file}:").partition(": found")[0] for line in warned] == [
        "2:60: filters.hide.allow[1]",
        "4:81: pipelines.main.outputs[0].when",
    ]
