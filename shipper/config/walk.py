"""Every value that a component was given, however deep it lies in groups, lists and codecs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shipper.config.annotations import option_fields
from shipper.options import Options

__all__ = ["any_port", "insecure", "walk"]


def walk(options: Options, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of an option's path (`tls.ca`, `endpoints[0]`) and its value, groups and their members too."""
    for name in option_fields(type(options)):
        yield from _within(f"{prefix}{name}", getattr(options, name))


def _within(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, Options):
        yield from walk(value, f"{path}.")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _within(f"{path}.{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _within(f"{path}[{index}]", each)


def insecure(options: Options) -> list[str]:
    """The opt-outs of verification that are on: options whose names begin with `insecure_`."""
    return [path for path, value in walk(options) if path.rpartition(".")[2].startswith("insecure_") and value]


def any_port(options: Options) -> list[str]:
    """Options that are an address to listen on (a `host` and a `port`) with port 0: the kernel chooses."""
    return [path for path, value in walk(options) if getattr(value, "port", None) == 0 and getattr(value, "host", "")]
