"""The real process: whose its files are, what it listens on, as whom it runs, what it says of opt-outs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.e2e.agent import ROOT, Agent, shipper

USER = 10001
CONFIG = """
data_dir: ./deep/er/data
inputs: {app: {type: file, include: [./*.log], follow: false}}
filters: {p: {type: parse, format: json}}
outputs: {out: {type: file, path: "./out/deep/{service}.log"}}
"""


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    """The data folder is 0700 and its files 0600; what is made on the way is never the world's; outputs 0640 at most."""
    (tmp_path / "app.log").write_text('{"service": "a"}\n{"service": "../x"}\n')
    file = tmp_path / "shipper.yaml"
    file.write_text(CONFIG)
    with masked(umask):
        assert shipper("run", "-c", file).returncode == 0
    data = tmp_path / "deep/er/data"
    found = [data, *data.rglob("*")]
    assert len(found) > 5
    assert {mode(each) for each in found if each.is_dir()} == {0o700}
    assert {mode(each) for each in found if each.is_file()} == {0o600}
    for folder in ("deep", "deep/er", "out", "out/deep"):
        assert not mode(tmp_path / folder) & 0o027, folder
    assert not mode(tmp_path / "out/deep/a.log") & ~0o640


def test_an_opt_out_is_said_and_counted(tmp_path: Path) -> None:
    """`validate` and the start warn of it by name, and a metric is 1 that one can alert on."""
    out = "{type: http, url: 'https://127.0.0.1:1/', tls: {insecure_skip_verify: true}}"
    text = f"data_dir: ./data\ninputs: {{web: {{type: http, listen: '127.0.0.1:0'}}}}\noutputs: {{out: {out}}}\n"
    with Agent(text, tmp_path) as agent:
        line = 'shipper_insecure{component="out",option="tls.insecure_skip_verify"} 1'
        assert line in agent.get("/metrics").splitlines()
        said = shipper("validate", "-c", agent.config).stderr
        agent.stop()
        assert "outputs.out.tls.insecure_skip_verify: verification is off" in agent.stderr
    assert "outputs.out.tls.insecure_skip_verify: verification is off" in said
    with Agent(text.replace("true", "false"), tmp_path) as agent:
        assert "shipper_insecure" not in agent.get("/metrics")


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    """With the required keys only: every socket that the process listens on is of this machine."""
    text = """
data_dir: ./data
inputs: {web: {type: http, listen: "127.0.0.1:0"}, sys: {type: syslog, listen: ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]}}
outputs: {out: {type: blackhole}}
"""
    with Agent(text, tmp_path) as agent:
        there = sockets(agent.pid)
        assert len(there) == 4, "API, HTTP, syslog by UDP and TCP"
        assert all(address in ("0100007F", "00000000000000000000000001000000") for address in there)
        agent.stop()


def sockets(pid: int) -> list[str]:
    """Local addresses (hex, as the kernel writes them) of what a process listens on."""
    mine = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:  # closed meanwhile
            continue
        mine |= {target[8:-1]} if target.startswith("socket:[") else set()
    found = []
    for name, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for row in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[9] in mine and fields[3] == listening:
                found.append(fields[1].split(":")[0])
    return found


def interpreter() -> list[str]:
    """A Python that another user may run, with what we need on its path; the test is skipped when there is none."""
    site = Path(orjson.__file__).parent.parent
    probe = "import sys, orjson, yaml, click, msgspec, uvloop, isal, aiohttp, shipper.cli.run"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        env = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={ROOT}:{site}", "PYTHONDONTWRITEBYTECODE=1"]
        done = subprocess.run(
            [*env, python, "-c", probe], user=USER, group=USER, extra_groups=[], cwd="/", capture_output=True
        )
        if done.returncode == 0:
            return [*env, python]
    pytest.skip("no Python on this machine that uid 10001 may run")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_runs_as_any_user() -> None:
    """As uid 10001, without a name or a home: it reads, delivers, ends with 0, and all that it made is its own."""
    python = interpreter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, USER, USER)
        (folder / "app.log").write_text('{"service": "a", "n": 1}\n')
        (folder / "shipper.yaml").write_text(CONFIG)
        command = [*python, "-m", "shipper"]
        for words in (["doctor", "-c", "shipper.yaml"], ["run", "-c", "shipper.yaml"]):
            done = subprocess.run(
                [*command, *words], user=USER, group=USER, extra_groups=[], cwd=folder, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((folder / "out/deep/a.log").read_text())["n"] == 1
        made = [each for each in folder.rglob("*") if each.name not in ("app.log", "shipper.yaml")]
        assert {each.stat().st_uid for each in made} == {USER}
