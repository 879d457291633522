"""The whole life of the process with files: start, stop, crash, again; no line is lost, and none comes twice unless it crashed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.agent import Agent, ndjson, shipper, write_config
from tests.e2e.fake import Destination, Say

FILES = """
data_dir: ./data
checkpoint_interval: 50ms
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs: {out: {type: file, path: ./out.ndjson, delivery: {batch: {bytes: 64KiB, wait: 20ms}}}}
"""


def append(path: Path, ids: range) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"id": n, "text": f"line {n} " + "x" * 40}) + "\n" for n in ids)


def delivered(folder: Path, name: str = "out.ndjson") -> list[int]:
    return [event["id"] for event in ndjson(folder / name)]


def has(folder: Path, count: int) -> bool:
    return len(delivered(folder)) >= count


@contextmanager
def feeding(stdin: IO[bytes], lines: Iterator[bytes]) -> Iterator[threading.Thread]:
    """Write to a process's standard input beside the test, as the program in front of a pipe does."""

    def work() -> None:
        with suppress(OSError):  # it has ended
            with stdin:
                stdin.writelines(lines)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    thread.join(10)


def test_a_stop_and_a_start_go_on_exactly(tmp_path: Path) -> None:
    """What is written before, between and after two lives is delivered once each and in order; the exit status is 0."""
    append(tmp_path / "app.log", range(500))
    agent = Agent(FILES, tmp_path)
    with agent:
        agent.wait_for(lambda: len(delivered(tmp_path)) == 500)
        assert agent.stop() == 0
    append(tmp_path / "app.log", range(500, 800))
    with agent:
        append(tmp_path / "app.log", range(800, 1000))
        agent.wait_for(lambda: len(delivered(tmp_path)) >= 1000)
        assert agent.stop() == 0
    assert delivered(tmp_path) == list(range(1000))


