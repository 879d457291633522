"""Whether speed was kept, with made-up measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.kept import LIMIT, NAMES, RECORDED, NoFigure, Ratios, grown, main

KEPT = dict.fromkeys(NAMES, 1.2)
TOO_MUCH = 1.2 * LIMIT * 1.01


class Measured:
    """Answers in turn; remembers what it was asked for."""

    def __init__(self, *answers: Ratios) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, names: Sequence[str]) -> Ratios:
        self.asked.append([*names])
        return self.answers.pop(0)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps({"ratios": KEPT}))
    return path


def test_what_is_within_the_limit_is_measured_once_and_passes(recorded: Path) -> None:
    """Just below the limit is no reason for a second look."""
    measured = Measured(dict.fromkeys(NAMES, 1.2 * LIMIT * 0.99))
    assert main([], measured, recorded) == 0
    assert len(measured.asked) == 1


def test_once_over_the_limit_is_not_enough(recorded: Path) -> None:
    """Only what was over it is measured again, and when that finds nothing the check passes."""
    measured = Measured({**KEPT, "json": TOO_MUCH}, {"json": 1.2})
    assert main([], measured, recorded) == 0
    assert measured.asked == [list(NAMES), ["json"]]


def test_twice_over_the_limit_fails_and_says_which(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scenario, both measurements and what was recorded are named; others that were over it once are not."""
    measured = Measured({**KEPT, "json": TOO_MUCH, "es": TOO_MUCH}, {"json": 2.4, "es": 1.3})
    assert main([], measured, recorded) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"json: {TOO_MUCH:.2f} and again 2.40 times the floor, recorded 1.20")
    assert "es:" not in said


def test_a_scenario_without_a_recorded_ratio_is_a_failure(recorded: Path) -> None:
    """A new scenario must be recorded before it can be kept."""
    with pytest.raises(NoFigure, match="syslog"):
        grown({name: 1.0 for name in NAMES if name != "syslog"}, Measured())
    recorded.write_text('{"ratios": {}}')
    assert main([], Measured(), recorded) == 1


def test_what_cannot_be_measured_is_a_failure(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An agent that loses a line has no ratio, and the check says why."""

    def broken(names: Sequence[str]) -> Ratios:
        raise NoFigure("raw: 10 events were to come, 9 came out")

    assert main([], broken, recorded) == 1
    assert "9 came out" in capsys.readouterr().err


def test_recording_writes_what_the_next_check_compares_with(tmp_path: Path) -> None:
    """`--record` and the check understand each other."""
    path = tmp_path / "recorded.json"
    assert main(["--record"], Measured(dict.fromkeys(NAMES, 2.0)), path) == 0
    assert main([], Measured(dict.fromkeys(NAMES, 1.99 * LIMIT)), path) == 0
    assert main([], Measured(*[dict.fromkeys(NAMES, 2.01 * LIMIT)] * 2), path) == 1


def test_what_is_recorded_is_complete() -> None:
    """The file that CI compares with has every scenario of the check, each a plausible ratio."""
    ratios = json.loads(RECORDED.read_text())["ratios"]
    assert sorted(ratios) == sorted(NAMES)
    assert all(0.3 < ratio < 5 for ratio in ratios.values())
