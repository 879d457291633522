"""T30 and T31: destinations that are not who they say, and names that lead nowhere or somewhere else."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench.abuse import stalls
from tests.faults.bench.certificates import Authority, only_tls10, self_signed, with_nul
from tests.faults.bench.configs import http, log_to, logs_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.lateness import p99, timed
from tests.faults.bench.names import Names
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
QUICK = {"first": "100ms", "max": "500ms"}
QUIET = {"concurrency": 1, "retry": QUICK}


class Plain(socketserver.ThreadingTCPServer):
    """Speaks no TLS: keeps whatever it hears, and answers like a web server that was asked over TLS."""

    daemon_threads = True
    heard = b""

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.heard += request.recv(1 << 16)
        request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


@contextmanager
def plain() -> Iterator[Plain]:
    with Plain(("127.0.0.1", free_port()), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """An address that does not even refuse: the queue of its listener is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield


class Joined(Sequence[dict[str, Any]]):
    """What several destinations took, one after another, as one list."""

    def __init__(self, *parts: list[dict[str, Any]]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, at: Any) -> Any:
        return [event for part in self.parts for event in part][at]


@requires("openssl")
def test_t30_not_who_they_say(bench: Bench) -> None:
    """T30: to seven peers that cannot prove who they are no byte of payload goes, while the eighth gets all; once they
    can, they get everything too.
    """
    folder = bench.folder
    ca, foreign = Authority(folder, "ca"), Authority(folder, "foreign")
    good = ca.server("good")
    with ExitStack() as stack:
        peers = {
            "good": Destination(tls=good),
            "expired": Destination(tls=ca.server("expired", expired=True)),
            "wrong_host": Destination(tls=ca.server("elsewhere", "DNS:elsewhere.example,IP:127.0.0.2")),
            "self_signed": Destination(tls=self_signed(folder, "myself")),
            "other_ca": Destination(tls=foreign.server("other")),
            "nul": Destination(tls=ca.server("nul", with_nul("localhost", ".evil.example"))),
            "tls10": Destination(tls=only_tls10(ca.server("old"))),
        }
        for peer in peers.values():
            stack.enter_context(peer)
        deaf = stack.enter_context(plain())
        trust = {"tls": {"ca": str(ca.pem)}}
        outputs = {name: http(peer, trust, **QUIET) for name, peer in {**peers, "plain": deaf}.items()}
        outputs["nul"]["url"] = outputs["nul"]["url"].replace("127.0.0.1", "localhost")
        bad = [name for name in outputs if name != "good"]
        with bench.agent(logs_to(outputs)) as agent:
            bench.oracle.source("app.log").append(folder / "app.log", 2000)
            bench.oracle.wait(agent, peers["good"].taken)
            for name in bad:
                agent.wait_for(lambda out=name: agent.metric("shipper_output_retries_total", output=out) >= 3)  # type: ignore[misc]
            leaked = {name: peers[name].received for name in peers if name != "good"}
            heard = sum(word in deaf.heard for word in (b"app.log", b"POST", b"message"))
            bench.figure("payload bytes to bad peers", "0", sum(leaked.values()) + heard)
            assert deaf.heard  # it was asked
            assert not heard
            assert leaked == dict.fromkeys(leaked, 0)
            for peer in peers.values():
                peer.tls = good
            for peer in peers.values():
                bench.oracle.wait(agent, peer.taken)
            bench.sound(agent)
            assert agent.metric("shipper_dropped_events_total") == 0
            agent.stop()
    for peer in peers.values():
        bench.oracle.verdict(peer.taken).clean(duplicates=0)


@requires("openssl")
def test_t30_another_authority(bench: Bench) -> None:
    """T30: when the authority is replaced, on the server first, nothing is sent until the file of the agent was
    replaced too; then it resumes without a reload, at most the longest pause (0.5 s) + 5 s later.
    """
    old, new = Authority(bench.folder, "old"), Authority(bench.folder, "new")
    trusted, log = bench.folder / "trusted.pem", bench.folder / "app.log"
    trusted.write_bytes(old.pem.read_bytes())
    with Destination(tls=old.server("first")) as server:
        config = log_to(server, {"tls": {"ca": str(trusted)}}, **QUIET)
        with bench.agent(config) as agent, FileWriter(bench.oracle, log, rate=1000) as writer:
            agent.wait_for(lambda: len(server.taken) > 500, what="to deliver")
            server.close()
            server.tls = new.server("second")
            server.open()
            had, received = len(server.taken), server.received
            tries = agent.metric("shipper_output_retries_total")
            agent.wait_for(lambda: agent.metric("shipper_output_retries_total") >= tries + 4, what="to try again")
            leaked = server.received - received
            Path(f"{trusted}.new").write_bytes(new.pem.read_bytes())
            os.replace(f"{trusted}.new", trusted)
            began = time.monotonic()
            agent.wait_for(lambda: len(server.taken) > had, what="to resume")
            resumed = time.monotonic() - began
            agent.wait_for(lambda: len(server.taken) > 1500, what="to go on")
            writer.stop()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    bench.figure("payload bytes to an authority not trusted yet", "0", leaked)
    bench.figure("seconds until it resumed", "<= 5.5", resumed)
    verdict = bench.oracle.verdict(server.taken)
    verdict.clean(duplicates=500)  # the batch that was on its way when the line was cut
    assert not leaked
    assert resumed <= 5.5


