"""A YAML node and an annotation to a typed value; every problem is noted with its place, none ends the reading."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from shipper.component import Codec, Component
from shipper.config.annotations import accepts_null, default_word, has_default, hints_of, option_fields, shaped
from shipper.config.convert import NO, YES, convert, outside
from shipper.config.interpolate import interpolate
from shipper.config.nodes import Mapping as MappingNode
from shipper.config.nodes import Node, Scalar, pairs, problem
from shipper.config.nodes import Sequence as SequenceNode
from shipper.config.words import article, phrase
from shipper.errors import Problem
from shipper.options import Duration, Group, Options, Secret, Url
from shipper.registry import PluginError, Registry


class _Invalid:
    """Stands for a value that could not be read; its problem has been noted."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Any = _Invalid()
PLAIN = "tag:yaml.org,2002:"
REFERENCE = re.compile(r"\$\{(\w+|file:[^{}]*)\}")
"""Says where a secret is, and nothing of it."""


class Reader:
    """Reads nodes by annotations; `problems` and `warnings` grow as it goes."""

    def __init__(self, registry: Registry, env: Mapping[str, str]) -> None:
        self.registry = registry
        self.env = env
        self.problems: list[Problem] = []

    def note(self, node: Node, path: str, message: str, suggestion: str = "") -> Any:
        self.problems.append(problem(node, path, message, suggestion))
        return INVALID

    def expected(self, node: Node, path: str, annotation: Any, expected: str = "", suggestion: str = "") -> Any:
        what = found(node, hide=holds_secret(annotation))
        return self.note(node, path, f"found {what}, expected {expected or phrase(annotation)}", suggestion)

    # values
    def read(self, node: Node, annotation: Any, path: str, metas: tuple[msgspec.Meta, ...] = ()) -> Any:
        """The value, or INVALID after noting why."""
        if get_origin(annotation) is Annotated:
            inner, *more = get_args(annotation)
            return self.read(node, inner, path, metas + tuple(m for m in more if isinstance(m, msgspec.Meta)))
        origin = get_origin(annotation)
        if origin in (Union, types.UnionType):
            return self._union(node, annotation, path, metas)
        if origin is Literal:
            return self._literal(node, annotation, path)
        if origin is list:
            return self._list(node, get_args(annotation)[0], path, metas)
        if origin is dict:
            return self._dict(node, get_args(annotation)[1], path, metas)
        if annotation is Any:
            return self.plain(node, path)
        if isinstance(annotation, type) and issubclass(annotation, Group):
            return self._group(node, [annotation], path)
        if isinstance(annotation, type) and issubclass(annotation, Component):
            return self._component(node, annotation, path)
        return self._scalar(node, origin or annotation, path, metas)

    def text(self, node: Node, path: str) -> str:
        """A scalar's text after interpolation; INVALID (falsely typed) when that fails."""
        assert isinstance(node, Scalar)
        try:
            return interpolate(node.value, self.env, base(node))
        except ValueError as error:
            return typing.cast("str", self.note(node, path, str(error)))

    def _scalar(self, node: Node, kind: Any, path: str, metas: tuple[msgspec.Meta, ...]) -> Any:
        if not isinstance(node, Scalar) or is_null(node):
            return self.expected(node, path, kind)
        text = self.text(node, path)
        if text is INVALID:
            return INVALID
        try:
            value = convert(kind, relative(text, node, metas))
        except ValueError as error:
            return self._bad_value(node, kind, path, error)
        for meta in metas:
            if complaint := outside(value, meta):
                return self.expected(node, path, kind, complaint)
        return value

    def _bad_value(self, node: Node, kind: Any, path: str, error: ValueError) -> Any:
        what = str(error)
        if kind is Duration and isinstance(node, Scalar) and node.value.isdigit():
            return self.expected(node, path, kind, what, f"did you mean {node.value}s?")
        if not what or what.startswith(("a ", "an ", "at ", "one of ")):
            return self.expected(node, path, kind, what)
        tail = "" if "expected" in what or ";" in what else f", expected {phrase(kind)}"
        return self.note(node, path, f"found {found(node, holds_secret(kind))}: {what}{tail}")

    def _union(self, node: Node, annotation: Any, path: str, metas: tuple[msgspec.Meta, ...]) -> Any:
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        optional = len(members) < len(get_args(annotation))
        if optional and isinstance(node, Scalar) and is_null(node):
            return None
        if len(members) == 1:
            return self.read(node, members[0], path, metas)
        groups = [member for member in members if isinstance(member, type) and issubclass(member, Group)]
        if len(groups) == len(members):
            return self._group(node, groups, path)
        tries: list[list[Problem]] = []
        outer = self.problems
        for member in members:
            if not shaped(node, member):
                continue
            self.problems = []
            value = self.read(node, member, path, metas)
            mine, self.problems = self.problems, outer
            if value is not INVALID:
                return value
            tries.append(mine)
        if len(tries) == 1:
            self.problems += tries[0]
            return INVALID
        return self.expected(node, path, annotation)

    def _literal(self, node: Node, annotation: Any, path: str) -> Any:
        choices = get_args(annotation)
        if not isinstance(node, Scalar):
            return self.expected(node, path, annotation)
        text = self.text(node, path)
        if text is INVALID:
            return INVALID
        for choice in choices:
            same_bool = isinstance(choice, bool) and text.lower() in (YES if choice else NO)
            if same_bool or (not isinstance(choice, bool) and str(choice) == text):
                return choice
        return self.expected(node, path, annotation, suggestion=nearest(text, map(str, choices)))

    def _list(self, node: Node, inner: Any, path: str, metas: tuple[msgspec.Meta, ...]) -> Any:
        if not isinstance(node, SequenceNode):
            plain = isinstance(node, Scalar) and node.value and "\n" not in node.value and not holds_secret(inner)
            hint = f"write [{node.value if plain else '...'}]" if isinstance(node, Scalar) else ""
            return self.expected(node, path, list[inner], suggestion=hint)
        values = [self.read(item, inner, f"{path}[{index}]", metas) for index, item in enumerate(node.value)]
        for meta in metas:
            if meta.min_length is not None and len(values) < meta.min_length:
                return self.note(node, path, f"found {len(values)} entries, expected at least {meta.min_length}")
        return INVALID if INVALID in values else values

    def _dict(self, node: Node, inner: Any, path: str, metas: tuple[msgspec.Meta, ...]) -> Any:
        if not isinstance(node, MappingNode):
            return self.expected(node, path, dict[str, inner])
        values = {key.value: self.read(value, inner, f"{path}.{key.value}", metas) for key, value in pairs(node)}
        return INVALID if INVALID in values.values() else values

    def plain(self, node: Node, path: str) -> Any:
        """A value without a declared type: as YAML means it."""
        if isinstance(node, MappingNode):
            return {key.value: self.plain(value, f"{path}.{key.value}") for key, value in pairs(node)}
        if isinstance(node, SequenceNode):
            return [self.plain(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        text = self.text(node, path)
        if text is INVALID or is_null(node):
            return None if is_null(node) else INVALID
        kind = str(node.tag).removeprefix(PLAIN)
        try:
            if kind == "bool" and text.lower() in ("true", "false"):  # `NO` is a country, as in YAML 1.2
                return convert(bool, text)
            if kind in ("int", "float"):
                return convert(int if kind == "int" else float, text)
        except ValueError:
            return text
        return text

    # groups and components
    def _group(self, node: Node, groups: list[type[Group]], path: str) -> Any:
        if len(groups) == 1 and not groups[0].tag:
            if not isinstance(node, MappingNode):
                return self.expected(node, path, groups[0])
            return self.options(node, groups[0], path)
        tags = {group.tag: group for group in groups}
        expected = "one of " + ", ".join(tags)
        if isinstance(node, MappingNode):
            tag = next((value for key, value in pairs(node) if key.value == "type"), None)
            if not isinstance(tag, Scalar):
                return self.note(node, path, f"found a mapping without `type`, expected {expected}")
        else:
            tag = node
        if not isinstance(tag, Scalar) or tag.value not in tags:
            suggestion = nearest(tag.value if isinstance(tag, Scalar) else "", tags)
            hide = not suggestion and any(holds_secret(hint) for group in groups for hint in hints_of(group).values())
            return self.note(tag, path, f"found {found(tag, hide)}, expected {expected}", suggestion)
        return self.options(node, tags[tag.value], path, skip=("type",))

    def _component(self, node: Node, kind: type[Component], path: str) -> Any:
        """A codec, by name or as a mapping with `type`."""
        return self.component(node, kind.kind, path)

    def component(self, node: Node, kind: str, path: str, extra: tuple[str, ...] = ()) -> Any:
        """An instance of a registered type; options named in `extra` are somebody else's to read."""
        cls = self.component_class(node, kind, path)
        if cls is INVALID:
            return INVALID
        return self.options(node, cls, path, skip=("type", *extra))

    def component_class(self, node: Node, kind: str, path: str) -> Any:
        tag: Node | None = node
        if isinstance(node, MappingNode):
            tag = next((value for key, value in pairs(node) if key.value == "type"), None)
            if tag is None:
                return self.note(node, path, f"found no `type`, expected the type of {article(kind)}")
        if not isinstance(tag, Scalar) or (kind != Codec.kind and tag is node):
            return self.note(node, path, f"found {found(node)}, expected a mapping with `type`")
        name = self.text(tag, path)
        if name is INVALID:
            return INVALID
        try:
            return self.registry.get(kind, name)
        except PluginError as error:
            names = self.registry.names(kind)
            if name in names:
                return self.note(tag, f"{path}.type" if tag is not node else path, str(error))
            return self.note(
                tag, f"{path}.type" if tag is not node else path,
                f"found {name!r}, expected a type of {kind}: {', '.join(names)}", nearest(name, names),
            )  # fmt: skip

    def options(self, node: Node, cls: type[Options], path: str, skip: tuple[str, ...] = ()) -> Any:
        """The keyword arguments and the instance of a class of options; checks of the whole included."""
        values = self.arguments(node, cls, path, skip)
        if values is INVALID:
            return INVALID
        try:
            instance = cls(**values)
            complaints = list(instance.check()) if isinstance(instance, Component) else []
        except ValueError as error:
            return self.note(node, path, str(error))
        except Exception as error:  # a bug, most likely in a plugin
            return self.note(node, path, f"{cls.__name__} cannot be made: {type(error).__name__}: {error}")
        if isinstance(instance, Component):
            complaints += self._directions(instance, values)
            for name, message in complaints:
                self.note(self.option_node(node, name), f"{path}.{name}" if name else path, message)
            if complaints:
                return INVALID
        return instance

    def _directions(self, owner: Component, values: dict[str, Any]) -> Iterable[tuple[str, str]]:
        """An input's codec must read, an output's must write."""
        needed = "encode" if owner.kind == "output" else "decode"
        for name, value in values.items():
            if isinstance(value, Codec) and needed not in value.directions:
                verb = "writes" if needed == "encode" else "reads"
                yield name, f"found a codec that only {value.directions[0]}s, expected one that {verb}"

    def arguments(self, node: Node, cls: type[Options], path: str, skip: tuple[str, ...] = ()) -> Any:
        known = option_fields(cls)
        hints = hints_of(cls)
        given = pairs(node) if isinstance(node, MappingNode) else []
        values: dict[str, Any] = {}
        wrong = False
        for key, value in given:
            name = key.value
            if name in skip:
                continue
            here = f"{path}.{name}" if path else name
            if name not in known:
                names = [*known, *skip]
                self.note(
                    key,
                    here,
                    f"found an unknown option {name!r}, expected one of {', '.join(names)}",
                    nearest(name, names),
                )
                wrong = True
                continue
            if (
                isinstance(value, Scalar)
                and is_null(value)
                and not accepts_null(hints[name])
                and has_default(known[name])
            ):
                continue  # `tls:` with nothing behind it means: as if it were not there
            values[name] = self.read(value, hints[name], here)
            wrong = wrong or values[name] is INVALID
        for name, each in known.items():
            if name in values or any(key.value == name for key, _ in given):
                continue
            if (word := default_word(hints[name])) is not None and not has_default(each):
                values[name] = self.registry.get(Codec.kind, word)()
            elif not has_default(each):
                self.note(
                    node, f"{path}.{name}" if path else name, f"found no `{name}`, expected {phrase(hints[name])}"
                )
                wrong = True
        return INVALID if wrong else values

    def option_node(self, node: Node, name: str) -> Node:
        """Where an option was written (`tls.ca`, `allow[1]`), or where its component begins."""
        for part in name.replace("[", ".[").split(".") if name else []:
            if part.startswith("[") and isinstance(node, SequenceNode) and part[1:-1].isdigit():
                if int(part[1:-1]) >= len(node.value):
                    return node
                node = node.value[int(part[1:-1])]
                continue
            inner = [v for k, v in pairs(node) if k.value == part] if isinstance(node, MappingNode) else []
            if not inner:
                return node
            node = inner[0]
        return node


def relative(text: str, node: Node, metas: Iterable[msgspec.Meta]) -> str:
    """A path (or a template or glob of one) relative to the file that names it."""
    if any(meta.extra and meta.extra.get("relative") for meta in metas) and not text.startswith(("/", "{")):
        return str(base(node) / text)
    return text


def base(node: Node) -> Path:
    return Path(node.start_mark.name).resolve().parent


def is_null(node: Node) -> bool:
    return bool(node.tag == PLAIN + "null")


def found(node: Node, hide: bool = False) -> str:
    """What a person reads about what stands there."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if is_null(node):
        return "nothing"
    if hide and not REFERENCE.fullmatch(node.value):
        return "a value"
    text = node.value if len(node.value) <= 60 else node.value[:57] + "..."
    return repr(text)


def holds_secret(annotation: Any) -> bool:
    """Whether what is written for it may be a secret: one, an address, or a list or mapping of them."""
    if isinstance(annotation, type) and issubclass(annotation, Secret | Url):
        return True
    return any(holds_secret(inner) for inner in get_args(annotation))


def nearest(word: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
