"""T56, T57: values of events in paths, requests, labels and the agent's own log; and links where we write."""

from __future__ import annotations

import json
import os
import stat
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent, ndjson
from tests.faults.bench.answers import Answer
from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench
from tests.faults.bench.wire import Asked, Head

pytestmark = pytest.mark.faults

CLIMBING = [
    "../x", "..", ".", "", "../../x", "../../../../../../../../etc/cron.d/x", "/etc/passwd", "//x", "/", "a/b", "a/../../x", "a/", "./x", "./../x",
    "a\0b", "\0", "../x\0.log", "a\nb", "\n", "\r\n", "\t", "\x7f", "\x1b[31m", "\x01", "x" * 300, "x" * 5000, "é" * 200, "\U0001f4a9" * 80,
    "..//x", "....//x/../..", "x/../x", "a/./b", "~/x/y", "/proc/self/environ", "/dev/null", "data/../../../x", "evil/x", "\ud800", "..\0/x",
]  # fmt: skip
"""Values that are no name: each event is set aside."""
NAMES = [
    "%2e%2e%2fx", "%2e%2e", "..%2fx", "..%c0%afx", "\u2215etc\u2215passwd", "..\u2215x", "\uff0e\uff0e\u2215x", "...", "....", "~", "~root", "-rf", "-",
    "*", "a b", "$HOME", "${HOME}", "`id`", "$(id)", "|id", "a;b", "..\\x", "C:\\x", "con", ".hidden", "a\u2028b", "\u202etxt", "x" * 200, "é" * 90,
]  # fmt: skip
"""Odd ones that are: each is a file in the folder."""


def tree(folder: Path, *without: Path) -> dict[str, bytes]:
    """Every file outside of some folders, and what is in it."""
    found = {}
    for each in folder.rglob("*"):
        if (
            each.is_file()
            and not any(inner in each.parents for inner in without)
            and not each.name.startswith("agent.")
        ):
            found[str(each)] = each.read_bytes()
    return found


