"""Every example runs for real on the sample logs, and what it says arrives."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import ROOT, Agent, environment, ndjson, shipper
from tests.e2e.fake import Destination, Got, Say

LOGS = ROOT / "examples" / "logs"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PATIENCE = 15.0  # seconds; only a test that fails waits that long
APPS = {"django": "app.py", "flask": "app.py", "nodejs": "app.js"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The examples, their logs and the plugins, as they lie beside each other in the project."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("shipper-data"))
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "api.yaml").write_text("api: {listen: 127.0.0.1:0}\n")
    return tmp_path


@pytest.fixture
def collector() -> Iterator[Destination]:
    with Destination() as server:
        yield server


def bulk(got: Got) -> Say:
    """What Elasticsearch answers when it has taken every document."""
    if not got.path.partition("?")[0].endswith("/_bulk"):
        return Say(200, b'{"version": {"number": "8.15.0"}}')
    items = [{"create": {"status": 201}}] * (got.body.count(b"\n") // 2)
    return Say(200, json.dumps({"errors": False, "items": items}).encode(), {"X-Elastic-Product": "Elasticsearch"})


def documents(server: Destination) -> list[tuple[str, Any]]:
    """What was indexed: index, document."""
    lines = [event for got in server.taken if got.body for event in got.events]
    return [(head["create"]["_index"], body) for head, body in zip(lines[::2], lines[1::2], strict=True)]


def pushed(server: Destination) -> list[tuple[dict[str, str], Any, dict[str, str]]]:
    """What Loki was sent: labels, the line decoded, structured metadata."""
    return [
        (stream["stream"], json.loads(value[1]), value[2] if len(value) > 2 else {})
        for got in server.taken
        for stream in json.loads(got.body)["streams"]
        for value in stream["values"]
    ]


def config(place: Path, name: str) -> Path:
    return place / "examples" / name / "shipper.yaml"


def once(place: Path, name: str, **env: str) -> str:
    """Run an example to its end; everything is delivered, and nothing was set aside. What it printed."""
    done = shipper("run", "--once", "-c", config(place, name), env=env)
    assert done.returncode == 0, done.stderr
    assert not list(place.rglob("dead_letters/*.ndjson")), done.stderr
    return done.stdout


def lines(*names: str) -> list[str]:
    return [line for name in names for line in (LOGS / name).read_text().splitlines()]


SHOP = ("shop/checkout.log", "shop/payment.log")


def test_every_example_is_run_here() -> None:
    """An example without a test of its name would be a promise that nobody keeps."""
    text = Path(__file__).read_text()
    for folder in (ROOT / "examples").iterdir():
        if (folder / "shipper.yaml").exists():
            assert f'"{folder.name}"' in text, f"no test runs {folder.name}"
            assert (folder / "README.md").exists()


def test_sidecar(place: Path, collector: Destination) -> None:
    """Every line of the folder arrives at the collector, parsed, with host and team, and without card numbers."""
    once(place, "sidecar", COLLECTOR_URL=collector.url + "/logs")
    events = collector.events()
    assert len(events) == len(lines(*SHOP))
    assert {event["team"] for event in events} == {"shop"}
    assert {event["host"] for event in events} == {socket.gethostname()}
    assert {event["service"] for event in events} == {"checkout", "payment"}
    declined = [event["message"] for event in events if "declined by issuer" in event["message"]]
    assert declined
    assert all(message.startswith("card [credit_card] declined") for message in declined)
    assert collector.taken[0].headers["Content-Encoding"] == "gzip"


def test_syslog_relay(place: Path, collector: Destination) -> None:
    """What devices send by UDP and TCP is in a file a host and at the collector, without cron's success stories."""
    sent = lines("syslog.log")
    env = {
        "SYSLOG_UDP": "udp://127.0.0.1:0",
        "SYSLOG_TCP": "tcp://127.0.0.1:0",
        "CENTRAL_URL": collector.url + "/syslog",
    }
    with Agent(config(place, "syslog-relay"), place, args=("-c", str(place / "api.yaml")), env=env) as agent:
        address = agent.status()["inputs"]["network"]["address"]
        ports = {kind: int(port) for kind, port in re.findall(r"(udp|tcp)://127\.0\.0\.1:(\d+)", address)}
        with socket.create_connection(("127.0.0.1", ports["tcp"])) as tcp:
            tcp.sendall("".join(f"{line}\n" for line in sent[::2]).encode())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for line in sent[1::2]:
                udp.sendto(line.encode(), ("127.0.0.1", ports["udp"]))
        noise = sum("CRON" in line for line in sent)
        agent.wait_for(lambda: len(collector.events()) >= len(sent) - noise)
        assert agent.metric("shipper_dropped_events_total", component="noise") == noise > 0
        assert agent.stop() == 0
    events = collector.events()
    assert len(events) == len(sent) - noise
    assert {"sshd", "postfix/smtp", "shop-worker"} <= {event.get("app") for event in events}
    archive = agent.data_dir / "archive"
    by_host = {file.stem: len(list(ndjson(file))) for file in archive.iterdir()}
    assert by_host == Counter(event.get("host", "unknown") for event in events)


