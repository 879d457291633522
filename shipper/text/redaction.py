"""Finding values by detectors in texts and in nested events, and putting something else in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from shipper.text.credentials import is_secret_name
from shipper.text.detectors import Detector
from shipper.text.screening import Work

Replace = Callable[[Detector, str], str]

REMOVED: Any = object()
"""What stands for a field that is to go as a whole."""
AS_TEXT = (date, datetime, time, UUID, Decimal, PurePath, bytes)


NAMES = 4096
SECRET, FOUND = 1, 2


class Unreadable(Exception):
    """A value whose text cannot be known, so that nobody can say what is in it."""


class Redactor:
    """Puts `replace(detector, value)` in the place of every value found that is not `allowed`.

    Nothing that is handed in is changed: what changes is copied along its path, what does not is the same
    object as before. `found` counts replacements by detector. `removes`: a field whose name says that it is
    secret goes as a whole.
    """

    def __init__(
        self,
        work: Work,
        replace: Replace,
        allowed: Callable[[str], bool] | None = None,
        removes: bool = False,
    ) -> None:
        self.work = work
        self.replace = replace
        self.allowed = allowed
        self.removes = removes
        self.password = next((detector for detector, _ in work if detector.name == "password"), None)
        self.found: dict[str, int] = {}
        self.names: dict[Any, int] = {}
        """What was learnt about names of fields: SECRET, FOUND, both, or 0."""

    def text(self, text: str, work: Work) -> str:
        parts = [text]  # by turns text, and what stands for a value
        for detector, possible in work:
            if possible(text):
                parts = self._claimed(parts, detector)
        return text if len(parts) == 1 else "".join(parts)

    def _claimed(self, parts: list[str], detector: Detector) -> list[str]:
        """The parts with the detector's values taken out of those that are still text."""
        made: list[str] = []
        replace, allowed, count = self.replace, self.allowed, 0
        for index, part in enumerate(parts):
            if index % 2:
                made.append(part)
                continue
            at = 0
            for start, end in detector.find(part):
                if allowed is not None and allowed(part[start:end]):
                    continue
                made += (part[at:start], replace(detector, part[start:end]))
                at = end
                count += 1
            made.append(part[at:])
        if count:
            self.found[detector.name] = self.found.get(detector.name, 0) + count
        return made

    def value(self, value: Any, work: Work) -> Any:
        """The value, or a changed copy; raises Unreadable for what has no text."""
        kind = type(value)
        if kind is str:
            return self.text(value, work)
        if value is None or kind is bool:
            return value
        if kind is int or kind is float:
            return self._number(value, work)
        if isinstance(value, Mapping):
            return self.mapping(value, work)
        if isinstance(value, (list, tuple)):
            made = [self.value(item, work) for item in value]
            return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
        if isinstance(value, (str, *AS_TEXT)):
            text = str.__str__(value) if isinstance(value, str) else str(value)
            made_text = self.text(text, work)
            return value if made_text is text else made_text
        raise Unreadable(f"a value of the type {kind.__name__} cannot be read")

    def mapping(self, mapping: Mapping[Any, Any], work: Work) -> Any:
        """The mapping, or a changed copy: values, and the names themselves."""
        names, tests = self.names, [possible for _, possible in work]
        fresh: dict[Any, Any] = {}  # name as it was -> the new value; no value changes most of the time
        renamed = False
        for name, value in mapping.items():
            kind = names.get(name)
            if kind is None:
                kind = self._name(name)
            if kind & FOUND:
                renamed = True
            if kind & SECRET:
                made = self.hidden(value)
            elif type(value) is str:
                for possible in tests:
                    if possible(value):
                        made = self.text(value, work)
                        break
                else:
                    continue
            elif value is None:
                continue
            else:
                made = self.value(value, work)
            if made is not value:
                fresh[name] = made
        if renamed:
            return self._renamed(mapping, fresh)
        if not fresh:
            return mapping
        if self.removes:
            return {name: made for name, old in mapping.items() if (made := fresh.get(name, old)) is not REMOVED}
        return {**mapping, **fresh}

    def _name(self, name: Any) -> int:
        """What the name of a field is: its text may hold a value itself, or say that its value is secret."""
        if len(self.names) >= NAMES:
            self.names.clear()
        if isinstance(name, (tuple, frozenset)):
            raise Unreadable(f"a name of the type {type(name).__name__} cannot be read")
        before = self.found.copy()
        kind = FOUND if self.value(name, self.work) is not name else 0
        self.found = before
        if type(name) is str and self.password is not None and is_secret_name(name):
            kind |= SECRET
        self.names[name] = kind
        return kind

    def _renamed(self, mapping: Mapping[Any, Any], fresh: Mapping[Any, Any]) -> dict[Any, Any]:
        """The mapping with new names; those that became equal are told apart, `[email]`, `[email]#2`: nothing is lost."""
        made: dict[Any, Any] = {}
        for name, old in mapping.items():
            value = fresh.get(name, old)
            if value is REMOVED:
                continue
            new = free = self.value(name, self.work)
            number = 1
            while free in made:
                number += 1
                free = f"{new}#{number}"
            made[free] = value
        return made

    def hidden(self, value: Any) -> Any:
        """What stands for all of a value that sits under a secret name."""
        password = self.password
        assert password is not None
        if self.removes:
            self._hid(password)
            return REMOVED
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            hidden = {key: self.hidden(item) for key, item in value.items()}
            return self._renamed(value, hidden)
        if isinstance(value, (list, tuple)):
            return [self.hidden(item) for item in value]
        if not isinstance(value, (str, int, float, *AS_TEXT)):
            raise Unreadable(f"a value of the type {type(value).__name__} cannot be read")
        text = str(value)
        if not text or (self.allowed is not None and self.allowed(text)):
            return value
        self._hid(password)
        return self.replace(password, text)

    def _hid(self, password: Detector) -> None:
        self.found[password.name] = self.found.get(password.name, 0) + 1

    def _number(self, value: int | float, work: Work) -> Any:
        if isinstance(value, int) and value.bit_length() > 1024:
            raise Unreadable("a number of more than 300 digits cannot be read")
        numeric = [each for each in work if each[0].numbers]
        if not numeric:
            return value
        text = str(value)
        made = self.text(text, numeric)
        return value if made is text else made
