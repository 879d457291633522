"""T54, T55, T58: what is open, who is let in, and where events may go."""

from __future__ import annotations

import json
import math
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.e2e.agent import shipper
from tests.faults.bench.answers import OK, Answer
from tests.faults.bench.commands import Commands
from tests.faults.bench.configs import log_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import seeded, tier
from tests.faults.bench.under import listening, network
from tests.faults.bench.wire import Head
from tests.test_security_gate import FILES, HOUSE, offences

pytestmark = pytest.mark.faults

DEFAULTS = """
data_dir: ./data
api: {}
inputs:
  web: {type: http}
  sys: {type: syslog, listen: ["udp://127.0.0.1:5514", "tcp://127.0.0.1:5515"]}
  std: {type: stdin}
  app: {type: file, include: [./app.log]}
outputs: {out: {type: blackhole}}
"""


@requires("root", "ss")
def test_t54_open_ports(bench: Bench) -> None:
    """T54: with the required keys only, `ss -ltnu` shows the API, the HTTP and the syslog listeners, all on loopback, and nothing else."""
    agent = bench.agent(DEFAULTS, under=network())
    agent.start()
    agent.wait_for(lambda: "listening on http://127.0.0.1:8080" in agent.stderr and agent.url, what="to listen")
    agent.wait_for(lambda: len(listening(agent.pid)) >= 4, what="to listen on all")
    found = listening(agent.pid)
    assert agent.stop() == 0
    bench.figure("sockets", "4, all of loopback", " ".join(sorted(found)))
    assert sorted(found) == ["tcp 127.0.0.1:5515", "tcp 127.0.0.1:8080", "tcp 127.0.0.1:9600", "udp 127.0.0.1:5514"]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X")
PATHS = ("/", "/status", "/livez", "/readyz", "/metrics", "/reload", "/config", "/api/v1/traces", "/api/v1/inputs", "/shutdown",
         "/../status", "//status", "/status/", "/status?reload=1", "/%73tatus", "*", "/" + "x" * 9000)  # fmt: skip
HOSTS = ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "0.0.0.0", "127.0.0.1@evil",
         "[::1].evil", "10.0.0.1", "evil.example#127.0.0.1")  # fmt: skip


