"""A templated path below a folder: which rendered texts are names below it, and which would be elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shipper.batch import Attrs, Event
from shipper.text.templates import Template

LONGEST_NAME = 255
ROTATED = 32
"""Bytes that a rotated file's name may be longer."""
HOLE = re.compile(r"\{\{|\}\}|\{(?:\"(?:[^\"\\]|\\.)*\"|[^{}\"])*\}", re.DOTALL)


class Confined:
    """A template whose texts stay below `base`: the folder that the text in front of the first field names.

    A value from an event can be a name or a part of one, never more: no `/`, `..`, control characters, nothing
    empty, nothing longer than a name can be.
    """

    def __init__(self, template: Template) -> None:
        self.template = template
        self.prefix = template.prefix[: template.prefix.rfind("/") + 1]
        self.base = self.prefix.rstrip("/") or self.prefix[:1] or "."
        skeleton = HOLE.sub(lambda found: found[0][0] if found[0] in ("{{", "}}") else "x", template.text)
        self.depth = skeleton.count("/")
        self.behind = skeleton[len(self.prefix) :].split("/")

    def problems(self) -> Iterator[str]:
        """What is wrong with the template itself, in sentences."""
        if self.base == "/" and self.template.fields:
            yield "events could name any folder of the machine: begin with a folder, /data/logs/{service}.log"
        if problem := unfit(self.behind):
            yield problem

    def segments(self, text: str) -> list[str]:
        """The names below the base."""
        return text[len(self.prefix) :].split("/")

    def problem(self, text: str) -> str | None:
        """Why this text is no path below the base, or None."""
        if not text.startswith(self.prefix):
            return f"outside of {self.base}"
        return unfit(self.segments(text), LONGEST_NAME - ROTATED)

    def deep(self, text: str) -> bool:
        """Whether the text has more levels than the template: then ask `climbs` of each event."""
        return bool(self.template.fields) and text.count("/") > self.depth

    def climbs(self, event: Event, attrs: Attrs) -> bool:
        """Whether a value, and not a time or a default that the user wrote, brings a slash."""
        values = [path.get(event, attrs) for path in self.template.fields]
        return any(isinstance(value, str) and "/" in value for value in values)


def unfit(segments: Sequence[str], longest: int = LONGEST_NAME) -> str | None:
    """Why these names are not a path below a folder, or None when they are one."""
    for name in segments:
        if name in ("", ".", ".."):
            return f"{name!r} is no name for a file or folder"
        if any(char < " " or char == "\x7f" for char in name):
            return "a name with control characters"
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            return "a name that is not Unicode"
        if size > longest:
            return f"a name of {size} bytes, longer than {longest}"
    return None
