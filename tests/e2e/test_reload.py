"""SIGHUP: the configuration changes under the running process, between two lines."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from tests.e2e.agent import Agent, ndjson
from tests.e2e.fake import Destination, Say

BASE = """
data_dir: ./data
api: {listen: 127.0.0.1:0}
checkpoint_interval: 50ms
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}, mark: {type: set, fields: {mark: one}}}
outputs: {out: {type: file, path: ./out.ndjson, delivery: {batch: {bytes: 64KiB, wait: 20ms}}}}
"""


def append(path: Path, *ids: int) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"id": n}) + "\n" for n in ids)


def replace(path: Path, text: str) -> None:
    """Write a file as careful people do: whoever reads it sees all of the old one or all of the new one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def ids(path: Path) -> list[int]:
    return [event["id"] for event in ndjson(path)]


def has(path: Path, count: int) -> bool:
    return len(ids(path)) >= count


def reload(agent: Agent, text: str, outcome: str = "ok") -> None:
    """Write another configuration, send SIGHUP, wait until it is counted."""
    before = agent.metric("shipper_reloads_total", outcome=outcome)
    replace(agent.config, text)
    agent.signal(signal.SIGHUP)
    agent.wait_for(lambda: agent.metric("shipper_reloads_total", outcome=outcome) > before, what="to reload")


@contextmanager
def writing(path: Path) -> Iterator[list[int]]:
    """Lines with rising ids until the block ends; the list says how many there are."""
    stop, count = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            append(path, *range(count[0], count[0] + 50))
            count[0] += 50
            stop.wait(0.002)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def test_a_changed_filter_under_load(tmp_path: Path) -> None:
    """Every line passes either the old filter or the new one, in order: none is lost, doubled, or passes neither."""
    path, out = tmp_path / "app.log", tmp_path / "out.ndjson"
    with Agent(BASE, tmp_path) as agent:
        with writing(path) as count:
            agent.wait_for(lambda: len(ids(out)) > 100)
            for number in range(3):
                reload(agent, BASE.replace("mark: one", f"mark: again{number}"))
            seen = count[0]
            agent.wait_for(lambda: count[0] > seen + 100)
        agent.wait_for(lambda: len(ids(out)) >= count[0])
        assert agent.status()["reload"]["outcome"] == "ok"
        assert agent.stop() == 0
    events = list(ndjson(out))
    assert [event["id"] for event in events] == list(range(count[0]))
    marks = [event["mark"] for event in events]
    order = ["one", "again0", "again1", "again2"]
    turns = [mark for mark, _ in groupby(marks)]
    assert turns == [mark for mark in order if mark in turns]
    assert (turns[0], turns[-1]) == ("one", "again2")


def test_bad_configurations_change_nothing(tmp_path: Path) -> None:
    """Mistakes, an output that cannot be opened, and what needs a restart are counted and shown; the work goes on."""
    path, out = tmp_path / "app.log", tmp_path / "out.ndjson"
    append(path, 0)
    with Agent(BASE, tmp_path) as agent:
        bad = {
            "inputs: [": "YAML",
            BASE.replace("type: set", "type: sett"): "did you mean",
            BASE.replace("data_dir: ./data", "data_dir: ./other"): "restart",
            BASE.replace("127.0.0.1:0", "127.0.0.1:1"): "restart",
            BASE.replace("./out.ndjson", "/proc/nothing/out.ndjson"): "cannot be opened",
        }
        for number, (text, word) in enumerate(bad.items(), 1):
            reload(agent, text, "failed")
            last = agent.status()["reload"]
            assert last["outcome"] == "failed"
            assert word in last["reason"], last
            append(path, number)
            agent.wait_for(partial(has, out, number + 1))
        assert agent.answers("/readyz") == 200
        assert agent.stop() == 0
    assert ids(out) == list(range(len(bad) + 1))
    assert "everything goes on as it was" in agent.stderr


