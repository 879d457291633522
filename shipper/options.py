"""The words in which components declare their options.

An option is a field with an annotation: its type, its limits and its description are said there once, and
the reader, the error texts, the JSON Schema and the reference pages derive from it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from contextlib import suppress
from dataclasses import field
from typing import Any, ClassVar, Self, dataclass_transform
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Meta

__all__ = ["RELATIVE", "Duration", "Group", "Meta", "Secret", "Size", "Url", "option"]

HIDDEN = "[secret]"
RELATIVE = {"relative": True}
"""`Meta(extra=RELATIVE)`: a path (or a template or glob of one), relative to the configuration file that names it."""


class Duration(float):
    """Seconds, written `500ms 10s 5m 1h 7d`."""

    UNITS: ClassVar = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise ValueError with what was expected."""
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", text)
        if not found:
            raise ValueError("a duration such as 500ms, 10s, 5m, 1h or 7d")
        return cls(float(found[1]) * cls.UNITS[found[2]])

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self and not self % self.UNITS[unit]:
                return f"{int(self / self.UNITS[unit])}{unit}"
        return f"{round(self * 1000)}ms" if self else "0s"


class Size(int):
    """Bytes, written `512KiB 5MiB 1GiB`, or `KB MB GB` for powers of ten."""

    UNITS: ClassVar = {
        "": 1, "B": 1,
        "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
        "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    }  # fmt: skip

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise ValueError with what was expected."""
        found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d+)?)\s*([KMGT]i?B|B|)\s*", text)
        if not found:
            raise ValueError("a size such as 512KiB, 5MiB or 1GiB")
        return cls(int(float(found[1]) * cls.UNITS[found[2]]))

    def __str__(self) -> str:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self and not self % self.UNITS[unit]:
                return f"{int(self) // self.UNITS[unit]}{unit}"
        return str(int(self))


class Secret:
    """A value that never prints; `reveal()` where it is used."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return HIDDEN

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")


class Url:
    """An address. Printed without its user, password and query values; `reveal()` has them."""

    __slots__ = ("_text",)
    SCHEMES: ClassVar = ("http", "https")

    def __init__(self, text: str) -> None:
        templated = usable = False
        with suppress(ValueError):  # it says what it took for the port, which may be half of a password
            parts = urlsplit(text)
            host = parts.hostname or ""
            templated = "{" in host or "}" in host
            parts.port  # noqa: B018  (it raises ValueError when it is no port)
            usable = parts.scheme in self.SCHEMES and re.fullmatch(r"[\w.:%~-]+", host) is not None
        if templated:
            raise ValueError("an address with a host of its own: no event decides where events go")
        if not usable:
            raise ValueError("an address such as http://127.0.0.1:9200")
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        parts = urlsplit(self._text)
        host = parts.netloc.rpartition("@")
        netloc = f"{HIDDEN}@{host[2]}" if host[1] else host[2]
        query = urlencode([(key, HIDDEN) for key, _ in parse_qsl(parts.query, keep_blank_values=True)], safe="[]")
        return urlunsplit((parts.scheme, netloc, parts.path, query, ""))

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Url", self._text))


def option(default: Any) -> Any:
    """A default that is a list, a mapping or a group: a fresh one for each component."""
    return field(default_factory=default if callable(default) else lambda: type(default)(default))


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Options:
    """Fields are options, fields whose names begin with an underscore are state. A subclass becomes a dataclass by itself."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, annotation in inspect.get_annotations(cls).items():
            if name.startswith("_") and "ClassVar" not in str(annotation):
                default = cls.__dict__.get(name, dataclasses.MISSING)
                if isinstance(default, dataclasses.Field):
                    default.init = False
                    default.repr = False
                else:
                    setattr(cls, name, field(default=default, init=False, repr=False))
        dataclasses.dataclass(kw_only=True, eq=False)(cls)


class Group(Options):
    """Options that belong together, written as a mapping: `tls: {ca: ...}`.

    In a union of groups each has a `tag`; it is written as a mapping with `type`, or, when all its options
    have defaults, as that name alone: `compression: gzip`.
    """

    tag: ClassVar[str] = ""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]
