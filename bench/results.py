"""The JSON of `python -m bench`, read: rows, the agents in them, and ratios between any two."""

from __future__ import annotations

from typing import Any

OURS = "shipper"


class ResultRow:
    """One scenario."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.name: str = row["scenario"]
        self.title: str = row["title"]
        self.lines: int = row["lines"]
        self.sides: dict[str, dict[str, Any]] = {side["agent"]: side for side in row["agents"]}

    @property
    def runs(self) -> int:
        return max((len(side.get("runs") or ()) for side in self.sides.values()), default=0)

    def figure(self, agent: str, name: str, form: str, scale: float = 1.0) -> str:
        """One figure as text; "" where there is none."""
        value = self.sides.get(agent, {}).get(name)
        return (
            "" if value is None or value < 0 else form.format(value * scale)
        )  # an end at whole seconds can be below 0

    def costs(self, agent: str) -> list[float]:
        """CPU seconds a million events that came out, run by run, start-up taken off; [] without figures."""
        side = self.sides.get(agent, {"why_not": "was not there"})
        if side.get("why_not"):
            return []
        return [(run["cpu"] - side["idle"]["cpu"]) / (self.lines - run["lost"]) * 1e6 for run in side["runs"]]

    def ratios(self, other: str) -> list[float]:
        """What we take of another's CPU, pair by pair; [] where one of both has no figures."""
        ours, theirs = self.costs(OURS), self.costs(other)
        return [one / two for one, two in zip(ours, theirs, strict=True)] if ours and theirs else []


class Results:
    def __init__(self, found: dict[str, Any]) -> None:
        self.command: list[str] = found["command"]
        self.rows = [ResultRow(row) for row in found["rows"]]
        self.figures: list[dict[str, Any]] = found["figures"]

    @property
    def agents(self) -> list[str]:
        """Ours, the floor, the peers."""
        return list(dict.fromkeys(name for row in self.rows for name in row.sides))
