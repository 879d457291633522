"""The real process and patterns that would take years: it stays awake, and says which events they were."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

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
STALL = 0.25
MARGIN = 2.0
"""The machine may be busy with other tests, and the stall is wall-clock time."""


def lines() -> list[str]:
    """Five thousand lines, a tenth of them poison for one pattern or for all, of 26 to 1,000 characters."""
    bad = ["a" * 26 + "!", "b" * 40 + "!", "d" * 60 + "!", "a" * 1000 + "!", "word " * 30 + "!"]
    return [bad[number // 10 % 5] if number % 10 == 3 else f"good line {number}" for number in range(5000)]


def test_the_loop_turns_on_and_every_line_arrives(tmp_path: Path) -> None:
    """Catastrophic patterns in `parse`, `redact`, a condition and `multiline`: the loop stalls for 250 ms at most."""
    text = "\n".join(lines()) + "\n"
    (tmp_path / "app.log").write_text(text)
    (tmp_path / "joined.log").write_text(text)
    with Agent(CONFIG, tmp_path) as agent:
        agent.wait_for(lambda: agent.answers("/livez") == 200 and len(list(ndjson(tmp_path / "out.ndjson"))) >= 10_000)
        status, timeouts = agent.status(), agent.metric("shipper_regex_timeouts_total", component="parse")
        by_input = agent.metric("shipper_regex_timeouts_total", component="joined")
        assert agent.metric("shipper_component_stall_seconds_count", component="filter parse") > 0
        assert not agent.unaccounted()
        assert not agent.tracebacks()
        assert agent.stop() == 0
    print("STALL", status["longest_stall_seconds"], status["held_the_loop"])
    assert status["longest_stall_seconds"] < STALL * MARGIN
    assert status["held_the_loop"]["filter parse"]["batches"] > 0
    assert "filter parse held the loop for" in agent.stderr
    found = Counter(event["file"].rpartition("/")[2] for event in ndjson(tmp_path / "out.ndjson"))
    assert found == {"app.log": 5000, "joined.log": 5000}
    marked = [event for event in ndjson(tmp_path / "out.ndjson") if "the pattern" in event.get("shipper_error", "")]
    assert timeouts > 0
    assert by_input > 0
    assert len(marked) >= timeouts


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