def test_an_output_that_moves(tmp_path: Path) -> None:
    """Line 1 goes to the file that is configured when it comes, line 2 to the one that is configured then."""
    path = tmp_path / "app.log"
    append(path, 1)
    with Agent(BASE, tmp_path) as agent:
        agent.wait_for(lambda: ids(tmp_path / "out.ndjson") == [1])
        reload(agent, BASE.replace("./out.ndjson", "./elsewhere/b.ndjson"))
        append(path, 2)
        agent.wait_for(lambda: ids(tmp_path / "elsewhere/b.ndjson") == [2])
        assert agent.stop() == 0
    assert ids(tmp_path / "out.ndjson") == [1]


def test_an_output_that_moves_under_load(tmp_path: Path) -> None:
    """While lines pour in, the file moves three times: together the files have every line exactly once."""
    path = tmp_path / "app.log"
    files = [tmp_path / "out.ndjson", *(tmp_path / f"moved{n}/out.ndjson" for n in range(3))]
    with Agent(BASE, tmp_path) as agent:
        with writing(path) as count:
            for number in range(3):
                agent.wait_for(partial(has, files[number], 100))
                reload(agent, BASE.replace("./out.ndjson", f"./moved{number}/out.ndjson"))
            agent.wait_for(partial(has, files[3], 100))
        agent.wait_for(lambda: sum(len(ids(file)) for file in files) >= count[0])
        assert agent.stop() == 0
    found = [each for file in files for each in ids(file)]
    assert sorted(found) == list(range(count[0]))


def test_the_only_input_may_change(tmp_path: Path) -> None:
    """Another include for the only input: the process goes on with it, and does not take it for the end of all input."""
    append(tmp_path / "app.log", 1)
    with Agent(BASE, tmp_path) as agent:
        agent.wait_for(lambda: ids(tmp_path / "out.ndjson") == [1])
        reload(agent, BASE.replace("[./app.log]", "[./app.log, ./more.log]"))
        append(tmp_path / "more.log", 2)
        append(tmp_path / "app.log", 3)
        agent.wait_for(lambda: len(ids(tmp_path / "out.ndjson")) >= 3)
        reload(agent, BASE.replace("  app:", "  other:").replace("{app:", "{other:"))
        agent.wait_for(lambda: len(ids(tmp_path / "out.ndjson")) >= 5)
        assert agent.answers("/readyz") == 200
        assert agent.stop() == 0
    assert sorted(ids(tmp_path / "out.ndjson")) == [1, 1, 2, 3, 3], "another name has positions of its own"


