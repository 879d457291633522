"""Finds components by kind and type name; a module is imported only when a configuration uses it.

A type's name is its file's name (`shipper/outputs/loki.py` is `type: loki`), an entry point's name in the group
`shipper.outputs`, or the name of a drop-in file in one of the plugin folders. The same name twice is an error
that names both places.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

from shipper.component import Codec, Component, Filter, Input, Output
from shipper.errors import ShipperError

KINDS: dict[str, type[Component]] = {"input": Input, "filter": Filter, "output": Output, "codec": Codec}
HOUSE = Path(__file__).parent


class PluginError(ShipperError):
    """A type that cannot be had: unknown, ambiguous, or broken."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a type comes from."""

    kind: str
    name: str
    origin: str
    """What a person is told: a file or `distribution entry point`."""
    module: str = ""
    file: Path | None = None
    attribute: str = ""


class Registry:
    """All types that can be used: ours, installed ones, and the drop-ins of these folders."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = tuple(folders)
        self._classes: dict[tuple[str, str], type[Component]] = {}

    def names(self, kind: str) -> list[str]:
        """Every type name of a kind, without importing any."""
        return sorted({place.name for place in self.places(kind)})

    def places(self, kind: str) -> Iterator[Place]:
        for file in sorted((HOUSE / f"{kind}s").glob("*.py")):
            if not file.stem.startswith("_"):
                yield Place(kind, file.stem, f"shipper/{kind}s/{file.name}", module=f"shipper.{kind}s.{file.stem}")
        for place in installed():
            if place.kind == kind:
                yield place
        yield from self._drop_ins(kind)

    def _drop_ins(self, kind: str) -> Iterator[Place]:
        for folder in self.folders:
            for where in (folder, folder / f"{kind}s"):
                for file in sorted(where.glob("*.py")):
                    if file.stem.startswith(("_", "test_")) or file.stem == "conftest":
                        continue
                    if where is not folder or kind_of(file) == kind:
                        yield Place(kind, file.stem, str(file), file=file)

    def get(self, kind: str, name: str) -> type[Component]:
        """The class; raise PluginError with what to do."""
        found = self._classes.get((kind, name))
        if found is None:
            places = [place for place in self.places(kind) if place.name == name]
            if not places:
                raise PluginError(f"no {kind} of type {name!r}")
            if len(places) > 1:
                raise PluginError(f"{kind} type {name!r} is there twice: {places[0].origin} and {places[1].origin}")
            found = self._load(places[0])
            try:
                get_type_hints(found, include_extras=True)
            except Exception as error:
                raise PluginError(f"{places[0].origin}: an annotation cannot be read: {error}") from error
            self._classes[kind, name] = found
        return found

    def origin(self, kind: str, name: str) -> str:
        return next((place.origin for place in self.places(kind) if place.name == name), "")

    def _load(self, place: Place) -> type[Component]:
        try:
            module = self._from_file(place.file) if place.file else importlib.import_module(place.module)
        except (Exception, SystemExit) as error:
            if place.file is None and place.origin.startswith("shipper/"):
                raise
            raise PluginError(f"{place.origin} cannot be imported: {type(error).__name__}: {error}") from error
        if place.attribute:
            chosen = getattr(module, place.attribute, None)
            candidates = [chosen] if inspect.isclass(chosen) else []
        else:
            candidates = [
                value
                for value in vars(module).values()
                if inspect.isclass(value) and value.__module__ == module.__name__
            ]
        base = KINDS[place.kind]
        fitting = [value for value in candidates if issubclass(value, base) and not value.__name__.startswith("_")]
        if len(fitting) != 1:
            named = [value for value in fitting if value.__name__.lower() == place.name.replace("_", "").lower()]
            if len(named) == 1:
                return named[0]
            count = "no" if not fitting else "more than one"
            raise PluginError(f"{place.origin} has {count} class derived from {base.__name__}")
        return fitting[0]

    def _from_file(self, file: Path) -> ModuleType:
        """The module of a drop-in; the same one for the same text, so that a reload sees what did not change."""
        resolved = file.resolve()
        digest = hashlib.sha256(bytes(resolved) + b"\0" + resolved.read_bytes()).hexdigest()[:16]
        name = f"shipper_plugin_{file.stem}_{digest}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, resolved)
            if spec is None or spec.loader is None:
                raise PluginError(f"{file} is not a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # dataclasses and get_type_hints look their module up there
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]


BASES = {
    "Input": "input", "Filter": "filter", "EventFilter": "filter", "Output": "output", "EventOutput": "output",
    "Codec": "codec",
}  # fmt: skip


HEAD = re.compile(rb"^class\s+\w+\s*\(\s*(?:\w+\.)?(\w+)", re.MULTILINE)


def kind_of(file: Path) -> str | None:
    """The kind of a drop-in file by the bases its classes name, read without running it."""
    try:
        text = file.read_bytes()
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # found all the same, so that whoever names it is told what is wrong with it
        named = HEAD.search(text)
        return BASES.get(named[1].decode()) if named else None
    except OSError:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
                if name in BASES:
                    return BASES[name]
    return None


@cache
def installed() -> tuple[Place, ...]:
    """Types that other distributions bring along.

    `importlib.metadata` alone costs 60-90 ms at start, so it is asked only when some distribution on the path
    mentions one of our groups.
    """
    if not any(b"[shipper." in text for text in _entry_point_files()):
        return ()
    from importlib.metadata import entry_points

    places = []
    for kind in KINDS:
        for point in entry_points(group=f"shipper.{kind}s"):
            origin = f"{point.dist.name if point.dist else 'a distribution'} ({point.value})"
            module, _, attribute = point.value.partition(":")
            places.append(Place(kind, point.name, origin, module=module, attribute=attribute))
    return tuple(places)


def _entry_point_files() -> Iterator[bytes]:
    for folder in sys.path:
        root = Path(folder or ".")
        try:
            for file in root.glob("*.dist-info/entry_points.txt"):
                yield file.read_bytes()
        except OSError:
            continue