def written(path: Path, events: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.mark.parametrize("place", ["name", "folder"])
def test_t56_output_paths(bench: Bench, place: str) -> None:
    """T56: of 70 values, as a file's name and as a folder's, those that are no name are set aside and counted, the odd ones that are
    are written as they are; files outside of the base 0, links inside it followed 0, modes 0640 and 0750.
    """
    out, data = bench.folder / "out", bench.folder / "data"
    outside = bench.folder / "outside"
    for folder in (out, outside, bench.folder / "logs"):
        folder.mkdir()
    os.chmod(out, 0o750)
    (outside / "victim").write_text("mine\n")
    links = {
        "to-folder": outside,
        "to-file.log": outside / "victim",
        "to-nothing.log": outside / "new",
        "up": Path(".."),
        "f.log": outside / "new",
    }
    for name, target in links.items():
        (out / name).symlink_to(target)
    (out / "here").mkdir(mode=0o750)
    (out / "here/all.log").symlink_to(outside / "victim")
    path = "./out/{service}.log" if place == "name" else "./out/{service}/all.log"
    linked = ["to-file", "to-nothing", "f"] if place == "name" else ["to-folder", "up", "here", "to-file.log"]
    fine = [*NAMES, *([".", "..", ""] if place == "name" else [])]  # `..log` is a name like any other
    climbing = [value for value in CLIMBING if value not in fine]
    values = [*climbing, *fine, *linked]
    written(bench.folder / "logs/app.log", [{"n": n, "service": value} for n, value in enumerate(values)])
    config = f"""
data_dir: ./data
inputs: {{app: {{type: file, include: [./logs/*.log], poll_interval: 50ms}}}}
filters: {{parse: {{type: parse, format: json}}}}
outputs: {{out: {{type: file, path: "{path}", delivery: {{batch: {{wait: 20ms}}, retry: {{first: 20ms, max: 50ms}}}}}}}}
"""
    agent = bench.agent(config)
    before = tree(bench.folder, out, data)
    with agent:
        agent.wait_for(lambda: agent.metric("shipper_output_events_total") == len(fine), what="to write the names")
        agent.wait_for(lambda: agent.metric("shipper_dead_letter_events_total") >= len(climbing), what="to set aside")
        stuck = len(linked) - (agent.metric("shipper_dead_letter_events_total") - len(climbing))
        aside = agent.metric("shipper_dead_letter_events_total", component="out")
        bench.sound(agent)
        assert agent.stop() == 0
    after = tree(bench.folder, out, data)
    made = [each for each in out.rglob("*") if not each.is_symlink() and each != out / "here"]
    files = {each for each in made if each.is_file()}
    names = {each.name.removesuffix(".log") if place == "name" else each.parent.name for each in files}
    modes = Counter(oct(stat.S_IMODE(each.stat().st_mode)) for each in made if each.is_file())
    folders = Counter(oct(stat.S_IMODE(each.stat().st_mode)) for each in made if each.is_dir())
    bench.figure("values", ">= 60", len(values))
    bench.figure("files outside of the base, made or changed", "0", len(set(after.items()) ^ set(before.items())))
    bench.figure("set aside", str(len(climbing)), int(aside))
    bench.figure(
        "behind links: set aside or tried again, never written",
        str(len(linked)),
        f"{int(aside) - len(climbing)} and {int(stuck)}",
    )
    assert len(values) >= 60
    assert after == before
    assert all(link.is_symlink() for link in (out / name for name in links))
    assert names == set(fine)
    assert sum(len(list(ndjson(file))) for file in files) == len(fine)
    assert len(climbing) <= aside <= len(climbing) + len(linked)
    assert set(modes) == {"0o640"}
    assert set(folders) <= {"0o750"}


def test_t56_x16_a_link_put_there_while_it_runs(bench: Bench) -> None:
    """T56, X16: a folder or a file of the output that somebody exchanges for a link while it runs is not followed: bytes outside 0, each
    event of it is set aside; once the link is gone it is written again.
    """
    out, outside, log = bench.folder / "out", bench.folder / "outside", bench.folder / "app.log"
    outside.mkdir()
    (outside / "victim").write_text("mine\n")
    config = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs: {out: {type: file, path: "./out/{team}/{service}.log", delivery: {dead_letter: true, batch: {wait: 20ms}, retry: {first: 20ms, max: 50ms}}}}
"""
    written(log, [{"n": 0, "team": "a", "service": "x"}, {"n": 0, "team": "b", "service": "x"}])
    with bench.agent(config) as agent:
        agent.wait_for(lambda: agent.metric("shipper_output_events_total") == 2, what="to write")
        (out / "a").rename(out / "old")
        (out / "a").symlink_to(outside)
        (out / "b/x.log").rename(out / "b/old.log")
        (out / "b/x.log").symlink_to(outside / "victim")
        time.sleep(1.1)  # it looks once a second whether a file that it has open is still there
        with log.open("a") as file:
            for team, service in (("a", "x"), ("b", "x"), ("a", "victim")):
                file.write(json.dumps({"n": 1, "team": team, "service": service}) + "\n")
        agent.wait_for(lambda: len(agent.dead_letters("out")) == 3, what="to set aside what cannot be written")
        (out / "a").unlink()
        (out / "b/x.log").unlink()
        with log.open("a") as file:
            file.write('{"n": 2, "team": "a", "service": "x"}\n{"n": 2, "team": "b", "service": "x"}\n')
        agent.wait_for(
            lambda: agent.metric("shipper_output_events_total") == 4, what="to write once the links are gone"
        )
        bench.sound(agent)
        assert agent.stop() == 0
    assert [event["n"] for path in (out / "a/x.log", out / "b/x.log") for event in ndjson(path)] == [2, 2]
    bench.figure("bytes that went through a link", "0", sum(len(path.read_bytes()) for path in outside.iterdir()) - 5)
    assert (outside / "victim").read_text() == "mine\n"
    assert [path.name for path in outside.iterdir()] == ["victim"]


def decided(agent: Agent) -> bool:
    """It has ended, or is ready."""
    ended = agent.process is not None and agent.process.poll() is not None
    return ended or bool(agent.url and agent.answers("/readyz") == 200)


def test_t56_x16_links_in_the_data_folder(bench: Bench) -> None:
    """T56, X16: whatever file of the data folder somebody exchanges for a link while the agent is down: what it leads to stays as it is,
    byte and mode, and after at most one refused start with the reason the agent runs.
    """
    config = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs: {web: {type: http, url: "http://127.0.0.1:9", delivery: {batch: {wait: 20ms}, buffer: {spill_after: 100ms}, retry: {max: 100ms}}},
          file: {type: file, path: "./out/{service}.log", delivery: {batch: {wait: 20ms}}}}
"""
    written(bench.folder / "app.log", [{"n": n, "service": "../x" if n % 2 else "good"} for n in range(100)])
    agent = bench.agent(config)
    with agent:
        agent.wait_for(
            lambda: agent.metric("shipper_buffer_bytes") > 0 and len(agent.dead_letters("file")) == 50,
            what="to fill its folder",
        )
        assert agent.stop() == 0
    files = sorted(path.relative_to(agent.data_dir) for path in agent.data_dir.rglob("*") if path.is_file())
    victim = bench.folder / "victim"
    victim.write_text("mine\n")
    victim.chmod(0o644)
    refused = []
    for name in files:
        path, kept = agent.data_dir / name, bench.folder / "kept"
        path.rename(kept)
        path.symlink_to(victim)
        process = agent.start().process
        assert process is not None
        agent.wait_for(lambda: decided(agent), what="to be ready or to end")
        ended = process.poll() is not None
        if ended:
            refused.append(str(name))
            agent.wait()
        else:
            agent.stop()
        assert victim.read_text() == "mine\n", name
        assert stat.S_IMODE(victim.stat().st_mode) == 0o644, name
        if path.is_symlink():
            path.unlink()
        if not path.exists():
            kept.rename(path)
    with agent:
        bench.sound(agent)
        assert agent.stop() == 0
    bench.figure("files exchanged for links", ">= 8", len(files))
    bench.figure("of these followed", "0", 0)
    bench.figure("starts refused, with the reason", "(shown)", " ".join(refused) or "none")
    assert len(files) >= 8, files


FORGED = '"}\n{"delete":{"_index":"logs-a","_id":"1"}}\n{"index":{"_index":"evil"}}\n{"a":"'
EVIL = [
    FORGED, '"', "\\", '\\"', "a\nb", "a\r\nX-Evil: 1\r\n\r\nPOST /evil HTTP/1.1", "a\rb", "\u2028", "\x1b[2J\x1b[31m", "\0", "?pipeline=evil", "#x", "a@evil",
    "../_all", "_bulk?x=1", "%0d%0aX-Evil:1", '",x="1', '"} 1\n{a="b', "{{a}}", "${HOME}", "{service}", "a,b", "*", "日本語", "'; drop", "<script>",
]  # fmt: skip
INJECTED = """
data_dir: ./data
log: {level: debug}
inputs: {app: {type: file, include: ["./logs/*"], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs:
  out: {OUT, delivery: {batch: {wait: 20ms}, retry: {first: 20ms, max: 50ms}}}
"""


def seen(bench: Bench, out: str, count: int, status: int = 200) -> tuple[Agent, Destination, list[Asked], list[Head]]:
    """What reaches a destination of events whose every field is each of the evil values."""
    requests: list[Asked] = []
    (bench.folder / "logs").mkdir()
    written(
        bench.folder / "logs/evil\x1b[31m\nforged",
        [{"n": n, "id": f"{n} {value}", "v": value, value or "k": n} for n, value in enumerate(EVIL)],
    )

    def rule(asked: Asked) -> Answer:
        requests.append(asked)
        return Answer(status)

    with Destination(rule) as server:
        agent = bench.agent(INJECTED.replace("OUT", out.replace("URL", server.url)))
        with agent:
            agent.wait_for(
                lambda: (
                    agent.metric("shipper_output_events_total") + agent.metric("shipper_dead_letter_events_total")
                    == count
                )
            )
            bench.sound(agent)
            assert agent.stop() == 0
    heads = [asked.head for asked in requests]
    bench.figure("events sent and set aside", str(count), f"{len(server.taken)} and {len(agent.dead_letters('out'))}")
    said = agent.stderr_file.read_bytes().decode()
    control = [char for char in said if not char.isprintable() and char != "\n"]
    bench.figure("raw control characters in the agent's log", "0", len(control))
    assert not control and not [row for row in said.splitlines() if row.startswith("forged")]
    return agent, server, requests, heads


@pytest.mark.parametrize("op", ["create", "index"])
def test_t57_bulk_lines_and_indices(bench: Bench, op: str) -> None:
    """T57: values that end the JSON, the line or the address, in `_id`, in the index and as names and values of fields: as many actions as
    events, all of the one verb, ids as they were, every index `logs-...`, every path `/_bulk`.
    """
    out = f"type: elasticsearch, endpoints: ['URL'], index: 'logs-{{v}}', id: '{{id}}', op: {op}"
    agent, server, requests, heads = seen(bench, out, len(EVIL))
    actions = [action for asked in requests for action in asked.actions]
    aside = agent.dead_letters("out")
    documents = {event["n"]: event for event in server.taken}
    ids = {about["_id"] for _, about in actions}
    bench.figure("actions beyond events", "0", len(actions) - len(server.taken))
    assert len(actions) == len(server.taken) >= 5
    assert len(server.taken) + len(aside) == len(EVIL)
    assert {verb for verb, _ in actions} == {op}
    assert all(set(about) <= {"_index", "_id"} and about["_index"].startswith("logs-") for _, about in actions)
    assert ids == {f"{n} {EVIL[n]}" for n in documents}
    assert all(event["v"] == EVIL[n] for n, event in documents.items())
    assert {head.path.partition("?")[0] for head in heads} == {"/_bulk"}
    assert "x-evil" not in {name for head in heads for name in head.headers}


def test_t57_ids_alone(bench: Bench) -> None:
    """T57: the same in `_id` with one index: each event is a document, under exactly its id, and none is missing."""
    _, server, requests, _ = seen(bench, "type: elasticsearch, endpoints: ['URL'], index: logs, id: '{id}'", len(EVIL))
    actions = [action for asked in requests for action in asked.actions]
    bench.figure("actions beyond events", "0", len(actions) - len(EVIL))
    assert sorted(about["_id"] for _, about in actions) == sorted(f"{n} {value}" for n, value in enumerate(EVIL))
    assert {about["_index"] for _, about in actions} == {"logs"}
    assert sorted(server.documents) == sorted(f"logs/{n} {value}" for n, value in enumerate(EVIL))


def test_t57_labels_and_tenants(bench: Bench) -> None:
    """T57: quotes in a Loki label come back as they were; a tenant that would be another header is set aside, and headers beyond ours are 0."""
    out = "type: loki, url: 'URL', labels: {job: x, v: '{v}'}, line: json"
    agent, server, _, heads = seen(bench, out, len(EVIL))
    values = Counter(event["v"] for event in server.taken)
    assert values == Counter(EVIL)
    assert all(set(event) == {"job", "v", "message"} and event["job"] == "x" for event in server.taken)
    assert all(json.loads(event["message"])["v"] == event["v"] for event in server.taken)
    assert not agent.dead_letters("out")
    assert {head.path for head in heads} == {"/loki/api/v1/push"}


def test_t57_headers(bench: Bench) -> None:
    """T57: CR, LF and the like in a tenant, the one header that an event can fill: set aside; in the requests are no headers but ours."""
    agent, server, _, heads = seen(
        bench, "type: loki, url: 'URL', labels: {job: x}, tenant: '{v}', line: json", len(EVIL)
    )
    tenants = {head.headers["x-scope-orgid"] for head in heads}
    names = {name for head in heads for name in head.headers}
    ours = {
        "host",
        "x-scope-orgid",
        "content-type",
        "content-length",
        "content-encoding",
        "user-agent",
        "accept",
        "accept-encoding",
    }
    bench.figure("headers beyond ours", "0", sorted(names - ours))
    assert names <= ours
    assert tenants <= set(EVIL) and all(tenant.isprintable() and tenant.isascii() for tenant in tenants)
    assert len(agent.dead_letters("out")) + len(server.taken) == len(EVIL)
    assert len(agent.dead_letters("out")) > len(EVIL) / 2
