"""YAML text to nodes that still know their lines, checked for what no configuration may contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from shipper.errors import ConfigError, Problem

MAX_BYTES = 2**20
MAX_NODES = 100_000
MAX_DEPTH = 60
Node = yaml.nodes.Node
Mapping = yaml.nodes.MappingNode
Sequence = yaml.nodes.SequenceNode
Scalar = yaml.nodes.ScalarNode
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def problem(node: Node, path: str, message: str, suggestion: str = "") -> Problem:
    """A problem at the place where a node begins."""
    mark = node.start_mark
    return Problem(message, mark.name, mark.line + 1, mark.column + 1, path, suggestion)


def compose(file: Path, problems: list[Problem]) -> Node | None:
    """The file's root node, or None for an empty file. What can be read past is added to `problems`; what cannot is a ConfigError."""
    name = str(file)
    try:
        with file.open("rb") as stream:  # never more than that: it may be a pipe or a device
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ConfigError([Problem("found a file of more than 1 MiB, expected at most that", name, 1, 1)])
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {error.strerror}", name)]) from error
    return compose_text(text, name, problems)


def compose_text(text: bytes, name: str, problems: list[Problem]) -> Node | None:
    """The root node of YAML text; `name` is what problems call it."""
    try:
        _scan(text, name)
        loader = Loader(text)
        try:
            loader.name = name
            node: Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or error.context or "is not YAML"
        raise ConfigError([Problem(f"found no valid YAML ({what})", name, line, column)]) from error
    except (yaml.YAMLError, UnicodeError) as error:
        what = getattr(error, "reason", None) or str(error).splitlines()[0]
        raise ConfigError([Problem(f"found no valid YAML ({what}), expected UTF-8 text", name, 1, 1)]) from error
    if node is not None:
        _rename(node, name)
        found, endless = _structure(node)
        if endless:
            raise ConfigError(found)
        problems += found
    return node


def _scan(text: bytes, name: str) -> None:
    """Depth is bounded on the flat list of events, before anything recurses over it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            what = f"nesting over {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            mark = event.start_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise ConfigError([Problem(f"found {what}", name, line, column)])


def _rename(node: Node, name: str) -> None:
    """The C parser calls every input `<byte string>`; marks must name the file."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        mark = each.start_mark
        each.start_mark = yaml.Mark(name, mark.index, mark.line, mark.column, None, 0)
        if isinstance(each, Mapping):
            stack += [inner for pair in each.value for inner in pair]
        elif isinstance(each, Sequence):
            stack += each.value


def _structure(root: Node) -> tuple[list[Problem], bool]:
    """Foreign tags, keys written twice, alias bombs, aliases of themselves; and whether it cannot be walked."""
    sizes: dict[int, int] = {}
    active: set[int] = set()
    found: list[Problem] = []

    def size(node: Node, path: str) -> int:
        """How many values the node stands for once its aliases are spelled out."""
        if id(node) in active:
            found.append(problem(node, path, "found an alias of itself"))
            return MAX_NODES
        if id(node) in sizes:
            return sizes[id(node)]
        if not str(node.tag).startswith("tag:yaml.org,2002:") or "python" in str(node.tag):
            if str(node.tag).startswith("!"):  # perhaps a password that somebody forgot to quote: not shown
                what, hint = "found a word that begins with `!`", "put it in quotes if it is text"
            else:
                what, hint = f"found the tag {str(node.tag)[:60]!r}", ""
            found.append(problem(node, path, f"{what}, expected plain YAML", hint))
        active.add(id(node))
        total = 1
        if isinstance(node, Mapping):
            first: dict[str, Node] = {}
            for key, value in node.value:
                text = key.value if isinstance(key, Scalar) else None
                here = f"{path}.{text}" if path and text else text or path
                if text is None:
                    found.append(problem(key, path, "found a key that is not a word"))
                elif text in first:
                    line = first[text].start_mark.line + 1
                    found.append(
                        problem(
                            key, here, f"found the key {text!r} again, expected it once; it was first on line {line}"
                        )
                    )
                else:
                    first[text] = key
                total += 1 + size(value, here)
        elif isinstance(node, Sequence):
            for index, value in enumerate(node.value):
                total += size(value, f"{path}[{index}]")
        active.discard(id(node))
        sizes[id(node)] = total
        return total

    endless = size(root, "") > MAX_NODES
    if endless and not found:
        found.append(problem(root, "", f"found aliases that stand for more than {MAX_NODES} values"))
    return found, endless


def pairs(node: Mapping) -> list[tuple[Scalar, Node]]:
    """Keys and values of a mapping, with `<<: *other` spelled out under the mapping's own keys."""
    own: list[tuple[Scalar, Node]] = []
    names: set[str] = set()
    for key, value in node.value:
        if isinstance(key, Scalar) and key.tag != "tag:yaml.org,2002:merge" and key.value not in names:
            own.append((key, value))  # the first, where a key is written twice: that has been noted
            names.add(key.value)
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for source in value.value if isinstance(value, Sequence) else [value]:
                if isinstance(source, Mapping):
                    own += [(k, v) for k, v in pairs(source) if k.value not in names]
                    names |= {k.value for k, _ in own}
    return own
