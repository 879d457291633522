"""`shipper dlq`: dead letters are listed, shown, sent again and thrown away; none is lost on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import environment, shipper
from tests.e2e.fake import Destination, Got, Say

CONFIG = """
data_dir: ./data
api: null
checkpoint_interval: 50ms
inputs: {{app: {{type: file, include: [./app.log]}}}}
filters:
  first: {{type: set, fields: {{passed: first}}}}
  hide: {{type: redact, detect: [email]}}
  last: {{type: set, fields: {{last: true}}}}
outputs:
  web:
    type: http
    url: {url}
    delivery: {{batch: {{events: 50, wait: 10ms}}, concurrency: 1, retry: {{first: 50ms}}, buffer: {{disk: {disk}}}}}
  copy: {{type: file, path: ./copy.ndjson}}
pipelines:
  main: {{inputs: [app], filters: [first, hide, last], outputs: [web]}}
  other: {{inputs: [app], filters: [hide], outputs: [copy]}}
"""


def letter(number: int, component: str = "web", reason: str = "mapping: no", **more: Any) -> dict[str, Any]:
    return {
        "time": f"2026-11-22T12:00:{number % 60:02}.000000Z", "component": component, "reason": reason, "status": 400,
        "attempts": 1, **more, "event": {"n": number, "message": "ann@example.com"},
    }  # fmt: skip


class World:
    """A folder with a configuration and dead letters in it."""

    def __init__(self, folder: Path, url: str = "http://127.0.0.1:9/", disk: str = "0") -> None:
        self.folder = folder
        self.dead = folder / "data" / "dead_letters"
        self.dead.mkdir(parents=True)
        (folder / "shipper.yaml").write_text(CONFIG.format(url=url, disk=disk))
        (folder / "app.log").touch()

    def write(self, letters: Iterable[dict[str, Any]], name: str = "web.ndjson") -> None:
        with (self.dead / name).open("a") as file:
            file.writelines(json.dumps(each) + "\n" for each in letters)

    def numbers(self, component: str = "web") -> list[int]:
        done = self.dlq("show", component)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["event"]["n"] for line in done.stdout.splitlines()]

    def dlq(self, *words: str) -> subprocess.CompletedProcess[str]:
        return shipper("dlq", *words, cwd=self.folder)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "shipper", "dlq", *words]
        return subprocess.Popen(argv, cwd=self.folder, env=environment(), stderr=subprocess.PIPE)


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_ls_says_how_many_since_when_and_why(world: World) -> None:
    """Over all files of a component, with what is damaged counted apart; as text and as JSON."""
    world.write([letter(1), letter(2, reason="mapping: another")], "web@000001.ndjson")
    world.write([letter(3, reason="too large: 7")])
    with (world.dead / "web.ndjson").open("a") as file:
        file.write('{"time": "2026')
    world.write([letter(9, "hide", "redact: no", pipeline="main")], "hide.ndjson")
    done = world.dlq("ls")
    assert done.returncode == 0
    assert "web: 3 dead letters" in done.stdout
    assert "from 2026-11-22T12:00:01.000000Z to 2026-11-22T12:00:03.000000Z" in done.stdout
    assert "2  mapping\n" in done.stdout
    assert "1  damaged" in done.stdout
    hide, web = json.loads(world.dlq("ls", "--json").stdout)
    assert (hide["component"], hide["count"], hide["damaged"]) == ("hide", 1, 0)
    assert web == {
        "component": "web", "files": 2, "count": 3, "damaged": 1, "reasons": {"mapping": 2, "too large": 1},
        "oldest": "2026-11-22T12:00:01.000000Z", "newest": "2026-11-22T12:00:03.000000Z",
        "bytes": sum(file.stat().st_size for file in world.dead.glob("web*.ndjson")),
    }  # fmt: skip
    (some,) = json.loads(world.dlq("ls", "web", "--where", "n >= 2", "--json").stdout)
    assert (some["count"], some["oldest"]) == (2, "2026-11-22T12:00:02.000000Z")


def test_show_writes_the_letters_as_they_are(world: World) -> None:
    """NDJSON on stdout, the oldest first; the condition sees the letter, its event, and the event's fields by name."""
    world.write([letter(1, attempts_="x"), letter(2)], "web@000001.ndjson")
    world.write([letter(3, status=413)])
    assert world.numbers() == [1, 2, 3]
    for where, expected in {
        "status == 413": [3],
        "event.n == 2": [2],
        "n >= 2": [2, 3],
        'time < "2026-11-22T12:00:02"': [1],
        'reason.startswith("mapping") and n != 2': [1, 3],
        "nothing_like_it == 1": [],
    }.items():
        done = world.dlq("show", "web", "--where", where)
        assert [json.loads(line)["event"]["n"] for line in done.stdout.splitlines()] == expected, (where, done.stderr)
    first = world.dlq("show", "--limit", "1").stdout
    assert first == (world.dead / "web@000001.ndjson").read_text().splitlines(keepends=True)[0]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("show", "--where", "a =="), 2, "--where"),
        (("ls", "wbe"), 1, "nothing is called 'wbe'"),
        (("replay", "copy"), 0, "copy has no dead letters"),
        (("replay", "web", "--through", "nix"), 1, "there is no pipeline 'nix'; there are main, other"),
        (("replay", "gone"), 1, "no output or filter 'gone': say where to with --through PIPELINE"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(world: World, words: tuple[str, ...], status: int, says: str) -> None:
    """The letters stay as they are."""
    world.write([letter(1)])
    world.write([letter(1, "gone")], "gone.ndjson")
    done = world.dlq(*words)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert world.numbers() == [1]


def test_no_letters_at_all(tmp_path: Path) -> None:
    """Nothing is made, nothing fails."""
    world = World(tmp_path)
    world.dead.rmdir()
    world.dead.parent.rmdir()
    for words in (("ls",), ("show",), ("replay",), ("drop", "--yes")):
        done = world.dlq(*words)
        assert (done.returncode, done.stdout) == (0, "")
        assert "no dead letters" in done.stderr
    assert not world.dead.parent.exists()


def test_drop_asks_first(world: World) -> None:
    """Without --yes it says how many and does nothing; with a condition the others stay, with what is damaged."""
    world.write([letter(1), letter(2)], "web@000001.ndjson")
    world.write([letter(3)])
    (world.dead / "web@000003.ndjson").write_text("half a li")
    done = world.dlq("drop", "web", "--where", "n != 2")
    assert done.returncode == 1
    assert "this would drop 2 dead letters for good" in done.stderr
    assert world.numbers() == [1, 2, 3]
    assert "2 dead letters dropped" in world.dlq("drop", "web", "--where", "n != 2", "--yes").stderr
    assert world.numbers() == [2]
    assert "1 dead letter dropped" in world.dlq("drop", "web", "--yes").stderr
    assert list(world.dead.glob("web*")) == []


def test_an_output_s_letters_go_straight_to_it(tmp_path: Path) -> None:
    """No filter sees them again; delivered, they are gone; those that were not chosen stay where they are."""
    with Destination() as server:
        world = World(tmp_path, server.url)
        world.write([letter(n) for n in range(120)], "web@000004.ndjson")
        world.write([letter(n) for n in range(120, 150)])
        done = world.dlq("replay", "web", "--where", "n >= 100")
        assert (done.returncode, "web: 50 dead letters sent again\n" in done.stderr) == (0, True), done.stderr
        assert server.events() == [letter(n)["event"] for n in range(100, 150)]
        assert world.numbers() == list(range(100))
        assert world.dlq("replay").returncode == 0
        assert sorted(event["n"] for event in server.events()) == list(range(150))
    assert [file.name for file in world.dead.iterdir()] == [".busy"]


def test_a_filter_s_letters_go_on_at_that_filter(tmp_path: Path) -> None:
    """Through the filters they have not passed, of the pipeline they come from."""
    with Destination() as server:
        world = World(tmp_path, server.url)
        world.write(
            [letter(1, "hide", pipeline="main"), letter(2, "hide", pipeline="other"), letter(3, "hide")], "hide.ndjson"
        )
        done = world.dlq("replay", "hide")
        assert (done.returncode, "2 dead letters sent again, 1 left" in done.stderr) == (1, True), done.stderr
        assert server.events() == [{"n": 1, "message": "[email]", "last": True}]
        copied = [json.loads(line) for line in (tmp_path / "copy.ndjson").read_text().splitlines()]
        assert copied == [{"n": 2, "message": "[email]"}]
        assert world.dlq("replay", "hide", "--through", "main").returncode == 0
        assert server.events()[1:] == [{"n": 3, "message": "[email]", "last": True, "passed": "first"}]


def test_what_is_refused_again_is_kept_again(tmp_path: Path) -> None:
    """Once each, not in an endless loop, though the letters that come back are more than there is room for."""

    def picky(got: Got) -> Say:
        return Say(400, b"still no") if any(event["n"] % 100 == 7 for event in got.events) else Say()

    with Destination(picky) as server:
        world = World(tmp_path, server.url)
        with (tmp_path / "shipper.yaml").open("a") as file:
            file.write("dead_letters: {max_bytes: 1MiB}\n")
        big = [{**letter(n), "pad": "x" * 5000} for n in range(300)]
        world.write(big)
        assert world.dead.joinpath("web.ndjson").stat().st_size > 2**20
        done = world.dlq("replay", "web")
        assert done.returncode == 0
        assert "300 dead letters sent again, 3 events of them set aside again" in done.stderr
        assert world.numbers() == [7, 107, 207]
        assert Counter(event["n"] for event in server.events()) == Counter(n for n in range(300) if n % 100 != 7)


def test_killed_in_the_middle_nothing_is_lost(tmp_path: Path) -> None:
    """After kill -9, three times, each letter is delivered or still there; what comes twice is less than a moment's."""
    with Destination() as server:

        def slow(_: Got) -> Say:
            time.sleep(0.005)
            return Say()

        server.answer = slow
        world = World(tmp_path, server.url)
        for part in range(4):
            world.write([letter(n) for n in range(part * 2500, part * 2500 + 2500)], f"web@{part + 1:06}.ndjson")
        for life in range(3):
            process = world.start("replay", "web")
            goal = len(server.taken) + 15 + 10 * life
            until(lambda goal=goal: len(server.taken) >= goal)
            process.kill()
            process.communicate()
            left = set(world.numbers())
            assert left | {event["n"] for event in server.events()} == set(range(10_000))
        done = world.dlq("replay", "web")
        assert done.returncode == 0, done.stderr
        again = Counter(event["n"] for event in server.events())
        assert set(again) == set(range(10_000))
        # 50 ms between two savings, at about 50 events in 5 ms, and what was under way: far from the 10,000 of a file
        assert again.total() - 10_000 <= 3 * 3000
        assert world.numbers() == []


def test_stopped_in_the_middle_it_says_what_is_left(tmp_path: Path) -> None:
    """SIGTERM: what was delivered is gone, the rest stays, status 1; nothing comes twice."""
    with Destination() as server:
        world = World(tmp_path, server.url)
        with (tmp_path / "shipper.yaml").open("a") as file:
            file.write("shutdown_grace: 300ms\n")
        world.write([letter(n) for n in range(2000)])
        served = iter(range(10**6))
        server.answer = lambda _: Say() if next(served) < 10 else Say(503)
        process = world.start("replay", "web")
        until(lambda: len(server.seen) > 11)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=40)
        assert process.returncode == 1
        assert b"web: 500 dead letters sent again, 1500 left\n" in stderr
        assert Counter(event["n"] for event in server.events()) == Counter(range(500))
        assert world.numbers() == list(range(500, 2000))


