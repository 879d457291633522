"""Errors say what happens next: the class of an exception tells the caller what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipper.batch import Event, Piece


class ShipperError(Exception):
    """Everything that Shipper raises on purpose."""


class Unavailable(ShipperError):
    """Try again, no sooner than `after` seconds from now."""

    def __init__(self, reason: str = "", after: float = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Rejected(ShipperError):
    """The destination will never take these events. Never about the address or the credentials."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class TooLarge(Rejected):
    """The request is larger than the destination takes: split it."""

    def __init__(self, reason: str = "too large", status: int | None = None) -> None:
        super().__init__(reason, status)


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that is set aside alone, and why. A value, not raised: `encode` yields it."""

    event: Event
    reason: str
    status: int | None = None


class Partial(ShipperError):
    """Some of a request is done: `rest` is to be sent again, `refused` is set aside, all else was delivered."""

    def __init__(
        self,
        rest: Sequence[Piece] = (),
        refused: Iterable[Refused] = (),
        after: float = 0,
        reason: str = "",
    ) -> None:
        super().__init__(reason)
        self.rest = list(rest)
        self.refused = list(refused)
        self.after = after
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, what was found, what was expected, what to try."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = ": ".join(part for part in (where, self.path, self.message) if part)
        return f"{text}; {self.suggestion}" if self.suggestion else text


class ConfigError(ShipperError):
    """The configuration cannot be used; `problems` are all of its problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)
