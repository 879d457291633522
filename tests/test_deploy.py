"""The files below deploy/: they parse, agree with each other and with the product, and what they configure works."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.agent import ROOT, Agent, ndjson, shipper, write_config

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
NODE = {"NODE_NAME": "node-7"}


def objects(path: Path) -> dict[str, Any]:
    """The objects of a manifest by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(path.read_text())}


def pod(path: Path) -> Any:
    found = objects(path)
    return (found.get("DaemonSet") or found["Deployment"])["spec"]["template"]["spec"]


def agent_of(path: Path) -> Any:
    """The container that runs the agent."""
    spec = pod(path)
    return next(each for each in spec.get("initContainers", []) + spec["containers"] if each["name"] == "shipper")


def embedded(path: Path) -> Any:
    """The agent's configuration inside a manifest."""
    return objects(path)["ConfigMap"]["data"]["shipper.yaml"]


def cri(stream: str, text: str, tag: str = "F", second: int = 0) -> str:
    return f"2026-11-20T09:12:{second:02}.123456789Z {stream} {tag} {text}\n"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_embedded_configurations_are_valid(path: Path, tmp_path: Path) -> None:
    """What a manifest configures is accepted without a word."""
    (tmp_path / "shipper.yaml").write_text(embedded(path))
    done = shipper("validate", "-c", tmp_path / "shipper.yaml", env=NODE)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_agree_with_the_configuration(path: Path) -> None:
    """Every path of the configuration is mounted, the probes ask the API's port, every variable is given."""
    config, container, spec = yaml.safe_load(embedded(path)), agent_of(path), pod(path)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == volumes.keys()
    for each in config["inputs"].values():
        for pattern in each["include"]:
            folder = next(mount for mount in mounts if pattern.startswith(f"{mount}/"))
            assert mounts[folder]["readOnly"]
    assert not mounts[config["data_dir"]].get("readOnly")
    assert (
        volumes[mounts["/etc/shipper"]["name"]]["configMap"]["name"] == objects(path)["ConfigMap"]["metadata"]["name"]
    )

    port = int(config["api"]["listen"].rpartition(":")[2])
    assert container["ports"] == [{"name": "api", "containerPort": port}]
    probes = [container[name]["httpGet"] for name in container if name.endswith("Probe")]
    assert {probe["port"] for probe in probes} == {"api"}
    assert {probe["path"] for probe in probes} == {"/livez", "/readyz"}
    wanted = {name for each in config["filters"].values() for name in each.get("env", {}).values()}
    assert wanted <= {variable["name"] for variable in container["env"]}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_containers_may_do_no_more_than_they_need(path: Path) -> None:
    """No capability, no way to get one, nothing to write to but the data folder; no token for the API server."""
    context, container = agent_of(path)["securityContext"], agent_of(path)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/shipper"]
    assert container["resources"]["limits"]["memory"]
    if "DaemonSet" in objects(path):
        assert pod(path)["automountServiceAccountToken"] is False


