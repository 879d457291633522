"""`enrich`: say where events come from."""

from __future__ import annotations

import ast
import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from shipper import Attrs, Batch, Event, FieldPath, Filter, Group, Meta, Template, option
from shipper.batch import NO_ATTRS

POD_LOG = re.compile(r"/pods/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_(?P<uid>[^/_]+)/(?P<container>[^/]+)/\d+\.log")
CONTAINER_LOG = re.compile(r"/containers/(?P<pod>[^/_]+)_(?P<namespace>[^/_]+)_(?P<container>[^/]+)-[0-9a-f]+\.log")
VARIABLES = {
    "namespace": "POD_NAMESPACE",
    "pod": "POD_NAME",
    "container": "CONTAINER_NAME",
    "node": "NODE_NAME",
    "uid": "POD_UID",
}
REREAD = 60.0  # seconds after which labels and annotations are read again
ROOM = 4096  # results remembered, one for each log


class Kubernetes(Group):
    """Where the files of a downward API volume are; one that does not exist is passed over."""

    labels: Annotated[Path | None, Meta(description="File with the pod's labels.")] = Path("/etc/podinfo/labels")
    annotations: Annotated[Path | None, Meta(description="File with the pod's annotations.")] = Path(
        "/etc/podinfo/annotations"
    )


