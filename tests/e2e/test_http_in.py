"""Events that are posted: an answer of 200 means delivered, and 503 means send it again."""

from __future__ import annotations

import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.e2e.agent import Agent
from tests.e2e.fake import Destination, Say

WEB = """
data_dir: ./data
memory_limit: 1MiB
inputs: {web: {type: http, listen: 127.0.0.1:0}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {wait: 10ms}, concurrency: 1, retry: {first: 20ms, max: 50ms}}}}
"""


Answer = tuple[int, Any, bytes]
"""Status, headers and body."""


def address(agent: Agent) -> str:
    return str(agent.status()["inputs"]["web"]["address"])


def post(url: str, body: bytes, kind: str = "application/x-ndjson") -> Answer:
    """Status, headers and body of the answer to one POST."""
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def lines(*ids: int, pad: int = 0) -> bytes:
    return b"".join(json.dumps({"id": n, "pad": "x" * pad}).encode() + b"\n" for n in ids)


def test_200_means_delivered(tmp_path: Path) -> None:
    """While the destination has not answered, nobody gets a 200; once it has, everybody does."""
    with Destination() as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        server.gate.clear()
        with ThreadPoolExecutor(3) as pool:
            url = address(agent)
            posts = [pool.submit(post, url, lines(n)) for n in range(3)]
            agent.wait_for(lambda: agent.metric("shipper_in_flight_events", pipeline="main") == 3)
            agent.wait_for(lambda: server.seen)
            assert not any(each.done() for each in posts)
            assert not server.taken
            server.gate.set()
            answers = [each.result(20) for each in posts]
        assert [status for status, _, _ in answers] == [200, 200, 200]
        assert [json.loads(body) for _, _, body in answers] == [{"events": 1}] * 3
        assert sorted(event["id"] for event in server.events()) == [0, 1, 2]
        assert agent.stop() == 0


def test_503_when_there_is_no_room(tmp_path: Path) -> None:
    """With the memory used up a request is refused at once, with Retry-After; what was taken is delivered, nothing else."""
    with Destination() as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        server.gate.clear()
        url = address(agent)
        with ThreadPoolExecutor(8) as pool:
            taken: list[Future[Answer]] = []
            refused: list[Any] = []
            for n in range(20):
                taken.append(pool.submit(post, url, lines(n, pad=300_000)))
                agent.wait_for(
                    lambda: taken[-1].done() or agent.metric("shipper_in_flight_events", pipeline="main") == len(taken)
                )
                if taken[-1].done():
                    status, headers, body = taken.pop().result()
                    assert (status, json.loads(body)) == (503, {"error": "no room"})
                    refused.append(headers)
                    break
            assert len(refused) == 1
            assert int(refused[0]["Retry-After"]) >= 1
            assert 1 < len(taken) < 8
            assert agent.answers("/livez") == 200
            server.gate.set()
            assert [each.result(20)[0] for each in taken] == [200] * len(taken)
        assert sorted(event["id"] for event in server.events()) == list(range(len(taken)))
        assert post(url, lines(99))[0] == 200, "there is room again"
        assert agent.stop() == 0


def test_a_stop_answers_the_open_requests(tmp_path: Path) -> None:
    """SIGTERM with a request under way: it is answered 200 when its events are delivered, and the exit status is 0."""
    with Destination() as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        server.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, address(agent), lines(1))
            agent.wait_for(lambda: server.seen)
            agent.signal(signal.SIGTERM)
            agent.wait_for(lambda: agent.answers("/readyz") == 503)
            assert not answer.done()
            server.gate.set()
            assert agent.wait() == 0
            assert answer.result(10)[0] == 200
        assert [event["id"] for event in server.events()] == [1]


def test_a_stop_while_the_destination_is_down_answers_503(tmp_path: Path) -> None:
    """Nobody is told 200 for what was not delivered; the sender has it still, so the exit status is 0."""
    with Destination(lambda _: Say(503)) as server:
        text = WEB.replace("URL", server.url).replace("delivery: {", "delivery: {buffer: {disk: 0}, ")
        text += "shutdown_grace: 200ms\n"
        with Agent(text, tmp_path) as agent, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, address(agent), lines(1))
            agent.wait_for(lambda: server.seen)
            assert agent.stop() == 0
            status, headers, _ = answer.result(10)
        assert status == 503
        assert int(headers["Retry-After"]) >= 1