def test_the_daemonset_ships_a_nodes_pods(tmp_path: Path) -> None:
    """Lines of all pods but our own come out whole, with the pod they are from, JSON parsed, secrets hidden."""
    pods = tmp_path / "var" / "log" / "pods"
    logs = {
        "shop_checkout-7d9f_11111111-aaaa/app/0.log": [
            cri("stdout", '{"level": "info", "message": "order placed"}'),
            cri("stdout", "the first part, ", "P", 1),
            cri("stderr", "between them", second=2),
            cri("stdout", "the second, ", "P", 3),
            cri("stdout", "the end", second=4),
            cri("stdout", "receipt for ann.lee@example.com", second=5),
        ],
        "shop_checkout-7d9f_11111111-aaaa/proxy/3.log": [cri("stdout", "GET / 200")],
        "kube-system_dns-abc_22222222-bbbb/dns/0.log": [cri("stdout", "plain text {")],
        "logging_shipper-x1_33333333-cccc/shipper/0.log": [cri("stderr", "our own")],
    }
    for name, lines in logs.items():
        (pods / name).parent.mkdir(parents=True)
        (pods / name).write_text("".join(lines))
    config = yaml.safe_load(embedded(DEPLOY / "kubernetes" / "daemonset.yaml").replace("/var/log/pods", str(pods)))
    config["data_dir"] = str(tmp_path / "data")
    config["outputs"] = {"es": {"type": "file", "path": str(tmp_path / "out.ndjson")}}
    done = shipper("run", "--once", "-c", write_config(config, tmp_path), env=NODE)
    assert done.returncode == 0, done.stderr

    events = list(ndjson(tmp_path / "out.ndjson"))
    assert sorted((event["kubernetes"]["container"], event["stream"], event["message"]) for event in events) == [
        ("app", "stderr", "between them"),
        ("app", "stdout", "order placed"),
        ("app", "stdout", "receipt for [email]"),
        ("app", "stdout", "the first part, the second, the end"),
        ("dns", "stdout", "plain text {"),
        ("proxy", "stdout", "GET / 200"),
    ]
    by_message = {event["message"]: event for event in events}
    placed = by_message["order placed"]
    assert placed["kubernetes"] == {
        "namespace": "shop",
        "pod": "checkout-7d9f",
        "container": "app",
        "uid": "11111111-aaaa",
        "node": "node-7",
    }
    assert (placed["level"], placed["host"], placed["timestamp"]) == (
        "info",
        "node-7",
        "2026-11-20T09:12:00.123456789Z",
    )
    assert by_message["GET / 200"]["file"] == str(pods / "shop_checkout-7d9f_11111111-aaaa/proxy/3.log")
    assert not any("shipper_error" in event for event in events)


def test_the_image_holds_what_the_product_needs() -> None:
    """What the Dockerfile copies is there, it does not run as root, and its health check asks a page that is there."""
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [words for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for words in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert "'http://127.0.0.1:9600/livez'" in text


def test_the_unit_starts_what_is_there() -> None:
    """The unit's commands are commands of the product, and its times fit the product's."""
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / "systemd" / "shipper.service").read_text())
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["StateDirectory"] == "shipper"
    assert int(service["TimeoutStopSec"].removesuffix("s")) > 30, "shutdown_grace"
    for key in ("ExecStartPre", "ExecStart"):
        program, command, *options = shlex.split(service[key])
        assert program.endswith("/bin/shipper")
        assert shipper(command, "--help").returncode == 0
        assert options == ["-c", "/etc/shipper/shipper.yaml"]


def test_systemd_is_told(tmp_path: Path) -> None:
    """With Type=notify and a watchdog, systemd hears READY=1, then WATCHDOG=1 again and again, and STOPPING=1."""
    (tmp_path / "app.log").write_text("a line\n")
    config = {
        "inputs": {"app": {"type": "file", "include": [str(tmp_path / "app.log")]}},
        "outputs": {"out": {"type": "file", "path": str(tmp_path / "out.ndjson")}},
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with Agent(config, tmp_path, env=env) as agent:
            said = {systemd.recv(100).decode()}
            while said != {"READY=1", "WATCHDOG=1"}:
                said.add(systemd.recv(100).decode())
            assert systemd.recv(100) == systemd.recv(100) == b"WATCHDOG=1"
            assert agent.stop() == 0
        while systemd.recv(100) != b"STOPPING=1":
            pass


def test_the_dashboard_asks_for_what_there_is(tmp_path: Path) -> None:
    """Every metric that a panel reads is on the agent's own page, and no two panels lie on each other."""
    board = json.loads((DEPLOY / "grafana" / "shipper.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:shipper|process)_\w+", target["expr"])
    }
    config = {
        "inputs": {"app": {"type": "file", "include": [str(tmp_path / "app.log")]}},
        "outputs": {"out": {"type": "blackhole"}},
    }
    with Agent(config, tmp_path) as agent:
        there = dict(re.findall(r"^# TYPE (\S+) (\S+)", agent.get("/metrics"), re.MULTILINE))
        assert agent.stop() == 0
    there |= {f"{name}_bucket": kind for name, kind in there.items() if kind == "histogram"}
    assert asked - there.keys() == set()

    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