class Enrich(Filter):
    """Add where events come from, once for a whole batch; an event's own field of the same name wins.

    `kubernetes` adds `kubernetes: {namespace, pod, container, node, uid, labels, annotations}`, as far as they are known: from
    the path of a log below `/var/log/pods` or `/var/log/containers`, and from the downward API: the environment variables
    `POD_NAMESPACE POD_NAME CONTAINER_NAME NODE_NAME POD_UID` and the files of a volume. What the downward API says of
    this pod is not said of another pod's log, but for the node. A template in `fields` that reads an event's own
    fields replaces what the event had; one that reads only what is true of the batch gives way to it. What is
    missing (a variable that is not set, a template without its field) is left out.

    ```yaml
    filters:
      where: {type: enrich, host: true, kubernetes: true, env: {region: REGION}, fields: {team: core, app: "{service:web}"}}
    ```
    """

    one_each: ClassVar[bool] = True

    host: Annotated[bool, Meta(description="Add `host`, the name of this machine.")] = False
    fields: Annotated[dict[str, Template], Meta(description="Field path: template.")] = option(dict)
    env: Annotated[dict[str, str], Meta(description="Field path: environment variable.")] = option(dict)
    kubernetes: Annotated[
        bool | Kubernetes, Meta(description="Add `kubernetes`; as a mapping, say where its files are.")
    ] = False

    _fixed: dict[str, str] = option(dict)
    """Plain fields and their values, which nothing changes."""
    _given: list[tuple[FieldPath, Template]] = option(list)
    """All others."""
    _problems: list[tuple[str, str]] = option(list)
    _made: dict[Any, tuple[Attrs, Attrs]] = option(dict)
    """File -> the attributes that came, and what was made of them."""
    _joined: tuple[Attrs | None, list[str | None], Attrs] = (None, [], NO_ATTRS)
    """Those with what the templates gave, and the last of these."""
    _pod: dict[str, Any] = option(dict)
    _read: float | None = None

    def __post_init__(self) -> None:
        literal = {
            name: Template(os.environ[variable].replace("{", "{{").replace("}", "}}"))
            for name, variable in self.env.items()
            if variable in os.environ
        }
        for name in self.env.keys() - literal.keys():
            self._path("env", name)  # wrong is wrong, whether the variable is set or not
        for kind, wanted in (("env", literal), ("fields", self.fields)):
            for name, template in wanted.items():
                path = self._path(kind, name)
                if path is None:
                    continue
                if template.literal is not None and len(path.keys) == 1:
                    self._fixed[path.first] = template.literal
                else:
                    self._given.append((path, template))

    def _path(self, kind: str, name: str) -> FieldPath | None:
        try:
            return FieldPath(name)
        except ValueError as error:
            self._problems.append((kind, f"{name}: {error}"))
            return None

    def check(self) -> Iterable[tuple[str, str]]:
        return self._problems

    @property
    def needs(self) -> Literal["attributes", "copy"]:
        return "copy" if self._given else "attributes"

    def apply(self, batch: Batch) -> Batch:
        before = batch.attrs
        batch.attrs = self._base(before)
        try:
            return self._templated(batch) if self._given else batch
        except ValueError:  # something is in the way of a path
            batch.attrs = before
            raise

    def _base(self, given: Attrs) -> Attrs:
        """The attributes with all that needs no template; the same object for equal attributes."""
        if self.kubernetes:
            self._look()
        key = given.get("file") if isinstance(given.get("file"), str) else None
        came, made = self._made.get(key, (None, NO_ATTRS))
        if came == given:
            return made
        new: dict[str, Any] = {"host": socket.gethostname(), **given} if self.host else dict(given)
        if self.kubernetes:
            known, there = self._where(key or ""), given.get("kubernetes", {})
            if known and isinstance(there, Mapping):
                new["kubernetes"] = {**known, **there}
        new.update(self._fixed)
        if len(self._made) >= ROOM:
            self._made.clear()
        self._made[key] = (given, new)
        return new

    def _where(self, file: str) -> dict[str, Any]:
        """What is known of the pod that wrote this log."""
        found = POD_LOG.search(file) or CONTAINER_LOG.search(file)
        if not found:
            return self._pod
        pod = found.groupdict()
        if all(self._pod.get(name) == pod[name] for name in ("namespace", "pod")):
            return {**self._pod, **pod}
        return {**pod, "node": self._pod["node"]} if "node" in self._pod else pod

    def _look(self) -> None:
        """Read what the downward API says of this pod, now and then: labels can change."""
        now = self.scope.clock.monotonic()
        if self._read is not None and now - self._read < REREAD:
            return
        self._read = now
        pod: dict[str, Any] = {
            name: os.environ[variable] for name, variable in VARIABLES.items() if os.environ.get(variable)
        }
        where = self.kubernetes if isinstance(self.kubernetes, Kubernetes) else Kubernetes()
        for name, path in (("labels", where.labels), ("annotations", where.annotations)):
            if path is not None and path.is_file():
                pod[name] = downward(path.read_text("utf-8", "replace"))
        if pod != self._pod:
            self._pod = pod
            self._made.clear()

    def _templated(self, batch: Batch) -> Batch:
        columns: list[tuple[FieldPath, Template, list[str | None]]] = []
        shared: list[str | None] = []
        for path, template in self._given:
            found = template.each(batch)
            shared.append(None if isinstance(found, list) else found)
            if isinstance(found, list):
                columns.append((path, template, found))
            elif found is not None and len(path.keys) > 1 and path.within(batch):
                # an event's own mapping hides the attribute of that name
                columns.append((path, template, [found] * len(batch)))
        base, last, attrs = self._joined
        if base is not batch.attrs or last != shared:
            new = dict(batch.attrs)
            for (path, _), value in zip(self._given, shared, strict=True):
                if value is not None:
                    path.set(new, value)
            attrs = new
            self._joined = (batch.attrs, shared, attrs)
        if columns:
            batch.events = self._changed(batch.events, columns, attrs)
        batch.attrs = attrs
        return batch

    def _changed(
        self, before: list[Event], columns: list[tuple[FieldPath, Template, list[str | None]]], attrs: Attrs
    ) -> list[Event]:
        events = [event.copy() for event in before]
        for path, template, values in columns:
            reads = {top for field in template.fields for top in field.tops}
            if len(path.keys) == 1:  # nothing can be in the way
                key = path.first
                for event, came, value in zip(events, before, values, strict=True):
                    if value is None or event is came or (key in came and reads.isdisjoint(came)):
                        continue
                    event[key] = value
                continue
            for at, value in enumerate(values):
                came = before[at]
                if value is None or events[at] is came or (path.has(came) and reads.isdisjoint(came)):
                    continue
                try:
                    path.set(events[at], value, attrs)
                except ValueError as error:
                    events[at] = came
                    self.fault(came, str(error))
        return events


def downward(text: str) -> dict[str, str]:
    """The `key="value"` lines of a downward API volume; values are quoted as Go does.

    https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign:
            try:
                found[key] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                found[key] = value
    return found