def asked(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """The status of one request on a connection of its own, written as it is; 0 when it was closed without a word."""
    rows = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        try:
            link.sendall(f"{method} {path} HTTP/1.1\r\n{rows}\r\n".encode("latin-1") + body)
            said = link.recv(100)
        except ConnectionError:
            return 0
    return int(said.split(b" ")[1]) if said else 0


def odd(rng: Any, depth: int = 0) -> Any:
    """A JSON value of any type: of what a schema would want, mostly something else."""
    kinds = [
        None,
        True,
        -1,
        2**63,
        2**64 - 1,
        -(2**63),
        1e308,
        0.1,
        "",
        "x" * 200,
        "\0",
        "é\u2028",
        "/etc/passwd",
        "${HOME}",
        "{x}",
        "inputs",
    ]
    how = rng.random()
    if how < 0.3 and depth < 5:
        names = ("message", "inputs", "type", "timestamp", "level", "reload", "token", "", "a.b", "shipper_error")
        return {rng.choice(names): odd(rng, depth + 1) for _ in range(rng.randint(0, 4))}
    if how < 0.5 and depth < 5:
        return [odd(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return rng.choice(kinds)


@seeded
@pytest.mark.nightly
def test_t54_no_request_changes_anything(bench: Bench) -> None:
    """T54: 1,000 (nightly 5,000, over both seeds) typed odd bodies to the API and as many to the input get no 5xx; without the token
    nothing but health and metrics is shown, nothing changes; a foreign Host is refused with 403.
    """
    count = tier(c=500, n=2500)
    config = """
data_dir: ./data
api: {listen: "127.0.0.1:0", token: t0p-s3cret}
inputs: {web: {type: http, listen: "127.0.0.1:PORT", max_body_bytes: 64KiB}}
filters: {parse: {type: parse, format: json}}
outputs: {out: {type: blackhole, delivery: {batch: {wait: 0s}}}}
"""
    port = free_port()
    with bench.agent(config.replace("PORT", str(port))) as agent:
        api = int(agent.url.rpartition(":")[2])

        def state() -> Any:
            page = json.loads(agent.get("/status", token="t0p-s3cret"))
            kept = {name: sorted(page[name]) for name in ("inputs", "outputs", "pipelines") if name in page}
            reloads = agent.metric("shipper_reloads_total")
            made = sorted(path.name for path in bench.folder.iterdir())
            return kept, reloads, agent.pid, agent.config.read_text(), made

        before = state()
        own = {"Host": f"127.0.0.1:{api}"}
        answers, inputs = Counter[int](), Counter[int]()
        for _ in range(count):
            body = orjson.dumps(odd(bench.rng), option=orjson.OPT_NON_STR_KEYS)
            headers = {**own, "Content-Type": "application/json", "Content-Length": str(len(body))}
            method, path = bench.rng.choice(METHODS), bench.rng.choice(PATHS)
            answers[asked(api, method, path, headers, body)] += 1
            answers[asked(api, method, path, own)] += 1
            inputs[asked(port, "POST", "/status", headers, body)] += 1
        shown = {path: asked(api, "GET", path, own) for path in PATHS}
        foreign = {
            asked(api, "GET", path, {"Host": host}) for host in HOSTS for path in ("/status", "/metrics", "/livez", "/")
        }
        tokens = {
            asked(api, "GET", "/status", {**own, "Authorization": f"Bearer {bad}"})
            for bad in ("", "t0p-s3cre", "T0P-S3CRET", "null")
        }
        after = state()
        bench.sound(agent)
        assert agent.stop() == 0
    bench.figure("answers of the API", "no 5xx", dict(sorted(answers.items())))
    bench.figure("answers of the input", "no 5xx", dict(sorted(inputs.items())))
    bench.figure("foreign Host", "403", sorted(foreign))
    assert after == before
    assert not [status for status in {*answers, *inputs} if status >= 500]
    assert inputs[200] > count / 10 and inputs[400] > 0, inputs
    assert answers[200] > 0 and answers[400] >= count, answers  # health; whatever brings a body
    assert {path for path, status in shown.items() if status == 200} == {"/livez", "/readyz", "/metrics"}, shown
    assert foreign == {403}
    assert tokens == {401}


REFUSED = {
    "a user without a password": ("auth: {type: basic, user: ann}", "auth.password"),
    "an empty password": ("auth: {type: basic, user: ann, password: ''}", "auth.password"),
    "an empty token": ("auth: {type: bearer, token: ''}", "auth.token"),
    "a token of an empty variable": ("auth: {type: bearer, token: '${EMPTY:-}'}", "auth.token"),
    "a token of an empty file": ("auth: {type: bearer, token: '${file:./empty}'}", "auth.token"),
    "no token": ("auth: {type: bearer}", "auth.token"),
    "an empty key": ("auth: {type: api_key, key: ''}", "auth.key"),
    "users": ("auth: {users: [{user: ann}]}", "auth"),
    "nothing at all": ("auth: {}", "auth"),
    "a certificate authority without a certificate": ("tls: {ca: ./empty}", "tls"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_t55_what_protects_nothing_is_refused(bench: Bench, case: str) -> None:
    """T55: users without a key, empty tokens and the like: it refuses to start, with 2 and the option's name."""
    said, option = REFUSED[case]
    (bench.folder / "empty").touch()
    text = f"data_dir: ./data\ninputs: {{web: {{type: http, listen: '127.0.0.1:0', {said}}}}}\noutputs: {{out: {{type: blackhole}}}}\n"
    (bench.folder / "shipper.yaml").write_text(text)
    done = shipper("run", "-c", bench.folder / "shipper.yaml")
    assert done.returncode == 2, done.stderr
    assert f"inputs.web.{option}" in done.stderr
    assert not (bench.folder / "data").exists()


TOKEN = "k3y-" + "a7" * 14


def wrong(token: str) -> Iterator[str]:
    """What is nearly the header, or what some server took for it."""
    yield from (f"Bearer {token[:n]}" for n in range(len(token)))
    yield from (f"Bearer {token}{more}" for more in ("x", "\0", " x", ",", ";a=b", "%00", "\t\t.", token))
    yield from (
        f"Bearer {less}" for less in (token.upper(), token.swapcase(), f"x{token}", f'"{token}"', f"{token} {token}")
    )
    yield from (
        token,
        f"Basic {token}",
        f"Token {token}",
        f"ApiKey {token}",
        f"Bearer{token}",
        "Bearer",
        "Bearer null",
        "Bearer undefined",
    )
    yield from (
        "Bearer " + chr(ord(token[0]) + 0x80) + token[1:],
        f"Bearer {token[:-1]}\xe4",
        f"Bearer, Bearer {token}",
    )


def test_t55_nobody_else_gets_in(bench: Bench) -> None:
    """T55: prefixes, suffixes, other cases, a NUL, other schemes: of some sixty wrong headers 0 are accepted by the input or the API."""
    port = free_port()
    config = f"""
data_dir: ./data
api: {{listen: "127.0.0.1:0", token: {TOKEN}}}
inputs: {{web: {{type: http, listen: "127.0.0.1:{port}", auth: {{type: bearer, token: {TOKEN}}}}}}}
outputs: {{out: {{type: blackhole}}}}
"""
    with bench.agent(config) as agent:
        api = int(agent.url.rpartition(":")[2])
        body = b'{"a":1}'
        about = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
        heads = list(wrong(TOKEN))
        statuses = Counter(asked(port, "POST", "/", {**about, "Authorization": head}, body) for head in heads)
        pages = Counter(asked(api, "GET", "/status", {"Host": "127.0.0.1", "Authorization": head}) for head in heads)
        assert asked(port, "POST", "/", {**about, "Authorization": f"Bearer {TOKEN}"}, body) == 200
        assert asked(api, "GET", "/status", {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}) == 200
        taken = agent.metric("shipper_input_events_total", input="web")
        bench.sound(agent)
        assert agent.stop() == 0
    bench.figure("wrong credentials", "> 50", len(heads))
    bench.figure("of these accepted", "0", statuses[200] + pages[200])
    assert len(heads) > 50
    assert taken == 1
    assert set(statuses) <= {400, 401} and set(pages) <= {400, 401}, (statuses, pages)  # 400: no HTTP at all
    assert statuses[401] > 50 and pages[401] > 50


def welch(one: list[float], other: list[float]) -> float:
    """Welch's t of two samples, both cut at the 90th percentile of all, as dudect does: above it is only the scheduler."""
    limit = statistics.quantiles(one + other, n=10)[-1]
    one, other = ([each for each in sample if each < limit] for sample in (one, other))
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.mean(one) - statistics.mean(other)) / math.sqrt(spread)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_t55_timing(bench: Bench) -> None:
    """T55: of 8,000 requests (nightly 100,000) with a wrong token those that begin as the right one take as long as those that do not:
    Welch's t is below 4.5. In the source no secret is compared by `==`, and `compare_digest` is what compares them.
    """
    port, count = free_port(), tier(c=8000, n=100_000)
    config = f"""
data_dir: ./data
inputs: {{web: {{type: http, listen: "127.0.0.1:{port}", auth: {{type: bearer, token: {TOKEN}}}}}}}
outputs: {{out: {{type: blackhole}}}}
"""
    tokens = {"near": TOKEN[:-1] + "_", "far": "_" + TOKEN[1:]}
    times: dict[str, list[float]] = {"near": [], "far": []}
    with bench.agent(config) as agent, socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heads = {name: f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
                 for name, token in tokens.items()}  # fmt: skip
        order = bench.rng.choices(list(tokens), k=count + 500)
        for number, name in enumerate(order):
            began = time.perf_counter_ns()
            link.sendall(heads[name])
            said = link.recv(4096)
            took = time.perf_counter_ns() - began
            assert b" 401 " in said.partition(b"\r\n")[0], said
            if number >= 500:
                times[name].append(took)
        bench.sound(agent)
        assert agent.stop() == 0
    t = welch(times["near"], times["far"])
    bench.figure("requests", str(count), count)
    bench.figure("Welch's t, as a number without its sign", "< 4.5", abs(t))
    assert abs(t) < 4.5
    equal = [
        f"{file}:{line}"
        for file in FILES
        for line, what in offences(file.read_text())
        if what == "a secret compared by =="
    ]
    assert not equal
    assert "hmac.compare_digest" in (HOUSE / "net/auth.py").read_text()


ELSEWHERE = [
    "http://127.0.0.1:OTHER/stolen",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "//127.0.0.1:OTHER/x",
]


@requires("strace")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_t58_redirects(bench: Bench, status: int) -> None:
    """T58: a destination that sends us to another host, to the metadata service or to a file is asked again, and nobody else: of all
    connections of the process none goes elsewhere, and the credentials cross to nobody. Then it answers well, and nothing is lost.
    """
    trace = bench.folder / "connects"
    under = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect",
        "-e",
        "signal=none",
        "-o",
        str(trace),
        "--",
    ]
    heads: list[Head] = []
    with Destination() as other, Destination() as server:
        places = [place.replace("OTHER", str(other.port)) for place in ELSEWHERE]

        def at_head(head: Head) -> Answer | None:
            heads.append(head)
            return None

        def rule(request: Any) -> Answer:
            return Answer(status, headers={"Location": places[request.number]}) if request.number < len(places) else OK

        server.answer, server.at_head, other.at_head = rule, at_head, at_head
        options = {"auth": {"type": "bearer", "token": "s3cret-token"}}
        config = log_to(server, options, concurrency=1, retry={"first": "20ms", "max": "50ms"})
        bench.oracle.source("app.log").append(bench.folder / "app.log", 1500)
        with bench.agent(config, under=under) as agent:
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    bench.oracle.verdict(server.taken).clean(duplicates=0)
    reached = {
        row.partition("sa_family=")[2].partition("}")[0]
        for row in trace.read_text().splitlines()
        if "sa_family=AF_INET" in row
    }
    bench.figure("redirects followed", "0", len(other.requests))
    bench.figure("addresses that were connected to", "1", len(reached))
    assert len(server.requests) > len(places)
    assert not other.requests and not other.connections
    assert all(f"htons({server.port})" in each for each in reached) and reached, reached
    assert {head.headers["authorization"] for head in heads} == {"Bearer s3cret-token"}


URLS = ["http://{host}/", "http://{service}.example/", "http://127.0.0.1:9@{host}/", "http://127.0.0.1:{port}/", "https://a.{team:b}.example/x",
        "file:///etc/passwd", "gopher://127.0.0.1/", "unix:///run/docker.sock", "http://", "//127.0.0.1/", "http://127.0.0.1\r\nHost: evil/"]  # fmt: skip


def test_t58_no_event_decides_the_host(bench: Bench) -> None:
    """T58: a field in the host, another scheme, what is no address: for each output all refused by `validate` with 2."""
    accepted, tried = [], 0
    with Commands(bench.folder, warm=True) as run:
        for url in URLS:
            for out in (
                {"type": "http", "url": url},
                {"type": "elasticsearch", "endpoints": [url], "index": "x"},
                {"type": "loki", "url": url, "labels": {"a": "b"}},
            ):
                config = {"data_dir": "./data", "inputs": {"i": {"type": "stdin"}}, "outputs": {"o": out}}
                (bench.folder / "shipper.yaml").write_text(json.dumps(config))
                tried += 1
                accepted += [out] if run("validate", "-c", "shipper.yaml").status != 2 else []
    bench.figure("addresses that were not refused", "0", f"{len(accepted)} of {tried}")
    assert not accepted