def test_a_stop_puts_on_disk_what_no_destination_takes(tmp_path: Path) -> None:
    """With a buffer the sender hears 200, and the next start delivers it."""
    down = [True]
    with Destination(lambda _: Say(503 if down else 200)) as server:
        text = WEB.replace("URL", server.url) + "shutdown_grace: 200ms\n"
        with Agent(text, tmp_path) as agent, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, address(agent), lines(1))
            agent.wait_for(lambda: server.seen)
            assert agent.stop() == 0
            assert answer.result(10)[0] == 200
            down.clear()
            agent.start()
            agent.wait_for(lambda: server.events())
            assert agent.stop() == 0
    assert [event["id"] for event in server.events()] == [1]


def test_bad_requests_harm_nobody(tmp_path: Path) -> None:
    """Each is answered for itself; a good one beside them is delivered."""
    with Destination() as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        url = address(agent)
        assert post(url, b"not json", "application/json")[0] == 400
        assert post(url, b"x" * (11 * 2**20), "text/plain")[0] == 413
        assert post(url, lines(7))[0] == 200
        with urllib.request.urlopen(agent.url + "/livez", timeout=5) as answer:
            assert answer.status == 200
        assert agent.stop() == 0
    assert [event["id"] for event in server.events()] == [7]


def test_a_destination_that_answers_503_for_a_while(tmp_path: Path) -> None:
    """Through ten refusals nothing is lost and nothing doubled, and senders wait instead of failing."""
    left, lock = [10], threading.Lock()

    def answer(_: object) -> Say:
        with lock:
            left[0] -= 1
            return Say(503, b"busy", {"Retry-After": "0"}) if left[0] >= 0 else Say()

    with Destination(answer) as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        with ThreadPoolExecutor(4) as pool:
            url = address(agent)
            answers = list(pool.map(lambda n: post(url, lines(*range(n * 10, n * 10 + 10)))[0], range(20)))
        assert answers == [200] * 20
        assert sorted(event["id"] for event in server.events()) == list(range(200))
        assert agent.metric("shipper_output_requests_total", output="out", outcome="unavailable") == 10
        assert agent.metric("shipper_output_retries_total", output="out") == 10
        assert agent.stop() == 0


def test_a_sender_that_hangs_up_changes_nothing(tmp_path: Path) -> None:
    """The connection breaks while the destination has not answered: the events are delivered once, and are accounted for."""
    with Destination() as server, Agent(WEB.replace("URL", server.url), tmp_path) as agent:
        server.gate.clear()
        port = int(address(agent).rpartition(":")[2])
        body = lines(1, 2)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n")
            sender.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            agent.wait_for(lambda: server.seen)
        server.gate.set()
        agent.wait_for(lambda: len(server.events()) == 2)
        assert post(address(agent), lines(3))[0] == 200
        agent.wait_for(lambda: agent.metric("shipper_in_flight_events") == 0)
        assert agent.metric("shipper_unaccounted_events") == 0
        assert agent.stop() == 0
    assert [event["id"] for event in server.events()] == [1, 2, 3]


def test_senders_through_reloads_and_restarts(tmp_path: Path) -> None:
    """The listener is exchanged by reloads and the process stopped and started: what was answered 200 is there, what was not is sent again, nothing is missing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    text = (
        WEB.replace("listen: 127.0.0.1:0", f"listen: '{url[7:]}', max_body_bytes: 1MiB")
        + "api: {listen: 127.0.0.1:0}\n"
    )
    stop, acknowledged, again = threading.Event(), list[int](), Counter[int]()

    def send(first: int) -> None:
        n = first
        while not stop.is_set():
            try:
                status = post(url, lines(n))[0]
            except OSError:  # nobody listens just now, or it hung up without an answer
                status = 0
            if status == 200:
                acknowledged.append(n)
                n += 4
            else:
                assert status in (0, 503)
                again[n] += 1
                stop.wait(0.02)

    with Destination() as server, Agent(text.replace("URL", server.url), tmp_path) as agent:
        with ThreadPoolExecutor(4) as pool:
            senders = [pool.submit(send, n) for n in range(4)]
            try:
                for number in range(4):
                    seen = len(acknowledged)
                    agent.wait_for(lambda seen=seen: len(acknowledged) > seen + 20)
                    if number == 2:
                        assert agent.stop() == 0
                        agent.start()
                        agent.ready()
                        continue
                    agent.config.write_text(text.replace("URL", server.url).replace("1MiB}", f"{number + 2}MiB}}"))
                    before = agent.metric("shipper_reloads_total", outcome="ok")
                    agent.signal(signal.SIGHUP)
                    agent.wait_for(lambda before=before: agent.metric("shipper_reloads_total", outcome="ok") > before)
            finally:
                stop.set()
            for sender in senders:
                sender.result(30)
        assert agent.stop() == 0
    found = Counter(event["id"] for event in server.events())
    assert not set(acknowledged) - set(found), "answered 200 and not there"
    assert not {n for n, count in found.items() if count > 1 + again[n]}
