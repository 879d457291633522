"""A dead letter as a line of JSON, and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import orjson

from shipper.batch import Event

DEEPEST = 200
"""Levels of an event that are written as they are; what lies below becomes text."""
MOST = 1_000_000
"""Parts of such a text; only what holds itself in more than 200 steps has more."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One event and why it was set aside."""

    event: Event
    reason: str
    status: int | None = None
    attempts: int = 1
    pipeline: str | None = None
    """The pipeline of the filter that set it aside; an output's letters have none."""


def encode_letter(time: str, component: str, letter: Letter) -> bytes:
    """One line: `{"time", "component", "reason", "status", "attempts", "event"}`, and `pipeline` of a filter's."""
    head: dict[str, Any] = {
        "time": time,
        "component": component,
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
    }
    if letter.pipeline is not None:
        head["pipeline"] = letter.pipeline
    try:
        return orjson.dumps({**head, "event": letter.event}, default=str) + b"\n"
    except orjson.JSONEncodeError:
        # what orjson cannot say (lone surrogates, integers over 64 bits, deep nesting) the slow way can
        return json.dumps({**head, "event": _shallow(letter.event)}, allow_nan=False).encode("ascii") + b"\n"


def decode_letter(line: bytes) -> dict[str, Any] | None:
    """The letter of a line, or None when it is none: half of one that a crash left, or damaged."""
    try:
        letter = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            letter = json.loads(line)  # it reads lone surrogates, which orjson does not
        except (ValueError, RecursionError):
            return None
    if isinstance(letter, dict) and isinstance(letter.get("event"), dict):
        return letter
    return None


def _shallow(value: Any, around: tuple[int, ...] = ()) -> Any:
    """The value in JSON's own types; what is nested over 200 levels, or in itself, as text."""
    if not isinstance(value, dict | list | tuple):
        return _plain(value)
    if id(value) in around:
        return "[circular]"
    if len(around) > DEEPEST:
        return _flat(value)
    around = (*around, id(value))
    if isinstance(value, dict):
        return {str(key): _shallow(each, around) for key, each in value.items()}
    return [_shallow(each, around) for each in value]


def _plain(value: Any) -> Any:
    """A value that holds no others, such that JSON can say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None  # as orjson writes it
    if isinstance(value, int) and value.bit_length() > 1024:
        return hex(value)  # more digits than a number can have; Python itself refuses to write some of them
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _flat(value: Any) -> str:
    """Any nesting as JSON text, without recursion; cut off where it is too much to be an event."""
    out: list[str] = []
    stack: list[Any] = [value]
    while stack and len(out) < MOST:
        each = stack.pop()
        if isinstance(each, _Text):
            out.append(each)
        elif isinstance(each, dict):
            parts: list[Any] = [_Text("{")]
            for index, (key, inner) in enumerate(each.items()):
                parts += [_Text(("," if index else "") + json.dumps(str(key)) + ":"), inner]
            stack += reversed([*parts, _Text("}")])
        elif isinstance(each, list | tuple):
            parts = [_Text("[")]
            for index, inner in enumerate(each):
                parts += [_Text("," if index else ""), inner]
            stack += reversed([*parts, _Text("]")])
        else:
            out.append(json.dumps(_plain(each)))
    return "".join(out)


class _Text(str):
    """JSON that is finished."""

    __slots__ = ()
