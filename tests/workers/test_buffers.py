"""What workers keep on the disk: seen from outside, and emptied when there are fewer of them."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

from tests.e2e.agent import Agent, shipper, write_config
from tests.e2e.fake import Destination, Got, Say

TEXT = """
data_dir: ./data
checkpoint_interval: 50ms
shutdown_grace: 1s
workers: WORKERS
inputs: {app: {type: file, include: [./in/*.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs:
  out:
    type: http
    url: "URL"
    delivery: {batch: {wait: 20ms}, retry: {first: 50ms, max: 100ms}, buffer: {disk: 64MiB, spill_after: 0s}}
"""
SOURCES = 8


def append(folder: Path, ids: range) -> None:
    (folder / "in").mkdir(exist_ok=True)
    for source in range(SOURCES):
        with (folder / "in" / f"a{source}.log").open("a") as file:
            file.writelines(json.dumps({"source": source, "id": n}) + "\n" for n in ids)


def config(folder: Path, url: str, workers: int) -> Path:
    return write_config(TEXT.replace("URL", url).replace("WORKERS", str(workers)), folder)


def arrived(server: Destination) -> Counter[tuple[int, int]]:
    return Counter((event["source"], event["id"]) for event in server.events())


def wanted(count: int) -> Counter[tuple[int, int]]:
    return Counter({(source, n): 1 for source in range(SOURCES) for n in range(count)})


def test_buffers_of_workers_that_are_no_more_are_emptied(tmp_path: Path) -> None:
    """Three workers with a dead output, then one: what waited in all three arrives, beside what is new, each once."""
    append(tmp_path, range(200))
    with Destination(lambda _: Say(503)) as server:
        with Agent(config(tmp_path, server.url, 3), tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_input_events_total") == 200 * SOURCES)
            assert not agent.unaccounted()
            assert agent.stop() == 0
        listed = [
            json.loads(line) for line in shipper("buffer", "ls", "-c", agent.config, "--json").stdout.splitlines()
        ]
        assert sum(each["events"] for each in listed) == 200 * SOURCES
        assert len([each for each in listed if each["events"]]) >= 2, "more than one worker held some"
        exported = shipper("buffer", "export", "out", "-c", agent.config).stdout.splitlines()
        assert Counter((json.loads(line)["source"], json.loads(line)["id"]) for line in exported) == wanted(200)
        append(tmp_path, range(200, 210))
        config(tmp_path, server.url, 1)
        done = shipper("doctor", "-c", agent.config)
        assert "buffers of an earlier run with more workers are not empty; a start empties them" in done.stdout
        with agent:
            agent.ready()  # those that only empty their buffers keep nobody waiting
            server.answer = lambda _: Say()
            agent.wait_for(lambda: arrived(server) == wanted(210))
            agent.wait_for(lambda: {each["state"] for each in agent.status()["workers"][1:]} == {"ended"})
            assert agent.stop() == 0
    assert "only empty their buffers" in agent.stderr
    with Destination() as server, Agent(config(tmp_path, server.url, 1), tmp_path) as agent:
        append(tmp_path, range(210, 211))
        agent.wait_for(lambda: server.events())
        assert "workers" not in agent.status(), "nothing is left to empty, so one process is enough"
        assert agent.stop() == 0


def test_once_empties_them_too(tmp_path: Path) -> None:
    """`--once` with fewer workers ends when what the others had left is delivered as well."""
    append(tmp_path, range(100))
    with Destination(lambda _: Say(503)) as server:
        with Agent(config(tmp_path, server.url, 2), tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_input_events_total") == 100 * SOURCES)
            assert agent.stop() == 0
        server.answer = lambda _: Say()
        done = shipper("run", "--once", "-c", config(tmp_path, server.url, 1))
        assert done.returncode == 0, done.stderr
        assert arrived(server) == wanted(100)


def test_dead_letters_of_all_workers(tmp_path: Path) -> None:
    """`dlq` counts, shows, replays and drops the letters of every worker as one."""
    append(tmp_path, range(20))

    with Destination() as server:
        server.answer = lambda got: Say(400) if any(event["id"] % 2 for event in got.events) else Say()
        file = config(tmp_path, server.url, 2)
        with Agent(file, tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_dead_letter_events_total") == 10 * SOURCES)
            agent.wait_for(lambda: arrived(server).total() == 10 * SOURCES)
            assert agent.stop() == 0
        folders = [tmp_path / "data" / "dead_letters", tmp_path / "data" / "workers" / "1" / "dead_letters"]
        assert all((folder / "out.ndjson").exists() for folder in folders), "each worker has set some aside"
        (summary,) = json.loads(shipper("dlq", "ls", "-c", file, "--json").stdout)
        assert (summary["count"], summary["files"], sum(summary["reasons"].values())) == (80, 2, 80)
        assert len(shipper("dlq", "show", "-c", file).stdout.splitlines()) == 80
        assert len(shipper("dlq", "show", "-c", file, "--limit", "70").stdout.splitlines()) == 70
        assert "80 dead letters" in shipper("dlq", "drop", "-c", file).stderr
        dropped = shipper("dlq", "drop", "-c", file, "--where", "id == 1", "--yes")
        assert f"{SOURCES} dead letters dropped" in dropped.stderr
        server.answer = lambda _: Say()
        done = shipper("dlq", "replay", "-c", file)
        assert done.returncode == 0, done.stderr
        assert "no dead letters" in shipper("dlq", "ls", "-c", file).stderr
        expected = wanted(20)
        for source in range(SOURCES):
            del expected[source, 1]
        assert arrived(server) == expected


def test_files_of_all_workers(tmp_path: Path) -> None:
    """`shipper files` lists every file once, with the position of the worker that reads it."""
    append(tmp_path, range(20))
    with Destination() as server:
        with Agent(config(tmp_path, server.url, 2), tmp_path) as agent:
            agent.wait_for(lambda: arrived(server) == wanted(20))
            assert agent.stop() == 0
        rows = json.loads(shipper("files", "-c", agent.config, "--json").stdout)
    assert [(row["path"].rpartition("/")[2], row["lag"]) for row in rows] == [(f"a{n}.log", 0) for n in range(SOURCES)]
    assert all(row["position"] == row["size"] > 0 for row in rows)


def test_the_sums_of_all_are_exact(tmp_path: Path) -> None:
    """While requests are answered in all ways, what one page says of all workers adds up whenever it is asked."""
    append(tmp_path, range(300))
    answers = iter(range(10**6))
    lock = threading.Lock()

    def answer(got: Got) -> Say:
        with lock:
            number = next(answers)
        return Say((200, 503, 400, 200, 413)[number % 5])

    with Destination(answer) as server, Agent(config(tmp_path, server.url, 2), tmp_path) as agent:
        asked = 0
        while asked < 20 or agent.metric("shipper_input_events_total") < 300 * SOURCES:
            assert not agent.unaccounted()
            asked += 1
        server.answer = lambda _: Say()
        agent.wait_for(lambda: not agent.metric("shipper_in_flight_events") + agent.metric("shipper_buffer_events"))
        dead = agent.metric("shipper_dead_letter_events_total")
        assert agent.metric("shipper_output_events_total", output="out") + dead == 300 * SOURCES
        page = agent.get("/metrics")
        families = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
        assert len(families) == len(set(families))
        series = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
        assert len(series) == len(set(series))
        assert agent.metric("shipper_worker_up") == 2
        assert not agent.unaccounted()


def test_who_may_ask_what(tmp_path: Path) -> None:
    """The rules of the API are the same: `/status` only with the token, and only for names of this machine."""
    append(tmp_path, range(1))
    text = TEXT.replace("URL", "http://127.0.0.1:9/").replace("WORKERS", "2")
    text += "api: {listen: 127.0.0.1:0, token: sesame}\n"
    with Agent(text, tmp_path) as agent:
        assert agent.answers("/status") == 401
        assert agent.answers("/metrics") == 200
        assert agent.answers("/nothing") == 401
        assert json.loads(agent.get("/status", "sesame"))["restarts"] == {"0": 0, "1": 0}
        request = urllib.request.Request(agent.url + "/metrics", headers={"Host": "evil.example"})
        try:
            urllib.request.urlopen(request, timeout=5)
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == 403
        else:
            raise AssertionError("it served a foreign name")
        sockets = sorted((tmp_path / "data" / "workers").glob("*.sock"))
        assert [path.stat().st_mode & 0o777 for path in sockets] == [0o600, 0o600]
