"""T60: what stands in the source, whose the files are, as whom it runs, and that it does not feed on itself."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.agent import shipper
from tests.e2e.test_hardening import USER, interpreter
from tests.faults.bench.needs import requires
from tests.faults.bench.scenario import Bench
from tests.test_security_gate import ALLOWED, FILES, HOUSE, offences

pytestmark = pytest.mark.faults

MEBIBYTE = 1 << 20
WATCHED = 6.0  # seconds


def test_t60_source(bench: Bench) -> None:
    """T60: no yaml.load, pickle, eval of data, shell, unverified TLS, extractall or mktemp: hits 0 but for those named with their reason."""
    found = [(str(file.relative_to(HOUSE)), what) for file in FILES for _, what in offences(file.read_text())]
    bench.figure("files read", "> 100", len(FILES))
    bench.figure("hits", "0", len([each for each in found if each not in ALLOWED]))
    assert len(FILES) > 100
    assert not [each for each in found if each not in ALLOWED]


CONFIG = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs:
  out: {type: file, path: "./out/{service}.log", delivery: {batch: {wait: 20ms}}}
  web: {type: http, url: "http://127.0.0.1:9", delivery: {batch: {wait: 20ms}, retry: {max: 100ms}, buffer: {spill_after: 50ms}}}
"""


def modes(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"folders": set(), "files": set()}
    for each in (folder, *folder.rglob("*")):
        found["folders" if each.is_dir() else "files"].add(oct(stat.S_IMODE(each.stat().st_mode)))
    return found


@pytest.mark.parametrize("umask", ["000", "077"])
def test_t60_modes(bench: Bench, umask: str) -> None:
    """T60: while it runs with a buffer, positions, dead letters and outputs, and after kill -9 and a restart: its folder is 0700 with files
    0600, outputs 0640 in 0750 at most, whatever the umask.
    """
    (bench.folder / "app.log").write_text("".join(json.dumps({"service": name}) + "\n" for name in ("a", "../b") * 50))
    agent = bench.agent(CONFIG, under=["sh", "-c", f'umask {umask} && exec "$@"', "sh"])
    with agent:
        for _ in range(2):
            agent.wait_for(
                lambda: agent.metric("shipper_buffer_bytes") > 0 and agent.dead_letters("out"),
                what="to make all its files",
            )
            assert modes(agent.data_dir) == {"folders": {"0o700"}, "files": {"0o600"}}
            assert agent.kill() == -9
            agent.start()
            agent.ready()
        files = len([each for each in agent.data_dir.rglob("*") if each.is_file()])
        assert agent.stop() == 0
    made = modes(bench.folder / "out")
    bench.figure("files of its own", ">= 8", files)
    bench.figure(
        "modes", "0700 0600; outputs at most 0750 0640", f"0700 0600; {sorted(made['folders'])} {sorted(made['files'])}"
    )
    assert files >= 8
    assert modes(agent.data_dir) == {"folders": {"0o700"}, "files": {"0o600"}}
    assert all(int(each, 8) & ~0o750 == 0 for each in made["folders"]) and all(
        int(each, 8) & ~0o640 == 0 for each in made["files"]
    )


@requires("root")
def test_t60_as_any_user(bench: Bench) -> None:
    """T60: as uid 10001, without a name, a home or a group: it reads, delivers 1,000 of 1,000, ends with 0, and all files are its own."""
    python = interpreter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, USER, USER)
        (folder / "app.log").write_text('{"service": "a"}\n' * 1000)
        (folder / "shipper.yaml").write_text(CONFIG.split("  web:", maxsplit=1)[0])
        done = subprocess.run(
            [*python, "-m", "shipper", "run", "--once", "-c", "shipper.yaml"], user=USER, group=USER, extra_groups=[], cwd=folder,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = len((folder / "out/a.log").read_text().splitlines())
        owners = {each.stat().st_uid for each in folder.rglob("*") if each.name not in ("app.log", "shipper.yaml")}
    bench.figure("delivered as uid 10001", "1000", lines)
    assert lines == 1000
    assert owners == {USER}


@pytest.mark.parametrize("form", ["text", "json"])
def test_t60_it_does_not_read_its_own_log(bench: Bench, form: str) -> None:
    """T60: with its own log, its data folder and its output in the glob, at debug, all that it writes grows by at most 1 MiB a minute;
    other files there are read.
    """
    logs = bench.folder / "logs"
    logs.mkdir()
    (logs / "app.log").write_text("one\ntwo\n")
    config = f"""
data_dir: ./logs/data
log: {{level: debug, format: {form}}}
inputs: {{app: {{type: file, include: ["./logs/**/*"], exclude: ["out.txt"], poll_interval: 50ms}}}}
outputs:
  out: {{type: file, path: ./logs/out.txt, codec: ndjson, delivery: {{batch: {{wait: 20ms}}}}}}
  web: {{type: http, url: "http://127.0.0.1:9", delivery: {{batch: {{wait: 20ms}}, retry: {{first: 20ms, max: 100ms}}, buffer: {{spill_after: 50ms}}}}}}
"""
    agent = bench.agent(config)
    agent.stderr_file = logs / "agent.stderr"
    agent.stdout_file = logs / "agent.stdout"

    def size() -> int:
        return sum(path.stat().st_size for path in logs.rglob("*") if path.is_file())

    with agent:
        agent.wait_for(
            lambda: agent.metric("shipper_output_events_total", output="out") == 2, what="to read the others"
        )
        before = size()
        time.sleep(WATCHED)  # that it does not grow can only be seen by looking
        grown = (size() - before) * 60 / WATCHED
        events = agent.metric("shipper_input_events_total")
        bench.sound(agent)
        assert agent.stop() == 0
    bench.figure("growth in a minute, KiB", "<= 1024", int(grown / 1024))
    bench.figure("events read that it wrote itself", "0", int(events) - 2)
    assert grown <= MEBIBYTE
    assert events == 2


def test_t60_its_own_output(bench: Bench) -> None:
    """T60: an output that its own input would certainly read is refused with 2; one that some value makes so is warned of."""
    text = 'data_dir: ./data\ninputs: {app: {type: file, include: ["./logs/*.log"]}}\noutputs: {out: {type: file, path: "./logs/PATH"}}\n'
    (bench.folder / "logs").mkdir()
    file = bench.folder / "shipper.yaml"
    said = {}
    for path, status in (
        ("out.log", 2),
        ("{service:all}.log", 2),
        ("{service}", 0),
        ("{service:all}.txt", 0),
        ("deep/{service:all}.log", 0),
    ):
        file.write_text(text.replace("PATH", path))
        for command in ("validate", "run"):
            if command == "run" and status != 2:
                continue
            done = shipper(command, "-c", file)
            said[path] = done
            assert done.returncode == status, (path, done.stderr)
    bench.figure("certain loops that start", "0", 0)
    assert "go round for ever" in said["out.log"].stderr
    assert "warning" in said["{service}"].stderr and "go round for ever" in said["{service}"].stderr
    assert "go round for ever" in said["{service:all}.log"].stderr
    assert "go round" not in said["{service:all}.txt"].stderr + said["deep/{service:all}.log"].stderr
