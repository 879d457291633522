"""What a change of the configuration does to each component: said before a reload, and by it.

The process that runs leaves fingerprints of its configuration in its data folder, so that another can compare: salted
hashes, for what is hashed has secrets in it.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from shipper.config.model import Config, Pipe, Spec

FILE = "running.json"


@dataclass(frozen=True)
class Change:
    """What happens to one component, or to the process."""

    kind: str
    name: str
    action: str
    """keeps, starts, stops, restarts, takes over, replaces, refused."""
    text: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.text}"


def remember(config: Config, folder: Path) -> None:
    """Leave the fingerprints of what runs now in `folder`; raises OSError."""
    path = folder / FILE
    new = folder / f"{FILE}.new"
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(orjson.dumps(fingerprints(config, os.urandom(16).hex())))
    new.replace(path)


def recall(folder: Path) -> dict[str, Any] | None:
    """What was left there, or None; raises ValueError when it cannot be read."""
    try:
        found: dict[str, Any] = orjson.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    return found


def fingerprints(config: Config, salt: str) -> dict[str, Any]:
    """By kind and name: hashes of what a component is, and for outputs of what their pieces are."""
    used = in_use(config)
    settings = config.settings
    listen = settings.api.listen if settings.api else None
    return {
        "salt": salt,
        "data_dir": str(config.data_dir),
        "api.listen": listen,
        "workers": settings.workers,
        "inputs": {name: _whole(config.inputs[name], salt) for name in sorted(used["input"])},
        "outputs": {
            name: {
                "whole": _whole(config.outputs[name], salt),
                "shape": _hash(salt, _shape(config.outputs[name])),
                "buffer": bool(config.outputs[name].delivery.buffer.disk),
            }
            for name in sorted(used["output"])
        },
        "filters": {name: _whole(config.filters[name], salt) for name in sorted(used["filter"])},
        "pipelines": {name: _hash(salt, _route(pipe)) for name, pipe in config.pipelines.items()},
    }


def in_use(config: Config) -> dict[str, set[str]]:
    """Names that some pipeline uses, by kind."""
    pipes = config.pipelines.values()
    return {
        "input": {name for pipe in pipes for name in pipe.inputs},
        "filter": {name for pipe in pipes for name in pipe.filters},
        "output": {route.output for pipe in pipes for route in pipe.outputs},
    }


def _hash(salt: str, *parts: Any) -> str:
    text = orjson.dumps(parts, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hmac.new(bytes.fromhex(salt), text, "sha256").hexdigest()[:32]


def _whole(spec: Spec, salt: str) -> str:
    return _hash(salt, f"{spec.cls.__module__}.{spec.cls.__qualname__}", spec.raw, spec.version, spec.ids)


def _shape(spec: Spec) -> list[str]:
    return [f"{spec.cls.__module__}.{spec.cls.__qualname__}", spec.make().shape()]


def _route(pipe: Pipe) -> list[Any]:
    return [pipe.inputs, pipe.filters, [[route.output, str(route.when)] for route in pipe.outputs]]


def plan(before: dict[str, Any], config: Config) -> list[Change]:
    """What a reload from what was fingerprinted to `config` does, component by component."""
    after = fingerprints(config, before["salt"])
    return [
        *_refused(before, after),
        *_inputs(before, after, config),
        *_filters(before, after),
        *_outputs(before, after),
    ]


def _refused(before: dict[str, Any], after: dict[str, Any]) -> Iterable[Change]:
    for name in ("data_dir", "api.listen", "workers"):
        if before[name] != after[name]:
            text = f"was {before[name]}, would be {after[name]}: the reload is refused, this needs a restart"
            yield Change("option", name, "refused", text)


def _inputs(before: dict[str, Any], after: dict[str, Any], config: Config) -> Iterable[Change]:
    old, new = before["inputs"], after["inputs"]
    for name in new:
        if name not in old:
            yield Change("input", name, "starts", "starts")
        elif old[name] == new[name]:
            yield Change("input", name, "keeps", "keeps running")
        else:
            again = getattr(config.inputs[name].cls, "repeatable", False)
            text = "restarts, and goes on at its positions" if again else "restarts: its connections are closed"
            yield Change("input", name, "restarts", text)
    for name in old.keys() - new.keys():
        yield Change("input", name, "stops", "stops, once what it holds is delivered; its positions stay on disk")


def _filters(before: dict[str, Any], after: dict[str, Any]) -> Iterable[Change]:
    old, new = before["filters"], after["filters"]
    for name in new:
        if name not in old:
            yield Change("filter", name, "starts", "starts")
        elif old[name] == new[name]:
            yield Change("filter", name, "keeps", "keeps its state")
        else:
            yield Change("filter", name, "restarts", "is exchanged between two batches, without its state")
    for name in old.keys() - new.keys():
        yield Change("filter", name, "stops", "stops")
    pipes = before["pipelines"], after["pipelines"]
    for name in sorted(pipes[0].keys() | pipes[1].keys()):
        was, will = pipes[0].get(name), pipes[1].get(name)
        if was != will:
            action = "starts" if was is None else "stops" if will is None else "restarts"
            yield Change("pipeline", name, action, "takes another way" if action == "restarts" else action)


def _outputs(before: dict[str, Any], after: dict[str, Any]) -> Iterable[Change]:
    old, new = before["outputs"], after["outputs"]
    for name in new:
        was, will = old.get(name), new[name]
        if was is None:
            yield Change("output", name, "starts", "starts")
        elif was["whole"] == will["whole"]:
            yield Change("output", name, "keeps", "keeps running")
        elif (was["shape"], was["buffer"]) == (will["shape"], will["buffer"]):
            kept = " and its buffer" if will["buffer"] else ""
            yield Change(
                "output",
                name,
                "takes over",
                f"goes on with the new options; what waits{kept} is kept and sent with them",
            )
        else:
            yield Change(
                "output",
                name,
                "replaces",
                "a new one starts; the old one delivers what it holds beside it, until a restart",
            )
    for name in old.keys() - new.keys():
        yield Change("output", name, "stops", "delivers what it holds, then closes; until a restart")
