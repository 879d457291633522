"""Measured numbers beside their goals, collected over all workers, written to $SHIPPER_FIGURES at the end."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

_KEY = "figure"


@dataclass(frozen=True)
class Figure:
    """One row: `T24`, what was measured, what was wanted, what it was."""

    test: str
    what: str
    goal: str
    measured: str


def record(item: pytest.Item, figure: Figure) -> None:
    """Kept in the test's report, which travels from the workers to the one who writes."""
    item.user_properties.append((_KEY, asdict(figure)))


class Table:
    """Hooks of the process that hears of all reports."""

    def __init__(self) -> None:
        self.rows: list[tuple[Figure, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows += [(Figure(**value), report.outcome) for key, value in report.user_properties if key == _KEY]  # type: ignore[arg-type]

    def text(self) -> str:
        """A Markdown table in order of the numbers; of the same measurement taken twice both rows stand there."""
        rows = sorted(self.rows, key=lambda row: (row[0].test, row[0].what))
        lines = ["| test | what | goal | measured | outcome |", "|---|---|---|---|---|"]
        lines += [f"| {f.test} | {f.what} | {f.goal} | {f.measured} | {outcome} |" for f, outcome in rows]
        return "\n".join(lines) + "\n"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        said = os.environ.get("SHIPPER_FIGURES")
        if not self.rows or not said:
            return
        Path(said).write_text(self.text())
        terminalreporter.write_line(f"{len(self.rows)} figures written to {said}")
