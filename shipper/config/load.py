"""Files to a `Config`, or to all of its problems at once. `validate` and `run` share it, so they agree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shipper.component import Filter, Input, Output
from shipper.config.annotations import hints_of, option_fields
from shipper.config.loops import loops
from shipper.config.model import Config, Pipe, PipelineOptions, Route, Settings, Spec, TestOptions
from shipper.config.nodes import Mapping as MappingNode
from shipper.config.nodes import Node, Scalar, compose, pairs, problem
from shipper.config.nodes import Sequence as SequenceNode
from shipper.config.read import INVALID, Reader, is_null, nearest
from shipper.config.risky import risky
from shipper.config.walk import any_port, insecure
from shipper.config.words import article
from shipper.errors import ConfigError, Problem
from shipper.policy import Delivery
from shipper.registry import Registry

DEFAULTS = (Path("shipper.yaml"), Path("/etc/shipper/shipper.yaml"))
SECTIONS = ("inputs", "filters", "outputs", "pipelines", "tests")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def find(paths: Sequence[Path]) -> list[Path]:
    """The files of a command line's `-c`s; a folder means its `*.yaml` in name order."""
    if not paths:
        for default in DEFAULTS:
            if default.exists():
                return [default]
        raise ConfigError([Problem("no configuration: neither ./shipper.yaml nor /etc/shipper/shipper.yaml is there",
                                   suggestion="name one with -c FILE")])  # fmt: skip
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.yaml"))
            if not inside:
                raise ConfigError([Problem("found a folder without any *.yaml file", str(path))])
            files += inside
        else:
            files.append(path)
    return files


def load(paths: Sequence[Path], env: Mapping[str, str] | None = None) -> Config:
    """Raise ConfigError with every problem of all files."""
    files = find(paths)
    roots: list[MappingNode] = []
    problems: list[Problem] = []
    structure: list[Problem] = []
    for file in files:
        try:
            node = compose(file, structure)
        except ConfigError as error:
            problems += error.problems
            continue
        if isinstance(node, MappingNode):
            roots.append(node)
        elif node is not None and not is_null(node):
            problems.append(problem(node, "", "found no mapping, expected inputs, outputs and so on"))
    if not roots and not problems:
        what = "found an empty configuration, expected at least inputs and outputs"
        problems.append(Problem(what, str(files[0]), 1, 1))
    if problems:
        raise ConfigError(in_order(problems + structure))
    return _Loader(files, roots, os.environ if env is None else env, structure).config()


