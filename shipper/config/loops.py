"""Does an input read what its own events are written to? Then each event comes again, for ever."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from shipper.component import Input, Output
from shipper.config.model import Pipe


class Loop(NamedTuple):
    """An output's file that an input reads whose events come to that output."""

    input: str
    output: str
    option: str
    certain: bool
    """Whatever events say; else only some values make it so."""


def loops(inputs: Mapping[str, Input], outputs: Mapping[str, Output], pipes: Iterable[Pipe]) -> Iterator[Loop]:
    """Every one, over several pipelines with files in between as well."""
    fed: dict[str, set[str]] = {name: set() for name in inputs}
    for pipe in pipes:
        for name in pipe.inputs:
            fed.setdefault(name, set()).update(route.output for route in pipe.outputs)
    written = [(name, *each) for name, output in outputs.items() for each in output.writes()]
    read: dict[tuple[str, str], tuple[str, bool]] = {}
    """The option, and whether it is certain: of several files of an output the surest."""
    for (name, each), (out, option, path) in itertools.product(inputs.items(), written):
        verdict = each.reads(path)
        if verdict == "yes" or (verdict == "perhaps" and (name, out) not in read):
            read[name, out] = option, verdict == "yes"
    for (name, out), (option, certain) in read.items():
        if out in _reached(name, fed, [pair for pair, (_, known) in read.items() if known]):
            yield Loop(name, out, option, certain)
        elif out in _reached(name, fed, list(read)):
            yield Loop(name, out, option, False)


def _reached(start: str, fed: Mapping[str, set[str]], read: list[tuple[str, str]]) -> set[str]:
    """The outputs to which an input's events come, through files in between too."""
    found: set[str] = set()
    seen, waiting = {start}, [start]
    while waiting:
        found |= fed.get(waiting.pop(), set())
        for name, out in read:
            if out in found and name not in seen:
                seen.add(name)
                waiting.append(name)
    return found
