"""Files into a real OpenSearch through the whole product, read back by query."""

from __future__ import annotations

import json
import shutil
import socket
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.e2e.agent import Agent, ndjson, shipper, write_config
from tests.integration.rest import call, documents
from tests.servers import Url

EMAIL, CARD, TOKEN = "ann.lee@example.com", "4111 1111 1111 1111", "Bearer 9f8c2b1e7d604a5fa3d2c1b0e9f87766"
SECRETS = [f"receipt for {EMAIL}", f"paid with {CARD}", f"headers: Authorization: {TOKEN}", "nothing to hide"]


def write_log(path: Path, count: int, **fields: Any) -> None:
    """JSON application logs of two services, each with its `id`, three of four with a secret in the message."""
    with path.open("w") as log:
        for n in range(count):
            event = {
                "id": n,
                "timestamp": f"2026-11-20T09:{n // 60 % 60:02}:{n % 60:02}.{n % 1000:03}Z",
                "service": ("checkout", "payment")[n % 2],
                "message": SECRETS[n % 4],
                "deep": {"list": [SECRETS[n % 4]]},
                **fields,
            }
            log.write(json.dumps(event) + "\n")


def config(log: Path, output: dict[str, Any], filters: Iterable[str] = ("parse", "where", "hide")) -> dict[str, Any]:
    every = {
        "parse": {"type": "parse", "format": "json"},
        "where": {"type": "enrich", "host": True, "fields": {"team": "shop {service}"}, "env": {"region": "REGION"}},
        "hide": {"type": "redact", "detect": ["email", "credit_card", "bearer_token"]},
    }
    return {
        "inputs": {"app": {"type": "file", "include": [str(log)]}},
        "filters": {name: every[name] for name in filters},
        "outputs": {"es": {"type": "elasticsearch", **output}},
    }


def run(settings: dict[str, Any], folder: Path) -> None:
    done = shipper("run", "--once", "-c", write_config(settings, folder), env={"REGION": "eu-1"})
    assert done.returncode == 0, done.stderr


def test_every_event_is_there_once_parsed_enriched_and_without_secrets(opensearch: Url, tmp_path: Path) -> None:
    """What was written to the file is what a query finds: each id once, its fields, its place, no secret."""
    write_log(tmp_path / "app.log", 5000)
    output = {"endpoints": [str(opensearch)], "index": "shop-{service:app}-{timestamp:%Y.%m.%d}"}
    run(config(tmp_path / "app.log", output), tmp_path)

    found = documents(opensearch, "shop-*")
    assert sorted(event["id"] for event in found) == list(range(5000))
    text = json.dumps(found)
    assert not [secret for secret in (EMAIL, CARD, TOKEN.split()[1]) if secret in text]
    by_id = {event["id"]: event for event in found}
    assert by_id[4]["message"] == "receipt for [email]"
    assert by_id[5]["deep"]["list"] == ["paid with [credit_card]"]
    assert by_id[7]["message"] == "nothing to hide"
    assert by_id[61]["@timestamp"] == "2026-11-20T09:01:01.061Z"
    assert by_id[61]["_index"] == "shop-payment-2026.11.20"
    assert {event["team"] for event in found} == {"shop checkout", "shop payment"}
    assert {(event["host"], event["region"]) for event in found} == {(socket.gethostname(), "eu-1")}
    assert {event["file"] for event in found} == {str(tmp_path / "app.log")}


def test_a_second_run_with_the_same_ids_adds_nothing(opensearch: Url, tmp_path: Path) -> None:
    """A document that is there already (409 on create) counts as delivered, so a repeat is harmless."""
    write_log(tmp_path / "app.log", 500)
    output = {"endpoints": [str(opensearch)], "index": "twice", "op": "create", "id": "{service}-{id}"}
    for life in ("first", "second"):
        run({**config(tmp_path / "app.log", output), "data_dir": life}, tmp_path)
        assert not (tmp_path / life / "dead_letters").exists()

    found = documents(opensearch, "twice")
    wanted = {f"{('checkout', 'payment')[n % 2]}-{n}" for n in range(500)}
    assert len(found) == 500
    assert {event["_id"] for event in found} == wanted


def test_a_data_stream_takes_everything(opensearch: Url, tmp_path: Path) -> None:
    """Events get `@timestamp` and are created in the data stream that the template names."""
    template = {"index_patterns": ["logs-*-streamed"], "data_stream": {}, "priority": 500}
    call("PUT", f"{opensearch}/_index_template/streamed", template)
    write_log(tmp_path / "app.log", 1000)
    output = {"endpoints": [str(opensearch)], "data_stream": {"dataset": "{service}", "namespace": "streamed"}}
    run(config(tmp_path / "app.log", output), tmp_path)

    streams = call("GET", f"{opensearch}/_data_stream/logs-*-streamed")["data_streams"]
    assert sorted(stream["name"] for stream in streams) == ["logs-checkout-streamed", "logs-payment-streamed"]
    found = documents(opensearch, "logs-*-streamed")
    assert sorted(event["id"] for event in found) == list(range(1000))


