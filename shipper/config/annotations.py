"""What a component's annotations say: its options, their limits and defaults."""

from __future__ import annotations

import inspect
import types
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from shipper.component import Component
from shipper.config.nodes import Mapping as MappingNode
from shipper.config.nodes import Node, Scalar
from shipper.config.nodes import Sequence as SequenceNode
from shipper.options import Group, Options


def option_fields(cls: type[Options]) -> dict[str, Field[Any]]:
    """The options of a class by name, base classes' last."""
    mine = [f for f in fields(cls) if f.init and not f.name.startswith("_")]  # type: ignore[arg-type]
    own = set(inspect.get_annotations(cls))
    return {f.name: f for f in sorted(mine, key=lambda f: f.name not in own)}


def hints_of(cls: type[Options]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def has_default(option: Field[Any]) -> bool:
    return option.default is not MISSING or option.default_factory is not MISSING


def metas_of(annotation: Any) -> tuple[msgspec.Meta, ...]:
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(each for each in get_args(annotation)[1:] if isinstance(each, msgspec.Meta))


def default_word(annotation: Any) -> str | None:
    """The codec that an option means when it is not given: `Meta(extra={"default": "ndjson"})`."""
    return next(
        (str(meta.extra["default"]) for meta in metas_of(annotation) if meta.extra and "default" in meta.extra), None
    )


def accepts_null(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return accepts_null(get_args(annotation)[0])
    return annotation is Any or types.NoneType in get_args(annotation)


def shaped(node: Node, annotation: Any) -> bool:
    """Whether a node has the outer form of a type: a list, a mapping, or a single value."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin = get_origin(annotation)
    if annotation is Any:
        return True
    if origin is list:
        return isinstance(node, SequenceNode)
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Group) and not annotation.tag):
        return isinstance(node, MappingNode)
    if isinstance(annotation, type) and issubclass(annotation, Group | Component):
        return isinstance(node, MappingNode | Scalar)
    return isinstance(node, Scalar)