class _Loader:
    def __init__(
        self, files: list[Path], roots: list[MappingNode], env: Mapping[str, str], known: list[Problem]
    ) -> None:
        self.files = files
        self.roots = roots
        self.env = env
        self.reader = Reader(Registry(), env)
        self.reader.problems += known
        self.warnings: list[Problem] = []

    def config(self) -> Config:
        sections, top = self._merge()
        root = MappingNode("tag:yaml.org,2002:map", top, self.roots[0].start_mark, self.roots[0].end_mark)
        settings = self.reader.options(root, Settings, "")
        if settings is not INVALID:
            self.reader.registry = Registry(settings.plugins)
            self._folders(root, settings)
        else:
            self.reader.registry = Registry(self._plugins_alone(root))
        inputs = self._components(sections["inputs"], Input.kind)
        filters = self._components(sections["filters"], Filter.kind)
        outputs = self._components(sections["outputs"], Output.kind)
        self._divided(settings, inputs, {key.value: node for key, node in sections["inputs"]})
        written = {kind: [key for key, _ in sections[f"{kind}s"]] for kind in ("input", "filter", "output")}
        pipelines = self._pipelines(sections["pipelines"], written, root)
        self._loops(inputs, outputs, pipelines, {key.value: node for key, node in sections["outputs"]})
        tests = self._tests(sections["tests"], [key.value for key, _ in sections["pipelines"]] or ["main"])
        if self.reader.problems:
            raise ConfigError(in_order(self.reader.problems))
        return Config(
            settings, self._data_dir(settings), inputs, filters, outputs, pipelines, tests, self.warnings, self.files
        )

    def _merge(self) -> tuple[dict[str, Any], list[Any]]:
        """The sections of all files put together, and what else stands at the top."""
        sections: dict[str, Any] = {name: [] for name in SECTIONS}
        top: list[Any] = []
        first: dict[str, Scalar] = {}
        for root in self.roots:
            for key, value in pairs(root):
                if key.value not in SECTIONS:
                    self._once(key, key.value, first)
                    top.append((key, value))
                elif key.value == "tests":
                    if isinstance(value, SequenceNode):
                        sections["tests"] += value.value
                    elif not is_null(value):
                        self.reader.expected(value, "tests", list[TestOptions])
                elif isinstance(value, MappingNode):
                    for name, inner in pairs(value):
                        path = f"{key.value}.{name.value}"
                        self._once(name, path, first)
                        if not NAME.fullmatch(name.value):
                            what = f"found the name {name.value[:80]!r}, expected letters, digits, `_`, `-` and `.`"
                            self.reader.note(name, path, what)
                        sections[key.value].append((name, inner))
                elif not is_null(value):
                    self.reader.note(
                        value, key.value, f"found no mapping, expected names of {key.value} with their options"
                    )
        for section in SECTIONS:
            known = set(SECTIONS) | set(option_fields(Settings))
            for key, _ in [pair for pair in top if pair[0].value not in known and nearest(pair[0].value, [section])]:
                top.remove(next(pair for pair in top if pair[0] is key))
                self.reader.note(
                    key, key.value, f"found an unknown option {key.value!r}", nearest(key.value, [section])
                )
        return sections, top

    def _once(self, key: Scalar, path: str, first: dict[str, Scalar]) -> None:
        if path in first:
            mark = first[path].start_mark
            what = f"found {path!r} again, expected it once; it was first at {mark.name}:{mark.line + 1}"
            self.reader.note(key, path, what)
        first.setdefault(path, key)

    def _folders(self, root: MappingNode, settings: Settings) -> None:
        listed = next((value for key, value in pairs(root) if key.value == "plugins"), None)
        for index, folder in enumerate(settings.plugins):
            if not folder.is_dir() and isinstance(listed, SequenceNode):
                node = listed.value[index]
                self.reader.note(node, f"plugins[{index}]", f"found {node.value!r}, expected a folder")

    def _plugins_alone(self, root: MappingNode) -> list[Path]:
        """The plugin folders when another top-level option is wrong: that must not make their types unknown."""
        listed = [value for key, value in pairs(root) if key.value == "plugins"]
        folders = Reader(Registry(), self.env).read(listed[0], hints_of(Settings)["plugins"], "") if listed else []
        return [] if folders is INVALID else folders

    def _divided(self, settings: Settings, inputs: dict[str, Spec], nodes: dict[str, Node]) -> None:
        """With several workers each would get another port of the kernel's choice."""
        if settings is INVALID or settings.workers == 1:
            return
        for name, spec in inputs.items():
            if getattr(spec.cls, "divides", False):
                for option in any_port(spec.make()):
                    what = (
                        f"found port 0 with workers: {settings.workers}, expected a port: each worker would get another"
                    )
                    self.reader.note(self.reader.option_node(nodes[name], option), f"inputs.{name}.{option}", what)

    def _components(self, section: list[tuple[Scalar, Node]], kind: str) -> dict[str, Spec]:
        specs: dict[str, Spec] = {}
        for key, node in section:
            path = f"{kind}s.{key.value}"
            if not isinstance(node, MappingNode):
                self.reader.expected(node, path, None, f"a mapping with `type` and the options of the {kind}")
                continue
            cls = self.reader.component_class(node, kind, path)
            if cls is INVALID:
                continue
            skip = ("type", "delivery") if kind == Output.kind else ("type",)
            before = len(self.reader.problems)
            instance = self.reader.options(node, cls, path, skip=skip)
            delivery = self._delivery(node, cls, path) if kind == Output.kind else Delivery()
            if instance is INVALID or delivery is INVALID or len(self.reader.problems) > before:
                continue
            unfit = instance.unfit(delivery) if kind == Output.kind else ()
            trusting = [(name, "verification is off: anybody may be at the other end") for name in insecure(instance)]
            for name, message in [*instance.warnings(), *risky(instance), *unfit, *trusting]:
                where = self.reader.option_node(node, name)
                self.warnings.append(problem(where, f"{path}.{name}" if name else path, message))
            arguments = {name: getattr(instance, name) for name in option_fields(cls)}
            mark = node.start_mark
            type_name = next(value.value for name, value in pairs(node) if name.value == "type")
            specs[key.value] = Spec(
                kind, key.value, type_name, cls, arguments, self.reader.plain(node, path),
                f"{mark.name}:{mark.line + 1}", delivery, instance.version(), getattr(instance, "wants_ids", False),
            )  # fmt: skip
        return specs

    def _delivery(self, node: MappingNode, cls: type[Output], path: str) -> Any:
        """The core's options for an output, over the defaults that the output declares."""
        given = next((value for key, value in pairs(node) if key.value == "delivery"), None)
        if given is None or is_null(given):
            return cls.delivery
        delivery = self._over(given, cls.delivery, f"{path}.delivery")
        if delivery is not INVALID and delivery.buffer.when_full != "block" and not delivery.buffer.disk:
            where = self.reader.option_node(given, "buffer.when_full")
            what = f"found {delivery.buffer.when_full!r} without a disk buffer, expected a size in `disk`"
            return self.reader.note(where, f"{path}.delivery.buffer.when_full", what)
        return delivery

    def _over(self, node: Node, defaults: Any, path: str) -> Any:
        """A group read over an instance that holds its defaults, nested groups too."""
        if not isinstance(node, MappingNode):
            return self.reader.expected(node, path, type(defaults))
        nested = {name: getattr(defaults, name) for name in option_fields(type(defaults))}
        groups = {name: value for name, value in nested.items() if hasattr(value, "tag")}
        values = self.reader.arguments(node, type(defaults), path, skip=tuple(groups))
        for key, value in pairs(node):
            if key.value in groups and not is_null(value):
                groups[key.value] = self._over(value, groups[key.value], f"{path}.{key.value}")
        if values is INVALID or INVALID in groups.values():
            return INVALID
        return type(defaults)(**{**nested, **values, **groups})

    def _pipelines(
        self, section: list[tuple[Scalar, Node]], written: dict[str, list[Scalar]], root: MappingNode
    ) -> dict[str, Pipe]:
        names = {kind: [key.value for key in keys] for kind, keys in written.items()}
        for kind in ("input", "output"):
            if not names[kind]:
                self.reader.note(root, "", f"found no {kind}s, expected at least one in `{kind}s:`")
        pipes: dict[str, Pipe] = {}
        if not section:
            routes = [Route(output=name) for name in names["output"]]
            return {"main": Pipe("main", names["input"], names["filter"], routes)}
        for key, node in section:
            path = f"pipelines.{key.value}"
            if isinstance(node, MappingNode):
                for kind, known in names.items():
                    self._known(node, path, kind, known)
            read = self.reader.read(node, PipelineOptions, path)
            if read is not INVALID:
                routes = [each if isinstance(each, Route) else Route(output=each) for each in read.outputs]
                pipes[key.value] = Pipe(key.value, read.inputs, read.filters, routes)
                for name, message in risky(read):
                    self.warnings.append(problem(self.reader.option_node(node, name), f"{path}.{name}", message))
        if len(pipes) == len(section):
            self._unused(written, pipes)
        return pipes

    def _loops(
        self, inputs: dict[str, Spec], outputs: dict[str, Spec], pipes: dict[str, Pipe], nodes: dict[str, Node]
    ) -> None:
        """Inputs that would read what is written of their own events."""
        made, ends = ({name: spec.make() for name, spec in specs.items()} for specs in (inputs, outputs))
        for loop in loops(made, ends, pipes.values()):
            where, path = (
                self.reader.option_node(nodes[loop.output], loop.option),
                f"outputs.{loop.output}.{loop.option}",
            )
            if loop.certain:
                what = f"found a file that inputs.{loop.input} reads, whose events come here: they would go round for ever; expected a path that it does not find, or one under its `exclude`"
                self.reader.note(where, path, what)
            else:
                what = f"with some values this is a file that inputs.{loop.input} reads, whose events come here: they would go round for ever; put the path under its `exclude`"
                self.warnings.append(problem(where, path, what))

    def _known(self, pipe: MappingNode, path: str, kind: str, known: list[str]) -> None:
        """The names that a pipeline uses, looked up even when something else in it cannot be read."""
        listed = next((value for key, value in pairs(pipe) if key.value == f"{kind}s"), None)
        seen: set[str] = set()
        for index, item in enumerate(listed.value if isinstance(listed, SequenceNode) else ()):
            here = f"{path}.{kind}s[{index}]"
            routed = isinstance(item, MappingNode)
            name = next((value for key, value in pairs(item) if key.value == "output"), None) if routed else item
            if not isinstance(name, Scalar):
                continue
            if name.value not in known:
                what = f"found {name.value!r}, expected the name of {article(kind)}: {', '.join(known) or 'none is defined'}"
                self.reader.note(name, here, what, nearest(name.value, known))
            elif name.value in seen and kind != "filter":
                hint = "join the conditions with `or`" if routed else ""
                self.reader.note(
                    name, here, f"found {name.value!r} again, expected each {kind} once in a pipeline", hint
                )
            seen.add(name.value)

    def _unused(self, written: dict[str, list[Scalar]], pipes: dict[str, Pipe]) -> None:
        used = {
            "input": {name for pipe in pipes.values() for name in pipe.inputs},
            "filter": {name for pipe in pipes.values() for name in pipe.filters},
            "output": {route.output for pipe in pipes.values() for route in pipe.outputs},
        }
        for kind, keys in written.items():
            for key in keys:
                if key.value not in used[kind]:
                    self.warnings.append(problem(key, f"{kind}s.{key.value}", f"no pipeline uses this {kind}"))

    def _tests(self, nodes: list[Node], pipelines: list[str]) -> list[TestOptions]:
        tests: list[TestOptions] = []
        for index, node in enumerate(nodes):
            path = f"tests[{index}]"
            test = self.reader.read(node, TestOptions, path)
            if test is INVALID:
                continue
            if test.pipeline is None and len(pipelines) > 1:
                self.reader.note(node, path, f"found no `pipeline`, expected one of {', '.join(pipelines)}")
            elif test.pipeline is not None and test.pipeline not in pipelines:
                where = self.reader.option_node(node, "pipeline")
                what = f"found {test.pipeline!r}, expected one of {', '.join(pipelines)}"
                self.reader.note(where, f"{path}.pipeline", what, nearest(test.pipeline, pipelines))
            else:
                test.pipeline = test.pipeline or pipelines[0]
                tests.append(test)
        return tests

    def _data_dir(self, settings: Settings) -> Path:
        if settings.data_dir is not None:
            return settings.data_dir
        if state := self.env.get("STATE_DIRECTORY"):
            return Path(state.split(":")[0])
        beside = self.files[0].resolve().parent
        return Path("/var/lib/shipper") if Path("/etc") in [beside, *beside.parents] else beside / "shipper-data"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda each: (each.file, each.line, each.column))