def test_a_mapping_conflict_goes_to_the_dead_letters_with_the_servers_reason(opensearch: Url, tmp_path: Path) -> None:
    """Only the events that the mapping refuses are set aside, as they were, with what the server said."""
    call("PUT", f"{opensearch}/strict", {"mappings": {"properties": {"amount": {"type": "integer"}}}})
    with (tmp_path / "app.log").open("w") as log:
        for n in range(300):
            amount = "a lot" if n % 100 == 50 else n
            log.write(json.dumps({"id": n, "timestamp": "2026-11-20T09:00:00Z", "amount": amount}) + "\n")
    output = {"endpoints": [str(opensearch)], "index": "strict"}
    run(config(tmp_path / "app.log", output, ["parse"]), tmp_path)

    found = documents(opensearch, "strict")
    assert sorted(event["id"] for event in found) == [n for n in range(300) if n % 100 != 50]
    letters = list(ndjson(tmp_path / "shipper-data" / "dead_letters" / "es.ndjson"))
    assert sorted(letter["event"]["id"] for letter in letters) == [50, 150, 250]
    for letter in letters:
        assert letter["status"] == 400
        assert letter["component"] == "es"
        assert "failed to parse field [amount] of type [integer]" in letter["reason"]
        assert letter["event"]["amount"] == "a lot"


def test_a_line_that_is_sent_twice_is_one_document(opensearch: Url, tmp_path: Path) -> None:
    """With `id: auto`, after the positions were set back to where a crash would have left them, all lines go again and
    none is two documents; equal lines stay as many documents as there are lines."""
    write_log(tmp_path / "app.log", 3000)
    with (tmp_path / "app.log").open("a") as log:
        log.write('{"id": -1, "message": "the same"}\n' * 50)
    state = tmp_path / "shipper-data" / "state"
    dead = config(tmp_path / "app.log", {"endpoints": ["http://127.0.0.1:1"], "index": "once", "id": "auto"})
    with Agent(dead, tmp_path) as agent:  # it hands the first batches on, and is killed before anything arrives
        agent.wait_for(lambda: agent.metric("shipper_input_events_total", input="app") > 0)
        agent.kill()
    shutil.copytree(state, tmp_path / "before")

    live = config(tmp_path / "app.log", {"endpoints": [str(opensearch)], "index": "once", "id": "auto"})
    run(live, tmp_path)
    first = documents(opensearch, "once")
    for folder in (state, tmp_path / "shipper-data" / "buffers"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "before", state)
    second = shipper("run", "--once", "-c", write_config(live, tmp_path), env={"REGION": "eu-1"})
    assert second.returncode == 0 and "delivered: es 3050" in second.stderr, second.stderr

    found = documents(opensearch, "once")
    assert sorted(event["id"] for event in found) == [-1] * 50 + list(range(3000))
    assert {event["_id"] for event in found} == {event["_id"] for event in first}
    assert not any("_shipper_id" in event for event in found)


def test_events_that_filters_drop_and_multiply_are_the_same_documents_again(opensearch: Url, tmp_path: Path) -> None:
    """A function that makes two events of one or none, by two pipelines: all of it twice is what it was once."""
    write_log(tmp_path / "app.log", 400)
    (tmp_path / "f.py").write_text(
        "def process(event):\n"
        "    if event['id'] % 4 == 0:\n"
        "        return None\n"
        "    return [event, {'id': -event['id']}] if event['id'] % 4 == 1 else {'id': event['id']}\n"
    )
    settings = {
        **config(tmp_path / "app.log", {"endpoints": [str(opensearch)], "index": "many", "id": "auto"}, ["parse"]),
        "pipelines": {
            "one": {"inputs": ["app"], "filters": ["parse", "python"], "outputs": ["es"]},
            "two": {"inputs": ["app"], "filters": ["parse"], "outputs": [{"output": "es", "when": "id == 7"}]},
        },
    }
    settings["filters"]["python"] = {"type": "python", "file": "f.py"}
    run(settings, tmp_path)
    first = {event["_id"]: event["id"] for event in documents(opensearch, "many")}
    made = [n for n in range(400) if n % 4] + [-n for n in range(400) if n % 4 == 1]
    assert sorted(first.values()) == sorted([*made, 7])

    positions = tmp_path / "shipper-data" / "state" / "input-app" / "positions"
    for slot in positions.iterdir():  # as if nothing had been acknowledged
        body = json.loads(slot.read_bytes().split(b" ", 1)[1])
        for entry in body["files"]:
            entry.update(offset=0, mark=[0, ""])
        text = json.dumps(body, separators=(",", ":")).encode()
        slot.write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    done = shipper("run", "--once", "-c", write_config(settings, tmp_path), env={"REGION": "eu-1"})
    assert done.returncode == 0 and "400 events read" in done.stderr, done.stderr
    assert {event["_id"]: event["id"] for event in documents(opensearch, "many")} == first
