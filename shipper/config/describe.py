"""What a component's annotations say, for people (pages) and for editors (JSON Schema)."""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from shipper.component import Codec, Component, Output
from shipper.config.annotations import default_word, has_default, hints_of, metas_of, option_fields
from shipper.config.model import PipelineOptions, Settings, TestOptions
from shipper.config.words import phrase
from shipper.options import Duration, Group, Options, Size
from shipper.policy import Delivery
from shipper.registry import KINDS, Registry

Schema = dict[str, Any]
INTERPOLATED = {"type": "string", "pattern": r"\$\{"}


# pages
def page(registry: Registry, kind: str, name: str) -> str:
    """One component's reference page, in Markdown."""
    cls = registry.get(kind, name)
    lines = [f"# {kind} `{name}`", "", inspect.getdoc(cls) or "", "", "## Options", "", *table(cls)]
    if issubclass(cls, Output):
        lines += ["", "## Delivery", "", "The core's options, under `delivery:`, with this output's defaults.", ""]
        lines += table(Delivery, cls.delivery)
    return "\n".join(lines).rstrip() + "\n"


def table(cls: type[Options], defaults: Any = None) -> list[str]:
    """The options of a class as a Markdown table; those of groups inside follow with their path."""
    rows = list(_rows(cls, "", defaults))
    if not rows:
        return ["It has none."]
    return ["| option | what it takes | default | what it does |", "|---|---|---|---|", *rows]


def _rows(cls: type[Options], path: str, defaults: Any = None) -> list[str]:
    rows: list[str] = []
    hints = hints_of(cls)
    for name, field in option_fields(cls).items():
        annotation = hints[name]
        value = getattr(defaults, name) if defaults is not None else default_of(field, annotation)
        groups = _groups(annotation)
        description = " ".join(meta.description for meta in metas_of(annotation) if meta.description)
        if not description and len(groups) == 1:
            description = (inspect.getdoc(groups[0]) or "").splitlines()[0]
        shown = "required" if value is MISSING else f"`{shown_value(value)}`"
        rows.append(
            f"| `{path}{name}` | {escape(phrase(annotation))}{limits(annotation)} | {escape(shown)} | {escape(description)} |"
        )
        for group in groups:
            inner = f"{path}{name}." if not group.tag else f"{path}{name}({group.tag})."
            rows += _rows(group, inner, value if isinstance(value, group) else None)
    return rows


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def default_of(field: Field[Any], annotation: Any) -> Any:
    if not has_default(field):
        return default_word(annotation) or MISSING
    if field.default is not MISSING:
        return field.default
    factory: Any = field.default_factory
    return factory()


def shown_value(value: Any) -> str:
    """A default as it would be written."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, Group):
        return value.tag or "..."
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, list):
        return "[" + ", ".join(map(shown_value, value)) + "]"
    return "{}" if value == {} else str(value)


def limits(annotation: Any) -> str:
    """`, at least 1, at most 5` from the annotation's Meta."""
    text = ""
    for meta in metas_of(annotation):
        for limit, words in (
            (meta.ge, "at least"),
            (meta.gt, "more than"),
            (meta.le, "at most"),
            (meta.lt, "less than"),
        ):
            if limit is not None:
                text += f", {words} {limit}"
    return text


