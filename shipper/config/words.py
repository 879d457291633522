"""What an annotation is called in a sentence."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from shipper.component import Codec
from shipper.options import Duration, Group, Secret, Size, Url
from shipper.text.conditions import Condition
from shipper.text.paths import FieldPath
from shipper.text.templates import Template

PHRASES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    re.Pattern: "a regular expression",
    Duration: "a duration such as 500ms, 10s, 5m, 1h or 7d",
    Size: "a size such as 512KiB, 5MiB or 1GiB",
    Secret: "text that is kept secret",
    Url: "an address such as http://127.0.0.1:9200",
    FieldPath: "a field path such as kubernetes.labels.app",
    Template: "a template such as logs-{service:app}",
    Condition: "a condition such as status >= 500",
    Codec: "a codec, by name or as a mapping with `type`",
    Any: "a value",
}


def phrase(annotation: Any) -> str:
    """`expected ...`: a list of durations, one of a, b, c, a mapping of names to templates."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return phrase(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        groups = [member for member in members if isinstance(member, type) and issubclass(member, Group)]
        if len(groups) == len(members) and len(groups) > 1:
            return "one of " + ", ".join(group.tag for group in groups)
        return " or ".join(dict.fromkeys(phrase(member) for member in members))
    if origin is Literal:
        choices = [str(each).lower() if isinstance(each, bool) else str(each) for each in get_args(annotation)]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    if origin is list:
        return f"a list of {plural(phrase(get_args(annotation)[0]))}"
    if origin is dict:
        return f"a mapping of names to {plural(phrase(get_args(annotation)[1]))}"
    if origin in PHRASES:
        return PHRASES[origin]
    if annotation in PHRASES:
        return PHRASES[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Group):
        return "a mapping of options"
    if isinstance(annotation, type) and issubclass(annotation, Url) and not hasattr(annotation, "example"):
        return PHRASES[Url]
    example = getattr(annotation, "example", "")
    return f"{(example and 'text such as ' + example) or annotation.__name__}"


def plural(text: str) -> str:
    """`a duration such as 10s` in the plural: `durations such as 10s`."""
    for article in ("a ", "an "):
        if text.startswith(article):
            noun, separator, rest = text.removeprefix(article).partition(" such as ")
            return noun + ("es" if noun.endswith(("s", "x")) else "s") + separator + rest
    return text


def article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