@requires("root", "mount")
def test_t31_no_names(bench: Bench) -> None:
    """T31: while the resolver is dead, and while it knows nothing, no loop stalls over 250 ms, and an output that needs
    no name has its events within 1 s (p99), however many others wait for theirs; it stops within its grace + 1 s; then all arrives once.
    """
    with ExitStack() as stack:
        names = stack.enter_context(Names(bench.folder, None))
        servers = [stack.enter_context(Destination()) for _ in range(8)]  # more than the loop's own threads
        other = stack.enter_context(Destination(keep=timed))
        waiting = {
            f"out{n}": http(server, {"url": f"http://logs{n}.shipper.test:{server.port}"}, retry=QUICK)
            for n, server in enumerate(servers)
        }
        fine = http(other, {"compression": "gzip"}, concurrency=1)
        with bench.agent(logs_to({**waiting, "other": fine}), under=names.words()) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", rate=500) as writer:
                agent.wait_for(lambda: names.asked, what="to ask for a name")
                time.sleep(12)  # dead: longer than a connection is waited for
                names.say = Names.NXDOMAIN
                agent.wait_for(lambda: "no address was found" in agent.get("/status"), 20, "to hear that there is none")
                writer.stop()
            bench.oracle.wait(agent, other.taken)
            over = stalls(agent)
            names.say, asked = None, names.asked
            agent.wait_for(lambda: names.asked > asked, what="to ask a dead one again")
            began = time.monotonic()
            assert agent.stop() == 0
            stopped = time.monotonic() - began
            names.say = ["127.0.0.1"]
            agent.start().ready()
            for server in servers:
                bench.oracle.wait(agent, server.taken, 40)
            bench.sound(agent)
            assert agent.stop() == 0
    late = p99(writer, other.taken)
    bench.figure("stalls over 250 ms", "0", over)
    bench.figure("p99 of the output that needs no name, s", "<= 1", late)
    bench.figure("seconds to stop while the resolver is dead", "<= 31", stopped)
    for server in (*servers, other):
        bench.oracle.verdict(server.taken).clean(duplicates=0, ordered=server is other)
    assert late <= 1
    assert stopped <= 31
    assert not over


@requires("root", "mount")
def test_t31_moves(bench: Bench) -> None:
    """T31: an address that moves while the old server goes on answering is found out within 30 s; of three addresses
    one that refuses and one that is silent cost nothing; no stall over 250 ms, nothing lost or repeated.
    """
    port = free_port()
    with ExitStack() as stack:
        names = stack.enter_context(Names(bench.folder, ["127.0.0.2"]))
        old, new = (stack.enter_context(Destination(port=port, host=f"127.0.0.{n}")) for n in (2, 3))
        stack.enter_context(silent("127.0.0.5", port))
        config = log_to(old, {"url": f"http://logs.shipper.test:{port}"}, concurrency=1, retry=QUICK)
        with bench.agent(config, under=names.words()) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", rate=500) as writer:
                agent.wait_for(lambda: old.taken, what="to deliver")
                names.say, moved = ["127.0.0.3"], time.monotonic()
                agent.wait_for(lambda: new.taken, 40, "to go to the new address")
                found = time.monotonic() - moved
                old.close()
                names.say = ["127.0.0.4", "127.0.0.5", "127.0.0.3"]  # nobody, silent, there
                new.close()  # cuts the connection, so that there must be a new one
                new.open()
                had, cut = len(new.taken), time.monotonic()
                agent.wait_for(lambda: len(new.taken) > had, 20, "to find the one that is there")
                again = time.monotonic() - cut
                writer.stop()
            everything = Joined(old.taken, new.taken)
            bench.oracle.wait(agent, everything)
            bench.sound(agent)
            over = stalls(agent)
            assert agent.stop() == 0
    bench.figure("seconds until the new address is used", "<= 30", found)
    bench.figure("seconds with two of three addresses dead", "<= 5", again)
    bench.figure("stalls over 250 ms", "0", over)
    bench.oracle.verdict(everything).clean(duplicates=0)
    assert found <= 30
    assert again <= 5
    assert not over