def _groups(annotation: Any) -> list[type[Group]]:
    """The groups that an annotation names, itself or in a union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _groups(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [group for member in get_args(annotation) for group in _groups(member)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, Group) else []


# schema
def schema(registry: Registry) -> Schema:
    """The JSON Schema (2020-12) of a whole configuration, for the types that this registry has."""
    definitions: Schema = {}
    for kind in KINDS:
        for name in registry.names(kind):
            definitions[f"{kind}.{name}"] = component_schema(registry, kind, name, definitions)
    definitions[Codec.kind] = {
        "anyOf": [
            {"enum": registry.names(Codec.kind)},
            {"oneOf": [{"$ref": f"#/$defs/codec.{name}"} for name in registry.names(Codec.kind)]},
        ]
    }
    top = options_schema(Settings, definitions)
    for kind in ("input", "filter", "output"):
        choices = [{"$ref": f"#/$defs/{kind}.{name}"} for name in registry.names(kind)]
        types_there = {"type": {"enum": registry.names(kind)}}
        top["properties"][f"{kind}s"] = {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["type"],
                "properties": types_there,
                "oneOf": choices,
            },
        }
    top["properties"]["pipelines"] = {
        "type": "object",
        "additionalProperties": options_schema(PipelineOptions, definitions),
    }
    top["properties"]["tests"] = {"type": "array", "items": options_schema(TestOptions, definitions)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Shipper configuration",
        **top,
        "$defs": definitions,
    }


def component_schema(registry: Registry, kind: str, name: str, definitions: Schema) -> Schema:
    cls: type[Component] = registry.get(kind, name)
    made = options_schema(cls, definitions)
    made["properties"] = {"type": {"const": name}, **made["properties"]}
    made["required"] = ["type", *made.get("required", [])]
    made["description"] = (inspect.getdoc(cls) or "").split("\n\n")[0]
    if issubclass(cls, Output):
        made["properties"]["delivery"] = options_schema(Delivery, definitions)
    return made


def options_schema(cls: type[Options], definitions: Schema) -> Schema:
    hints = hints_of(cls)
    properties: Schema = {}
    required = []
    for name, field in option_fields(cls).items():
        made = value_schema(hints[name], definitions)
        value = default_of(field, hints[name])
        if value is MISSING:
            required.append(name)
        elif isinstance(value, str | bool | int | float) and not isinstance(value, Duration | Size):
            made = {**made, "default": value}
        elif isinstance(value, Duration | Size):
            made = {**made, "default": str(value)}
        properties[name] = made
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def value_schema(annotation: Any, definitions: Schema) -> Schema:
    """The schema of one value; text with `${...}` in it may stand for anything."""
    origin = get_origin(annotation)
    if origin is Annotated:
        made = value_schema(get_args(annotation)[0], definitions)
        for meta in metas_of(annotation):
            if meta.description:
                made = {**made, "description": meta.description}
            if meta.min_length is not None and made.get("type") == "array":
                made = {**made, "minItems": meta.min_length}
            if made.get("type") in ("integer", "number"):
                named = {
                    "minimum": meta.ge,
                    "maximum": meta.le,
                    "exclusiveMinimum": meta.gt,
                    "exclusiveMaximum": meta.lt,
                }
                made = {**made, **{key: value for key, value in named.items() if value is not None}}
        return made
    if origin in (Union, types.UnionType):
        return {"anyOf": [value_schema(member, definitions) for member in get_args(annotation)]}
    if origin is Literal:
        return {"enum": list(get_args(annotation))}
    if origin is list:
        return {"type": "array", "items": value_schema(get_args(annotation)[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": value_schema(get_args(annotation)[1], definitions)}
    return _plain_schema(annotation, definitions)


def _plain_schema(annotation: Any, definitions: Schema) -> Schema:
    if annotation is Any:
        return {}
    if annotation is types.NoneType:
        return {"type": "null"}
    if isinstance(annotation, type) and issubclass(annotation, Group):
        made = options_schema(annotation, definitions)
        if not annotation.tag:
            return made
        made["properties"] = {"type": {"const": annotation.tag}, **made["properties"]}
        made["required"] = ["type", *made.get("required", [])]
        bare = {"const": annotation.tag}
        return {"anyOf": [bare, made]} if made["required"] == ["type"] else made
    if isinstance(annotation, type) and issubclass(annotation, Codec):
        return {"$ref": "#/$defs/codec"}
    if annotation is bool:
        return {"anyOf": [{"type": "boolean"}, INTERPOLATED]}
    if annotation is int:
        return {"anyOf": [{"type": "integer"}, INTERPOLATED]}
    if annotation is float:
        return {"anyOf": [{"type": "number"}, INTERPOLATED]}
    if annotation is Duration:
        return {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$|\$\{"}
    if annotation is Size:
        return {
            "anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([KMGT]i?B|B|)\s*$|\$\{"}]
        }
    if annotation is str or annotation is Path:
        return {"type": ["string", "number", "boolean"]}
    return {"type": "string"}


def kinds_of(registry: Registry, name: str) -> list[str]:
    """The kinds that have a type of this name."""
    return [kind for kind in KINDS if name in registry.names(kind)]
