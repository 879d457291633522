"""The filter `enrich`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from shipper import Batch, Event, Template
from shipper.batch import merged
from shipper.component import Scope
from shipper.filters.enrich import VARIABLES, Enrich, Kubernetes, downward
from shipper.testing import FakeClock, check_filter

POD_LOG = "/var/log/pods/prod_web-1_0b1f-22/nginx/3.log"
CONTAINER_LOG = "/var/log/containers/web-1_prod_nginx-side-0123456789abcdef.log"


@pytest.fixture(autouse=True)
def no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def whole(subject: Enrich, events: list[Event], attrs: dict[str, Any] | None = None) -> list[Event]:
    batch = subject.apply(Batch([dict(event) for event in events], attrs=attrs or {}))
    return [merged(event, batch.attrs) for event in batch.events]


def enrich(**fields: str) -> Enrich:
    return Enrich(fields={name: Template(text) for name, text in fields.items()})


def test_once_for_a_batch() -> None:
    """What is true of all is an attribute: raw lines stay raw, equal batches get the very same attributes."""
    subject = Enrich(host=True, fields={"team": Template("core"), "on": Template("{host}"), "a.b": Template("{team}")})
    batches = [subject.apply(Batch(raw=b"a\nb", attrs={"file": "/x"})) for _ in range(3)]
    assert all(batch.raw == b"a\nb" for batch in batches)
    name = socket.gethostname()
    assert batches[0].attrs == {"host": name, "file": "/x", "team": "core", "on": name, "a": {"b": "core"}}
    assert batches[0].attrs is batches[1].attrs is batches[2].attrs
    other = subject.apply(Batch(raw=b"a", attrs={"file": "/x", "peer": "p"}))
    assert other.attrs == {**batches[0].attrs, "peer": "p"}


def test_own_fields_win() -> None:
    """An event keeps its own field, and a batch the host that its input set."""
    subject = Enrich(host=True, fields={"team": Template("core"), "labels.env": Template("prod")})
    found = whole(subject, [{"host": "own", "team": "mine"}, {"labels": {"env": "dev"}}, {"labels": {}}])
    assert found[0]["host"] == "own"
    assert found[0]["team"] == "mine"
    assert [event["labels"] for event in found] == [{"env": "prod"}, {"env": "dev"}, {"env": "prod"}]
    assert whole(Enrich(host=True), [{}], {"host": "peer"}) == [{"host": "peer"}]


def test_templates_over_event_fields() -> None:
    """A template that reads an event's own fields sets the field; one that has no text leaves it as it is."""
    subject = enrich(app="{service}", day="{timestamp:%Y-%m-%d}", where="{host}")
    events: list[Event] = [{"service": "s", "app": "old"}, {"app": "kept", "where": "own"}, {"timestamp": 0}]
    assert whole(subject, events, {"host": "h"}) == [
        {"host": "h", "where": "h", "service": "s", "app": "s"},
        {"host": "h", "where": "own", "app": "kept"},
        {"host": "h", "where": "h", "timestamp": 0, "day": "1970-01-01"},
    ]