def test_a_wrong_address_is_put_right(tmp_path: Path) -> None:
    """What waits for an address where nobody answers is delivered to the right one after a reload, and only once."""
    append(tmp_path / "app.log", *range(50))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        wrong = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
    with Destination() as server:
        text = BASE.replace("{type: file, path: ./out.ndjson, ", "{type: http, url: 'URL', ").replace(
            "wait: 20ms}", "wait: 20ms}, retry: {first: 20ms, max: 100ms}"
        )
        with Agent(text.replace("URL", wrong), tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_output_retries_total", output="out") > 0)
            reload(agent, text.replace("URL", server.url))
            agent.wait_for(lambda: len(server.events()) >= 50)
            agent.wait_for(lambda: agent.metric("shipper_in_flight_events") == 0)
            assert agent.stop() == 0
        assert [event["id"] for event in server.events()] == list(range(50))


def test_another_codec_while_requests_wait(tmp_path: Path) -> None:
    """What was encoded before the reload is whole and right when it is delivered after it."""
    append(tmp_path / "app.log", *range(20))
    with Destination(lambda _: Say(503)) as server:
        text = BASE.replace("{type: file, path: ./out.ndjson, ", f"{{type: http, url: '{server.url}', CODEC").replace(
            "wait: 20ms}", "wait: 20ms}, retry: {first: 20ms, max: 100ms}"
        )
        with Agent(text.replace("CODEC", ""), tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_output_retries_total", output="out") > 0)
            reload(agent, text.replace("CODEC", "codec: json, "))
            server.answer = lambda _: Say()
            append(tmp_path / "app.log", *range(20, 40))
            agent.wait_for(lambda: agent.metric("shipper_output_events_total", output="out") >= 40)
            assert agent.stop() == 0
        first = [
            json.loads(line)["id"] for got in server.taken if got.body[:1] == b"{" for line in got.body.splitlines()
        ]
        then = [event["id"] for got in server.taken if got.body[:1] == b"[" for event in json.loads(got.body)]
    assert (first, then) == (list(range(20)), list(range(20, 40)))


def test_log_level_and_token_change_too(tmp_path: Path) -> None:
    """Everything may change but the three things that need a restart: also the agent's own log and who may see `/status`."""
    with Agent(BASE, tmp_path) as agent:
        reload(agent, BASE.replace("127.0.0.1:0}", "127.0.0.1:0, token: open-sesame}") + "log: {level: error}\n")
        assert agent.answers("/status") == 401
        assert agent.answers("/metrics") == 200
        said = len(agent.stderr)
        reload(agent, BASE + "log: {level: info, format: json}\n")
        assert agent.answers("/status") == 200
        agent.wait_for(lambda: len(agent.stderr) > said)
        assert json.loads(agent.stderr[said:].splitlines()[0])["message"] == "reloaded: no component changed"
        assert agent.stop() == 0


def test_two_signals_in_a_row_are_two_reloads_at_most(tmp_path: Path) -> None:
    """Signals that come while a reload is under way lead to one more, with what is written by then."""
    append(tmp_path / "app.log", 1)
    with Agent(BASE, tmp_path) as agent:
        for number in range(10):
            replace(agent.config, BASE.replace("mark: one", f"mark: m{number}"))
            agent.signal(signal.SIGHUP)
        agent.wait_for(lambda: agent.metric("shipper_reloads_total", outcome="ok") > 0)
        end = time.monotonic() + 5
        while not any(event.get("mark") == "m9" for event in ndjson(tmp_path / "out.ndjson")):
            append(tmp_path / "app.log", 2)
            assert time.monotonic() < end, agent.tail()
        assert agent.metric("shipper_reloads_total", outcome="failed") == 0
        assert agent.stop() == 0


def test_an_input_that_cannot_be_opened_rolls_everything_back(tmp_path: Path) -> None:
    """A reload changes a listener to a port that is in use, and more: it goes on at its old port, all is as it was."""
    append(tmp_path / "app.log", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        first = f"127.0.0.1:{other.getsockname()[1]}"
    before = BASE.replace("inputs: {", f"inputs: {{web: {{type: http, listen: '{first}'}}, ")
    with Agent(before, tmp_path) as agent:
        agent.wait_for(partial(has, tmp_path / "out.ndjson", 1))
        with socket.create_server(("127.0.0.1", 0)) as used:
            address = f"127.0.0.1:{used.getsockname()[1]}"
            after = before.replace(first, address).replace("poll_interval: 50ms", "poll_interval: 60ms")
            after = after.replace("mark: one", "mark: two")
            reload(agent, after, "failed")
            assert agent.answers("/readyz") == 200
            assert "inputs.web: cannot be opened" in agent.status()["reload"]["reason"]
            request = urllib.request.Request(
                f"http://{first}/", b'{"id": 7}\n', {"Content-Type": "application/x-ndjson"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
            append(tmp_path / "app.log", 2)
            agent.wait_for(partial(has, tmp_path / "out.ndjson", 3))
        reload(agent, after)
        append(tmp_path / "app.log", 3)
        agent.wait_for(partial(has, tmp_path / "out.ndjson", 4))
        assert not agent.unaccounted()
        assert agent.stop() == 0
    marks = {event["id"]: event["mark"] for event in ndjson(tmp_path / "out.ndjson")}
    assert marks == {1: "one", 2: "one", 3: "two", 7: "one"}