def test_a_buffer_on_disk_is_safe_enough(tmp_path: Path) -> None:
    """Letters of a destination that is down go into its buffer, and from there to it."""
    refusing = Say(503)
    with Destination(lambda _: refusing) as server:
        world = World(tmp_path, server.url, disk="10MiB")
        world.write([letter(n) for n in range(500)])
        process = world.start("replay", "web")
        until(lambda: server.seen)
        until(lambda: not list(world.dead.glob("web*")))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        server.answer = lambda _: Say()
        with Life(world):
            until(lambda: len(server.events()) >= 500)
        assert {event["n"] for event in server.events()} == set(range(500))


class Life:
    """An agent without an API, while the block lasts."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> None:
        argv = [sys.executable, "-m", "shipper", "run"]
        with (self.world.folder / "err").open("w") as err:
            self.process = subprocess.Popen(argv, cwd=self.world.folder, env=environment(), stderr=err)
        until(lambda: "positions and dead letters" in (self.world.folder / "err").read_text())

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def test_while_an_agent_runs(tmp_path: Path) -> None:
    """Replay says who has the data folder and what to do; ls, show and drop work."""
    with Destination() as server:
        world = World(tmp_path, server.url)
        world.write([letter(1), letter(2)])
        with Life(world):
            done = world.dlq("replay", "web")
            assert done.returncode == 1
            assert "is in use by process" in done.stderr
            assert "stop the agent" in done.stderr
            assert world.numbers() == [1, 2]
            assert world.dlq("drop", "--where", "n == 1", "--yes").returncode == 0
            assert world.numbers() == [2]
        assert server.events() == []
