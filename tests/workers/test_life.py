"""Several workers as one service: start, stop, signals, crashes. Real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.agent import Agent, ndjson, shipper, write_config
from tests.e2e.fake import Destination, Say
from tests.workers.sources import SOURCES, append

FILES = """
data_dir: ./data
checkpoint_interval: 50ms
workers: 2
inputs: {app: {type: file, include: [./in/*.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs: {out: {type: file, path: ./out.ndjson, delivery: {batch: {bytes: 64KiB, wait: 20ms}}}}
"""
HTTP = """
data_dir: ./data
checkpoint_interval: 50ms
shutdown_grace: 300ms
workers: 2
inputs: {app: {type: file, include: [./in/*.log], poll_interval: 50ms}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {wait: 20ms}, retry: {first: 50ms, max: 100ms}, buffer: DISK}}}
"""


def delivered(folder: Path) -> Counter[tuple[int, int]]:
    return Counter((event["source"], event["id"]) for event in ndjson(folder / "out.ndjson"))


def wanted(count: int) -> set[tuple[int, int]]:
    return {(source, n) for source in range(SOURCES) for n in range(count)}


def pids(agent: Agent) -> dict[int, int]:
    """Worker -> its process, of those that run."""
    return {each["worker"]: each["pid"] for each in agent.status()["workers"] if each["pid"]}


def children(agent: Agent) -> list[int]:
    return list(map(int, Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_both_work_and_a_stop_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Two workers read their halves, SIGTERM in the middle of it ends with 0, and the next life brings exactly the rest."""
    append(tmp_path, range(3000))
    with Agent(FILES, tmp_path) as agent:
        agent.wait_for(lambda: (tmp_path / "out.ndjson").exists())
        assert agent.stop() == 0
    with agent:
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(3000))
        read = [each["inputs"]["app"]["events"] for each in agent.status()["workers"]]
        append(tmp_path, range(3000, 3100))
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(3100))
        assert agent.stop() == 0
    assert len(read) == 2
    assert set(delivered(tmp_path).values()) == {1}
    assert not agent.tracebacks()


def spent(pid: int) -> int:
    """Ticks of CPU time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_first_process_has_no_threads_and_sleeps(tmp_path: Path) -> None:
    """It can fork at any time: one thread; and whatever the workers do costs it nothing."""
    with Agent(FILES, tmp_path) as agent:
        before = spent(agent.pid)
        worked = sum(map(spent, pids(agent).values()))
        append(tmp_path, range(3000))
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(3000))
        assert agent.threads() == 1
        worked = sum(map(spent, pids(agent).values())) - worked
        assert spent(agent.pid) - before <= max(worked // 10, 1)


def test_a_killed_worker_is_started_again(tmp_path: Path) -> None:
    """SIGKILL of one: it is counted, `/readyz` says so meanwhile, `/livez` stays, the other goes on, no line is missing."""
    append(tmp_path, range(500))
    with Agent(FILES, tmp_path) as agent:
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(500))
        before = pids(agent)
        read = agent.metric("shipper_input_events_total")
        os.kill(before[1], signal.SIGKILL)
        agent.wait_for(lambda: agent.answers("/readyz") == 503)
        assert agent.answers("/livez") == 200
        append(tmp_path, range(500, 1000))
        agent.ready()
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(1000))
        after = pids(agent)
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert agent.metric("shipper_worker_restarts_total", worker="1") == 1
        assert agent.metric("shipper_worker_restarts_total", worker="0") == 0
        assert agent.status()["restarts"] == {"0": 0, "1": 1}
        assert agent.metric("shipper_input_events_total") >= read, "what the dead one had counted is not forgotten"
        assert not agent.unaccounted()
        assert agent.stop() == 0
    assert "worker 1 (process" in agent.stderr
    assert "was killed by SIGKILL; starting it again in 1s" in agent.stderr


def test_a_worker_that_is_stopped_by_hand_comes_back(tmp_path: Path) -> None:
    """SIGTERM to one worker alone ends it cleanly, but its files are nobody else's: it is started again."""
    append(tmp_path, range(100))
    with Agent(FILES, tmp_path) as agent:
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(100))
        os.kill(pids(agent)[0], signal.SIGTERM)
        agent.wait_for(lambda: agent.metric("shipper_worker_restarts_total", worker="0") == 1)
        agent.ready()
        append(tmp_path, range(100, 200))
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(200))
        assert agent.stop() == 0
    assert set(delivered(tmp_path).values()) == {1}


def test_signals_to_all_processes_are_one_stop(tmp_path: Path) -> None:
    """systemd and terminals signal every process of a service: that drains once, and is no second, hasty stop."""
    append(tmp_path, range(3000))
    for number in (signal.SIGTERM, signal.SIGINT):
        with Agent(FILES, tmp_path) as agent:
            for pid in [*children(agent), agent.pid, *children(agent)]:
                os.kill(pid, number)
            assert agent.wait() == 0
        assert "told to stop again" not in agent.stderr
    assert shipper("run", "--once", "-c", agent.config).returncode == 0
    assert set(delivered(tmp_path)) == wanted(3000)
    assert set(delivered(tmp_path).values()) == {1}


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """While a destination is down and nothing may go to disk, SIGTERM twice ends long before the grace, with 1."""
    append(tmp_path, range(10))
    with Destination(lambda _: Say(503)) as server:
        text = HTTP.replace("URL", server.url).replace("DISK", "{disk: 0}").replace("300ms", "60s")
        with Agent(text, tmp_path) as agent:
            agent.wait_for(lambda: server.seen)
            agent.signal(signal.SIGTERM)
            agent.wait_for(lambda: agent.stderr.count("stopping: draining") == 2)
            agent.signal(signal.SIGTERM)
            assert agent.wait(10) == 1
    assert "told to stop again" in agent.stderr


def test_a_second_signal_ends_those_that_do_not_hear(tmp_path: Path) -> None:
    """A worker that stands still is killed then, so that nothing is left behind."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path) as agent:
        still = pids(agent)[1]
        os.kill(still, signal.SIGSTOP)
        agent.signal(signal.SIGTERM)
        agent.wait_for(lambda: "stopping all workers" in agent.stderr)
        agent.signal(signal.SIGTERM)
        assert agent.wait(15) == 1
    assert gone(still)


def test_the_status_is_the_gravest_of_all(tmp_path: Path) -> None:
    """A worker that held what nobody says again ends with 3, and so does the whole, whatever the others end with."""
    append(tmp_path, range(10))
    with Destination(lambda _: Say(503)) as server, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        text = HTTP.replace("URL", server.url).replace("DISK", "{disk: 0}")
        text = text.replace("inputs: {", f"inputs: {{net: {{type: syslog, listen: 'tcp://127.0.0.1:{port}'}}, ")
        with Agent(text, tmp_path) as agent, socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(b"<13>Aug  1 00:00:00 host app: once only\n")
            agent.wait_for(lambda: agent.metric("shipper_input_events_total", input="net") == 1)
            assert agent.stop() == 3


def test_without_its_supervisor_no_worker_goes_on(tmp_path: Path) -> None:
    """SIGKILL of the first process: the workers stop by themselves, then the folder is free, and nothing is missing."""
    append(tmp_path, range(1000))
    with Agent(FILES, tmp_path) as agent:
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(1000))
        workers = children(agent)
        assert len(workers) == 3, "two workers and the API"
        agent.kill()
        agent.wait_for(lambda: all(map(gone, workers)))
    append(tmp_path, range(1000, 1100))
    with agent:
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(1100))
        assert agent.stop() == 0
    assert set(delivered(tmp_path).values()) == {1}, "they drained and saved their positions"
    assert agent.stderr.count("the supervisor is gone: stopping") == 2


def test_one_service_for_one_folder(tmp_path: Path) -> None:
    """A second one is refused with 1, and says who has the folder, whatever number of workers it wants."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path) as agent:
        for workers in (1, 2):
            other = tmp_path / "other.yaml"
            other.write_text(FILES.replace("workers: 2", f"workers: {workers}") + "api: {listen: null}\n")
            done = shipper("run", "-c", other)
            assert done.returncode == 1
            assert f"is in use by process {agent.pid}" in done.stderr


def test_a_component_that_cannot_be_opened_ends_all(tmp_path: Path) -> None:
    """At the first start that is 1, as with one process, with the reason; nothing is left running."""
    append(tmp_path, range(10))
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        text = FILES.replace("inputs: {", f"inputs: {{net: {{type: http, listen: '127.0.0.1:{port}'}}, ")
        done = shipper("run", "-c", write_config(text, tmp_path), timeout=20)
        assert done.returncode == 1
        assert "inputs.net: cannot be opened" in done.stderr
        text = FILES + f"api: {{listen: '127.0.0.1:{port}'}}\n"
        done = shipper("run", "-c", write_config(text, tmp_path), timeout=20)
        assert done.returncode == 1
        assert "api.listen" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "api").exists()


def test_once_with_several(tmp_path: Path) -> None:
    """`--once` reads what is there now with all workers, ends with 0, and goes on the next time; `auto` is a number too."""
    config = write_config(FILES.replace("workers: 2", "workers: auto"), tmp_path)
    for last in (400, 500):
        append(tmp_path, range(last - 100 if last > 400 else 0, last))
        done = shipper("run", "--once", "-c", config)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert delivered(tmp_path) == Counter(wanted(last))
    count = int((tmp_path / "data" / "workers" / "count").read_text())
    assert count == len(os.sched_getaffinity(0))


def test_ends_by_itself_when_nothing_follows(tmp_path: Path) -> None:
    """With `follow: false` the whole ends with 0 once all workers have delivered everything."""
    append(tmp_path, range(300))
    done = shipper("run", "-c", write_config(FILES.replace("poll_interval: 50ms", "follow: false"), tmp_path))
    assert done.returncode == 0, done.stderr
    assert delivered(tmp_path) == Counter(wanted(300))


def test_a_source_that_cannot_be_divided_has_one_worker(tmp_path: Path) -> None:
    """Standard input is read by one of them, in order; the others have nothing to do, and all ends at its end."""
    text = FILES.replace("file, include: [./in/*.log], poll_interval: 50ms", "stdin")
    lines = "".join(json.dumps({"source": 0, "id": n}) + "\n" for n in range(5000))
    done = shipper("run", "-c", write_config(text, tmp_path), stdin=lines)
    assert done.returncode == 0, done.stderr
    assert [event["id"] for event in ndjson(tmp_path / "out.ndjson")] == list(range(5000))


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Where systemd hears its services; it sees which process says something."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.bind(str(path))
        systemd.settimeout(10)
        yield systemd


def said(systemd: socket.socket) -> tuple[bytes, int]:
    data, ancillary, _, _ = systemd.recvmsg(100, socket.CMSG_SPACE(12))
    return data, struct.unpack("3i", ancillary[0][2])[0]


def test_systemd_hears_one_service(tmp_path: Path) -> None:
    """READY once all are, WATCHDOG while the first process turns, STOPPING; and nobody but that process speaks."""
    append(tmp_path, range(10))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
    with listening(tmp_path / "notify") as systemd, Agent(FILES, tmp_path, env=env) as agent:
        heard = [said(systemd)]
        while heard[-1][0] != b"READY=1":
            heard.append(said(systemd))
        heard.append(said(systemd))
        assert heard[-1][0] == b"WATCHDOG=1"
        agent.signal(signal.SIGTERM)
        while heard[-1][0] != b"STOPPING=1":
            heard.append(said(systemd))
        assert {pid for _, pid in heard} == {agent.pid}
        assert [word for word, _ in heard].count(b"READY=1") == 1
        assert agent.wait() == 0


def test_a_worker_that_stands_still_is_replaced(tmp_path: Path) -> None:
    """Under a watchdog a worker whose loop no longer turns is killed and started again; the service lives on."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path, env={"WATCHDOG_USEC": "3000000"}) as agent:
        os.kill(pids(agent)[1], signal.SIGSTOP)
        agent.wait_for(lambda: "gave no sign of life for 3s: killing it" in agent.stderr)
        agent.wait_for(lambda: agent.metric("shipper_worker_restarts_total", worker="1") == 1)
        agent.ready()
        append(tmp_path, range(10, 20))
        agent.wait_for(lambda: set(delivered(tmp_path)) == wanted(20))
        assert agent.stop() == 0


def test_who_does_not_turn_is_not_alive(tmp_path: Path) -> None:
    """Without a watchdog `/livez` says that a worker stands still, so that a probe can have the whole restarted."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path) as agent:
        still = pids(agent)[1]
        os.kill(still, signal.SIGSTOP)
        assert agent.answers("/livez") == 503
        assert agent.answers("/readyz") == 503
        assert agent.metric("shipper_worker_up") == 2
        os.kill(still, signal.SIGCONT)
        assert agent.answers("/livez") == 200
        agent.ready()
        assert agent.stop() == 0


def test_each_line_of_the_log_says_whose_it_is(tmp_path: Path) -> None:
    """Workers say their number, in text in front of the message and in JSON as a field; the first process says none."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path) as agent:
        assert agent.stop() == 0
    assert {f"worker {n}: stopping: draining for at most 30s" in agent.stderr for n in (0, 1)} == {True}
    agent.stderr_file.unlink()
    agent.config.write_text(agent.config.read_text() + "log: {format: json}\n")
    with agent:
        assert agent.stop() == 0
    entries = [json.loads(line) for line in agent.stderr.splitlines()]
    assert {entry.get("worker") for entry in entries} == {None, 0, 1}


ALONE = """
data_dir: ./data
api: {listen: 127.0.0.1:0}
inputs: {app: {type: file, include: [./in/*.log], poll_interval: 50ms}}
filters: {look: {type: python, file: ./look.py, function: look}}
outputs: {out: {type: file, path: ./out.ndjson}}
"""


def test_one_process_pays_nothing(tmp_path: Path) -> None:
    """With `workers: 1` there is one process, which has nothing of this imported and keeps nothing on the disk for it."""
    append(tmp_path, range(1))
    code = "import sys\n\n\ndef look(event):\n    return {'modules': [m for m in sys.modules if m.startswith('shipper.')]}\n"
    (tmp_path / "look.py").write_text(code)
    with Agent(ALONE, tmp_path) as agent:
        agent.wait_for(lambda: list(ndjson(tmp_path / "out.ndjson")))
        assert not children(agent)
        assert agent.stop() == 0
    modules = next(ndjson(tmp_path / "out.ndjson"))["modules"]
    assert "shipper.pipeline.runner" in modules
    assert not [module for module in modules if module.startswith("shipper.workers")]
    assert not (tmp_path / "data" / "workers").exists()


def test_a_front_that_dies_is_started_again(tmp_path: Path) -> None:
    """The API's own process is no part of the work: the workers go on, and it answers again."""
    append(tmp_path, range(10))
    with Agent(FILES, tmp_path) as agent:
        workers = pids(agent)
        (front,) = set(children(agent)) - set(workers.values())
        os.kill(front, signal.SIGKILL)
        agent.wait_for(lambda: "the API (process" in agent.stderr)
        (tmp_path / "data" / "api").unlink()
        agent._url = ""
        agent.ready()
        assert pids(agent) == workers
        assert agent.stop() == 0


def test_all_print_to_one_pipe(tmp_path: Path) -> None:
    """Who reads our standard output sees whole lines of all workers, and its end with the service's."""
    text = FILES.replace("file, path: ./out.ndjson", "stdout").replace("poll_interval: 50ms", "follow: false")
    append(tmp_path, range(50))
    done = shipper("run", "-c", write_config(text, tmp_path))
    assert done.returncode == 0
    assert {(each["source"], each["id"]) for each in map(json.loads, done.stdout.splitlines())} == wanted(50)
