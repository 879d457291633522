"""Other programs that do the same work, when they are on PATH: `python -m bench --against fluent-bit,rsyslog,vector`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from bench.agents import Agent, Cannot
from bench.peers import fluentbit, rsyslog, vector

PEERS: dict[str, tuple[str, Callable[[str], Agent]]] = {
    "fluent-bit": ("fluent-bit", fluentbit.FluentBit),
    "rsyslog": ("rsyslogd", rsyslog.Rsyslog),
    "vector": ("vector", vector.Vector),
}
NAMES: Sequence[str] = tuple(PEERS)
NOTES: dict[str, Sequence[str]] = {
    "fluent-bit": fluentbit.NOTES,
    "rsyslog": rsyslog.NOTES,
    "vector": vector.NOTES,
}
"""What is not quite the same work, or not the same durability, where there are figures nevertheless."""


def find(name: str) -> Agent:
    """The adapter of a program that is installed. Raises Cannot for one that is not, or that nobody knows."""
    if name not in PEERS:
        raise Cannot(f"{name}: there is an adapter for {', '.join(NAMES)}")
    program, make = PEERS[name]
    if (path := shutil.which(program)) is None:
        raise Cannot(f"{name}: {program} is not on PATH")
    return make(path)