def test_access_log_to_elasticsearch(place: Path) -> None:
    """Every line but the probes is a document of its day's index, in fields, the visitor's address cut."""
    wanted = [line for line in lines("access.log") if "/healthz" not in line]
    with Destination(bulk) as search:
        once(place, "access-log-to-elasticsearch", ELASTICSEARCH_URL=search.url)
    found = documents(search)
    assert len(found) == len(wanted) < len(lines("access.log"))
    assert {index for index, _ in found} == {"access-2026.11.20"}
    assert Counter(document["status"] for _, document in found) == Counter(
        int(line.split('" ')[1].split()[0]) for line in wanted
    )
    assert all(re.fullmatch(r"(\d+\.){3}\*|[0-9a-f:]+\*?", document["remote_host"]) for _, document in found)
    assert {document["remote_host"] for _, document in found} >= {"203.0.113.*", "198.51.100.*"}
    assert all(document["@timestamp"].startswith("2026-11-20T") for _, document in found)


def test_json_to_loki(place: Path) -> None:
    """Streams have few labels, lines their trace id beside them, and debug lines stay where they are."""
    with Destination(lambda _: Say(204)) as loki:
        once(place, "json-to-loki", LOKI_URL=loki.url)
    found = pushed(loki)
    wanted = [event for event in map(json.loads, lines(*SHOP)) if event["level"] != "debug"]
    assert len(found) == len(wanted)
    assert {got.path for got in loki.taken} == {"/loki/api/v1/push"}
    assert {frozenset(labels) for labels, _, _ in found} == {frozenset({"service", "level"})}
    assert Counter(more["trace_id"] for _, _, more in found) == Counter(event["trace_id"] for event in wanted)
    assert any("[credit_card]" in line["message"] for _, line, _ in found)
    assert "4111" not in "".join(line["message"] for _, line, _ in found)


def test_route_errors(place: Path, collector: Destination) -> None:
    """Everything is in the files, errors are with the pager too, and a line that is no JSON has a file of its own."""
    shop = place / "examples" / "logs" / "shop"
    (shop / "odd.log").write_text("segmentation fault\n")
    once(place, "route-errors", PAGER_URL=collector.url + "/alerts", LOG_DIR=str(shop))
    out = config(place, "route-errors").parent / "shipper-data" / "out"
    came = [json.loads(line) for line in lines(*SHOP)]
    stored = [event for file in sorted(out.glob("all-*.ndjson")) for event in ndjson(file)]
    assert Counter(event["service"] for event in stored) == Counter(event["service"] for event in came)
    alerts = [event for got in collector.taken for event in json.loads(got.body)]
    errors = [event for event in came if event["level"] == "error"]
    assert {event["level"] for event in alerts} == {"error"}
    assert sorted(event["span_id"] for event in alerts) == sorted(event["span_id"] for event in errors)
    assert [event["message"] for event in ndjson(out / "strange.ndjson")] == ["segmentation fault"]


def test_back_fill(place: Path) -> None:
    """Plain and packed files are read once, each line lies in the file of its day, and a second run adds nothing."""
    archive = place / "archive"
    archive.mkdir()
    today = (LOGS / "access.log").read_bytes()
    (archive / "access.log").write_bytes(today)
    (archive / "access.log-20261119").write_bytes(today.replace(b"20/Nov/2026", b"18/Nov/2026"))
    (archive / "access.log.2.gz").write_bytes(gzip.compress(today.replace(b"20/Nov/2026", b"17/Nov/2026")))
    for _ in range(2):
        once(place, "back-fill", ARCHIVE=str(archive))
        by_day = config(place, "back-fill").parent / "shipper-data" / "by-day"
        events = {file.stem: list(ndjson(file)) for file in by_day.iterdir()}
        count = len(lines("access.log"))
        assert {day: len(found) for day, found in events.items()} == {
            "2026-11-17": count, "2026-11-18": count, "2026-11-20": count,
        }  # fmt: skip
    sent = [line.split('"')[1].split()[1] for line in lines("access.log")]
    assert [event["path"] for event in events["2026-11-17"]] == sent