def test_a_stop_in_the_middle_of_the_work_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGTERM while 30,000 lines are on their way; the next life delivers exactly the rest."""
    append(tmp_path / "app.log", range(30_000))
    agent = Agent(FILES, tmp_path)
    with agent:
        agent.wait_for(lambda: (tmp_path / "out.ndjson").exists())
        assert agent.stop() == 0
    first = len(delivered(tmp_path))
    with agent:
        agent.wait_for(lambda: len(delivered(tmp_path)) >= 30_000)
        assert agent.stop() == 0
    assert first > 0
    assert delivered(tmp_path) == list(range(30_000))


def unbroken(folder: Path) -> list[int]:
    """Ids of the whole lines."""
    path = folder / "out.ndjson"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["id"] for line in lines if line.endswith(b"}")]


def test_sigkill_at_random_loses_nothing(tmp_path: Path) -> None:
    """Killed four times at moments of chance, started again each time: every id arrives, hardly any twice."""
    lines, chance = 40_000, random.Random(11)
    append(tmp_path / "app.log", range(lines))
    config = FILES.replace("64KiB", "16KiB")
    agent = Agent(config, tmp_path)
    for _ in range(4):
        agent.start()
        wanted = min(len(unbroken(tmp_path)) + chance.randrange(1, 4000), lines)
        agent.wait_for(lambda wanted=wanted: len(unbroken(tmp_path)) >= wanted)
        assert agent.kill() == -signal.SIGKILL
    assert shipper("run", "--once", "-c", agent.config).returncode == 0
    found = unbroken(tmp_path)
    written = (tmp_path / "out.ndjson").read_bytes().count(b"\n")
    assert written - len(found) <= 4, "a kill in the middle of a write leaves half a line, closed by the next start"
    assert set(found) == set(range(lines))
    assert len(found) < 2 * lines, "positions were kept over the kills, so most lines went once"


def test_once_reads_what_is_there_and_goes_on_the_next_time(tmp_path: Path) -> None:
    """`--once` follows nothing: it ends with 0, and the second run brings what came in between, and only that."""
    config = write_config(FILES, tmp_path)
    append(tmp_path / "app.log", range(300))
    assert shipper("run", "--once", "-c", config).returncode == 0
    assert delivered(tmp_path) == list(range(300))
    append(tmp_path / "app.log", range(300, 450))
    for _ in range(2):
        done = shipper("run", "--once", "-c", config)
        assert (done.returncode, done.stdout) == (0, "")
    assert delivered(tmp_path) == list(range(450))


def test_once_opens_no_listener(tmp_path: Path) -> None:
    """Inputs that only listen are left out with `--once`: an address in use does not matter, and the run ends."""
    append(tmp_path / "app.log", range(10))
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        text = FILES.replace(
            "poll_interval: 50ms}}",
            f"poll_interval: 50ms}}, web: {{type: http, listen: '127.0.0.1:{port}'}},"
            f" net: {{type: syslog, listen: 'tcp://127.0.0.1:{port}'}}}}",
        )
        done = shipper("run", "--once", "-c", write_config(text, tmp_path), timeout=20)
    assert done.returncode == 0, done.stderr
    assert delivered(tmp_path) == list(range(10))


def test_ends_by_itself_when_nothing_follows(tmp_path: Path) -> None:
    """With `follow: false` everywhere the process ends with 0 once everything is delivered, without `--once`."""
    append(tmp_path / "app.log", range(100))
    text = FILES.replace("poll_interval: 50ms", "follow: false")
    done = shipper("run", "-c", write_config(text, tmp_path))
    assert done.returncode == 0, done.stderr
    assert delivered(tmp_path) == list(range(100))


STDIN = """
data_dir: ./data
shutdown_grace: 300ms
inputs: {in: {type: stdin}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {wait: 20ms}, retry: {first: 50ms, max: 100ms}}}}
"""


def test_a_pipe_ends_by_itself_with_everything_delivered(tmp_path: Path) -> None:
    """`cat x | shipper run` waits for a destination that is down at first, delivers all of it in order, ends with 0."""
    with Destination() as server:
        calls = iter(range(3))
        server.answer = lambda _: Say(503 if next(calls, None) is not None else 200)
        config = write_config(STDIN.replace("URL", server.url), tmp_path)
        done = shipper("run", "-c", config, stdin="".join(f"line {n}\n" for n in range(5000)))
        assert done.returncode == 0, done.stderr
        assert [event["message"] for event in server.events()] == [f"line {n}" for n in range(5000)]


def test_a_last_line_without_a_newline_is_a_line(tmp_path: Path) -> None:
    """The end of standard input ends the last line too."""
    with Destination() as server:
        config = write_config(STDIN.replace("URL", server.url), tmp_path)
        assert shipper("run", "-c", config, stdin="one\ntwo").returncode == 0
        assert [event["message"] for event in server.events()] == ["one", "two"]


def test_stopped_while_holding_what_cannot_be_said_again_ends_with_3(tmp_path: Path) -> None:
    """SIGTERM while the destination of standard input is down: exit status 3 after the grace, and a word about it."""
    with Destination(lambda _: Say(503)) as server:
        agent = Agent(STDIN.replace("URL", server.url), tmp_path, stdin=subprocess.PIPE)
        with agent:
            assert agent.process is not None and agent.process.stdin is not None
            with feeding(agent.process.stdin, iter([b"a\n", b"b\n"])):
                agent.wait_for(lambda: server.seen)
            assert agent.stop() == 3
        assert "2 events were not delivered" in agent.stderr
        assert "cannot be sent again" in agent.stderr


def test_a_line_that_has_only_begun_is_not_forgotten(tmp_path: Path) -> None:
    """A stop in the middle of a line of standard input: it is not delivered, so the status is 3 and says so."""
    with Destination() as server:
        with Agent(STDIN.replace("URL", server.url), tmp_path, stdin=subprocess.PIPE) as agent:
            assert agent.process is not None and agent.process.stdin is not None
            with agent.process.stdin as stdin:
                stdin.write(b"one\nhalf")
                stdin.flush()
                agent.wait_for(lambda: len(server.events()) == 1)
                assert agent.stop() == 3
    assert "1 events were not delivered; some of them cannot be sent again" in agent.stderr


def test_what_was_read_and_found_no_room_is_not_forgotten(tmp_path: Path) -> None:
    """A stop while standard input waits for room: what is in flight is still delivered, and what was read beyond that makes it a 3."""
    text = STDIN.replace("300ms", "20s") + "memory_limit: 1MiB\n"
    with Destination() as server:
        server.gate.clear()
        with Agent(text.replace("URL", server.url), tmp_path, stdin=subprocess.PIPE) as agent:
            assert agent.process is not None and agent.process.stdin is not None
            lines = (b"%06d %s\n" % (n, b"x" * 200) for n in range(20_000))
            with feeding(agent.process.stdin, lines):
                seen = [-1.0]

                def full() -> bool:
                    """It takes no more than it took at the last look, and has taken something."""
                    before, seen[0] = seen[0], agent.metric("shipper_input_events_total", input="in")
                    return before == seen[0] > 1000

                agent.wait_for(full)
                agent.signal(signal.SIGTERM)
                agent.wait_for(lambda: agent.answers("/readyz") == 503)
                server.gate.set()
                assert agent.wait() == 3
        numbers = [int(event["message"][:6]) for event in server.events()]
    assert numbers == list(range(int(seen[0]))), "what was in flight"
    assert "cannot be sent again" in agent.stderr


def test_stopped_while_holding_lines_of_a_file_ends_with_0(tmp_path: Path) -> None:
    """What a file says again is not lost: exit status 0, and the next life delivers it."""
    append(tmp_path / "app.log", range(20))
    with Destination(lambda _: Say(503)) as server:
        text = FILES.replace("{type: file, path: ./out.ndjson", f"{{type: http, url: '{server.url}'")
        text += "shutdown_grace: 200ms\n"
        agent = Agent(text, tmp_path)
        with agent:
            agent.wait_for(lambda: server.seen)
            assert agent.stop() == 0
            server.answer = lambda _: Say()
            agent.start()
            agent.wait_for(lambda: len(server.events()) == 20)
            assert agent.stop() == 0
        assert [event["id"] for event in server.events()] == list(range(20))


@pytest.mark.parametrize(("kind", "status"), [("stdin", 3), ("file", 1)])
def test_a_second_sigterm_ends_at_once(kind: str, status: int, tmp_path: Path) -> None:
    """While it drains for a minute, a second signal ends it: with 3 when that loses what no source says again, else 1."""
    append(tmp_path / "app.log", range(20))
    with Destination(lambda _: Say(503)) as server:
        text = STDIN.replace("URL", server.url).replace("300ms", "1m")
        if kind == "file":
            text = text.replace("{type: stdin}", "{type: file, include: [./app.log]}")
        agent = Agent(text, tmp_path, stdin=subprocess.PIPE)
        with agent:
            assert agent.process is not None and agent.process.stdin is not None
            with feeding(agent.process.stdin, iter([b"a\n"])):
                agent.wait_for(lambda: server.seen)
            agent.signal(signal.SIGTERM)
            agent.wait_for(lambda: "draining" in agent.stderr)
            assert agent.stop(5, signal.SIGINT) == status


def test_two_processes_do_not_share_a_data_folder(tmp_path: Path) -> None:
    """The second ends with 1 and names the first; the first, its API address and its work are not disturbed."""
    with Agent(FILES, tmp_path) as agent:
        url = agent.url
        for args in ((), ("--once",)):
            done = shipper("run", "-c", agent.config, *args)
            assert done.returncode == 1
            assert f"in use by process {agent.pid}" in done.stderr
            assert "Traceback" not in done.stderr
        assert (agent.data_dir / "api").read_text().strip() == url
        append(tmp_path / "app.log", range(10))
        agent.wait_for(lambda: len(delivered(tmp_path)) == 10)
        assert agent.stop() == 0
    assert not (agent.data_dir / "api").exists()


def test_an_api_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    """Exit status 1, the option and the reason; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        address = f"127.0.0.1:{used.getsockname()[1]}"
        done = shipper("run", "-c", write_config(FILES + f"api: {{listen: '{address}'}}\n", tmp_path))
    assert done.returncode == 1
    assert f"api.listen {address}: cannot be opened: " in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_listener_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    """An input that cannot listen at start ends the process with 1, by file, line and name."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        text = FILES.replace(
            "{type: file, include: [./app.log], poll_interval: 50ms}",
            f"{{type: http, listen: '127.0.0.1:{used.getsockname()[1]}'}}",
        )
        config = write_config(text, tmp_path)
        done = shipper("run", "-c", config)
    assert done.returncode == 1
    assert f"{config}:4: inputs.app: cannot be opened: " in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """Exit status 1, the folder and the system's reason."""
    (tmp_path / "data").write_text("a file")
    config = write_config(FILES.replace("./data", "./data/below"), tmp_path)
    for args in ((), ("--once",)):
        done = shipper("run", "-c", config, *args)
        assert done.returncode == 1
        assert f"data_dir {tmp_path}/data/below cannot be used: Not a directory" in done.stderr
        assert "Traceback" not in done.stderr


def test_nobody_else_may_read_the_data_folder(tmp_path: Path) -> None:
    """Whatever the umask: folders in it are 0700 and files 0600, with positions, dead letters and all."""
    append(tmp_path / "app.log", range(3))
    with (tmp_path / "app.log").open("a") as file:
        file.write("no json\n")
    text = FILES.replace("format: json}", "format: json, on_error: dead_letter}")
    before = os.umask(0)
    try:
        with Agent(text, tmp_path) as agent:
            agent.wait_for(lambda: len(delivered(tmp_path)) == 3)
            agent.wait_for(lambda: agent.dead_letters("parse"))
            modes = {path.relative_to(tmp_path): path.stat().st_mode & 0o777 for path in agent.data_dir.rglob("*")}
            modes |= {Path("data"): agent.data_dir.stat().st_mode & 0o777}
            assert agent.stop() == 0
    finally:
        os.umask(before)
    assert {Path("data"), Path("data/api"), Path("data/lock"), Path("data/dead_letters/parse.ndjson")} <= set(modes)
    wrong = {str(path): oct(mode) for path, mode in modes.items() if mode not in (0o700, 0o600)}
    assert not wrong