def test_the_same_alone_as_together() -> None:
    """What becomes of an event does not depend on its neighbours."""
    subject = enrich(app="{service:web}", **{"labels.app": "{service:x}"})
    events: list[Event] = [{"service": "s", "app": "a"}, {"app": "b"}, {}, {"labels": {"app": 1}}, {"labels": {"n": 1}}]
    together = whole(subject, events, {"labels": {"l": 1}})
    assert together == [whole(subject, [event], {"labels": {"l": 1}})[0] for event in events]


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are fields, braces and all; one that is not set is left out."""
    monkeypatch.setenv("REGION", "eu {1}")
    monkeypatch.delenv("NOT_SET", raising=False)
    assert whole(Enrich(env={"region": "REGION", "no": "NOT_SET", "a.r": "REGION"}), [{}]) == [
        {"region": "eu {1}", "a": {"r": "eu {1}"}}
    ]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (POD_LOG, {"namespace": "prod", "pod": "web-1", "uid": "0b1f-22", "container": "nginx"}),
        (POD_LOG + ".20261122-120000", {"namespace": "prod", "pod": "web-1", "uid": "0b1f-22", "container": "nginx"}),
        (CONTAINER_LOG, {"namespace": "prod", "pod": "web-1", "container": "nginx-side"}),
        ("/var/log/syslog", None),
        (None, None),
    ],
)
def test_kubernetes_from_the_path(file: str | None, expected: dict[str, str] | None) -> None:
    """The path of a log says which container wrote it; other files say nothing."""
    [event] = whole(Enrich(kubernetes=True), [{}], {"file": file} if file else {})
    assert event.get("kubernetes") == expected


def pod(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    for name, value in known.items():
        monkeypatch.setenv(VARIABLES[name], value)


def test_kubernetes_from_the_downward_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables and files describe the pod it runs in, also its own log; of another pod's log they only say the node."""
    pod(monkeypatch, namespace="prod", pod="web-1", node="n1", uid="u")
    (tmp_path / "labels").write_text('app="web"\nquote="a\\"b\\n"\n')
    subject = Enrich(kubernetes=Kubernetes(labels=tmp_path / "labels", annotations=tmp_path / "none"))
    own = {"namespace": "prod", "pod": "web-1", "node": "n1", "uid": "u", "labels": {"app": "web", "quote": 'a"b\n'}}
    assert whole(subject, [{}]) == [{"kubernetes": own}]
    assert whole(subject, [{}], {"file": CONTAINER_LOG})[0]["kubernetes"] == {**own, "container": "nginx-side"}
    assert whole(subject, [{}], {"file": POD_LOG.replace("web-1", "db-0")})[0]["kubernetes"] == {
        "namespace": "prod",
        "pod": "db-0",
        "uid": "0b1f-22",
        "container": "nginx",
        "node": "n1",
    }
    assert whole(subject, [{}], {"kubernetes": {"pod": "input's"}})[0]["kubernetes"] == {**own, "pod": "input's"}


def test_labels_are_read_again(tmp_path: Path) -> None:
    """Labels that change are seen within a minute, and not looked for with each batch."""
    labels = tmp_path / "labels"
    labels.write_text('v="1"\n')
    subject = Enrich(kubernetes=Kubernetes(labels=labels, annotations=None))
    clock = FakeClock()
    subject.scope = Scope(clock=clock)
    assert whole(subject, [{}])[0]["kubernetes"] == {"labels": {"v": "1"}}
    labels.write_text('v="2"\n')
    assert whole(subject, [{}])[0]["kubernetes"] == {"labels": {"v": "1"}}
    clock.elapsed += 61
    assert whole(subject, [{}])[0]["kubernetes"] == {"labels": {"v": "2"}}


def test_downward_format() -> None:
    """Values are quoted as Go quotes them; what is not is taken as it is."""
    text = 'a="x=\\u00e9\\t\\x01"\nb.c/d=""\nnonsense\ne=plain\n'
    assert downward(text) == {"a": "x=é\t\x01", "b.c/d": "", "e": "plain"}


def test_what_is_in_the_way() -> None:
    """Where a text is in the way, the event goes on as it came, and the batch with its attributes."""
    subject = enrich(**{"a.b": "{n}"})
    batch = subject.apply(Batch([{"a": "text", "n": 1}, {"n": 2}]))
    assert batch.events == [{"a": "text", "n": 1}, {"n": 2, "a": {"b": "2"}}]
    [(event, reason)] = subject.faults() or []
    assert event is batch.events[0]
    assert reason == "a.b cannot be set: a is a str, not a mapping"
    blocked = Batch([{}], attrs={"file": "/x"})
    with pytest.raises(ValueError, match=r"file\.b cannot be set"):
        enrich(**{"file.b": "x"}).apply(blocked)
    assert blocked.attrs == {"file": "/x"}


def test_check_names_what_is_wrong() -> None:
    """Names that are no paths are reported at their option, whether or not the variable is set."""
    subject = Enrich(env={"a b": "NOT_SET_AT_ALL"}, fields={"c d": Template("x")})
    assert sorted(option for option, _ in subject.check()) == ["env", "fields"]


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Enrich(host=True, kubernetes=True, fields={"nested.x": Template("{message}")}))