def test_drop_in_plugins(place: Path, collector: Destination) -> None:
    """Each request lies with the team that owns its address, and what failed was said in the chat."""
    once(place, "drop-in-plugins", CHAT_WEBHOOK=collector.url + "/hooks/x")
    out = config(place, "drop-in-plugins").parent / "shipper-data" / "out"
    owners = {file.stem: {event["remote_host"] for event in ndjson(file)} for file in out.iterdir()}
    assert owners["partners"] == {"203.0.113.130"}
    assert "203.0.113.7" in owners["retail"]
    assert owners["office"] == {"2001:db8:12::8f"}
    assert owners["others"] == {"192.0.2.66"}
    said = [line for got in collector.taken for line in json.loads(got.body)["text"].split("\n")]
    assert len(said) == sum('" 504 ' in line for line in lines("access.log")) > 0
    assert all(re.fullmatch(r"\*504\* [A-Z]+ /\S* from \S+ \(\w+\)", line) for line in said)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def visit(app: subprocess.Popen[bytes], port: int) -> None:
    """Once it answers: a request inside a trace with a mail address in it, and one that fails."""
    end = time.monotonic() + PATIENCE
    while True:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/order?mail=ann@example.com",
            headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                assert json.load(response) == {"ordered": True, "trace_id": TRACE}
            break
        except urllib.error.URLError:
            assert app.poll() is None, "the application has ended"
            assert time.monotonic() < end, "the application does not answer"
            time.sleep(0.05)
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/broken", timeout=5)
    failed.value.close()
    assert failed.value.code == 500


@contextlib.contextmanager
def running(argv: list[str], folder: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    app = subprocess.Popen(argv, cwd=folder, **options)
    try:
        yield app
    finally:
        app.kill()
        app.wait()
        if app.stdout:
            app.stdout.close()


def piped(place: Path, name: str, argv: list[str], **env: str) -> str:
    """`app | shipper run`: visit the application, end it; Shipper delivers what it said and ends by itself."""
    folder, port = place / "examples" / name, free_port()
    agent = [sys.executable, "-m", "shipper", "run", "-c", str(folder / "shipper.yaml"), "-c", str(place / "api.yaml")]
    quiet = (place / "app.stderr").open("wb")
    with (
        quiet,
        running(argv, folder, env=environment({"PORT": str(port)}), stdout=subprocess.PIPE, stderr=quiet) as app,
    ):
        with (place / "screen").open("wb") as screen, (place / "agent.stderr").open("wb") as said:
            with running(agent, folder, stdin=app.stdout, stdout=screen, stderr=said, env=environment(env)) as ship:
                visit(app, port)
                app.send_signal(signal.SIGTERM)
                status = ship.wait(PATIENCE)
    assert status == 0, (place / "agent.stderr").read_text()
    return (place / "screen").read_text()


def check_story(events: list[Any]) -> None:
    """The visit as its log tells it: the trace of the caller, no mail address, the failure with its traceback."""
    (ordered,) = [event for event in events if "receipt" in event["message"]]
    assert (ordered["message"], ordered["trace_id"]) == ("receipt sent to [email]", TRACE)
    (broken,) = [event for event in events if event["level"] == "error" and "error" in event]
    assert "out of stock" in broken["error"]
    assert re.fullmatch("[0-9a-f]{32}", broken["trace_id"])
    assert broken["trace_id"] != TRACE


def test_django(place: Path) -> None:
    """The application writes a file, the agent follows it; Loki gets the lines with their trace ids."""
    pytest.importorskip("django")
    folder, port = place / "examples" / "django", free_port()
    argv = [sys.executable, APPS["django"], "runserver", "--noreload", f"127.0.0.1:{port}"]
    logs = {"LOG_DIR": str(place / "logs")}
    with Destination(lambda _: Say(204)) as loki, (place / "app.stderr").open("wb") as said:
        agent = Agent(
            config(place, "django"), place, args=("-c", str(place / "api.yaml")), env={"LOKI_URL": loki.url, **logs}
        )
        with agent, running(argv, folder, stdout=said, stderr=said, env={**os.environ, **logs}) as app:
            visit(app, port)
            agent.wait_for(lambda: {labels["level"] for labels, _, _ in pushed(loki)} >= {"info", "error"})
            assert agent.stop() == 0
    check_story([line for _, line, _ in pushed(loki)])
    assert all(more["trace_id"] == line["trace_id"] for _, line, more in pushed(loki) if "trace_id" in line)


def test_flask(place: Path) -> None:
    """`python app.py | shipper run`: the JSON lines are documents, and the agent ends with the application."""
    pytest.importorskip("flask")
    with Destination(bulk) as search:
        piped(place, "flask", [sys.executable, APPS["flask"]], ELASTICSEARCH_URL=search.url)
    found = [(index, document) for index, document in documents(search) if "level" in document]
    assert all(re.fullmatch(r"logs-shop-\d{4}\.\d\d\.\d\d", index) for index, _ in found)
    check_story([document for _, document in found])


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no `node` on this machine")
def test_nodejs(place: Path, collector: Destination) -> None:
    """`node app.js | shipper run`: the same lines are on the screen, readable, and at the collector, whole."""
    screen = piped(place, "nodejs", ["node", APPS["nodejs"]], COLLECTOR_URL=collector.url)
    check_story(collector.events())
    assert f" info {TRACE} receipt sent to [email]\n" in screen
    assert "ann@example.com" not in screen
