"""What is secret is nowhere to be read, and what comes from outside cannot write into the agent's own log."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.e2e.agent import Agent, shipper
from tests.e2e.fake import Destination, Got, Say

CANARY = "c4n4ry"
CONFIG = """
data_dir: ./data
log: {level: debug}
api: {listen: 127.0.0.1:0, token: c4n4ry-api-token}
inputs:
  app: {type: file, include: [./app.log], poll_interval: 50ms}
  web: {type: http, listen: 127.0.0.1:0, auth: {type: bearer, token: c4n4ry-web}}
filters: {mask: {type: redact, detect: [email], action: hmac, key: "${HMAC_KEY}"}}
outputs:
  url: {type: http, url: "http://c4n4ry-user:c4n4ry-pass@HOST/in?key=c4n4ry-query", DELIVERY}
  basic: {type: http, url: "http://HOST/basic", auth: {type: basic, user: ann, password: "${BASIC_PASSWORD}"}, DELIVERY}
  bearer: {type: http, url: "http://HOST/bearer", auth: {type: bearer, token: "${file:./token}"}, DELIVERY}
  header: {type: http, url: "http://HOST/header", headers: {X-Api-Key: c4n4ry-header}, DELIVERY}
  es: {type: elasticsearch, endpoints: ["http://c4n4ry-es:c4n4ry-espass@HOST/es"], index: logs, DELIVERY}
  loki: {type: loki, url: "http://HOST/loki?token=c4n4ry-loki", labels: {job: x}, auth: {type: api_key, key: c4n4ry-apikey}, DELIVERY}
"""
DELIVERY = "delivery: {batch: {wait: 10ms}, retry: {first: 20ms, max: 40ms}}"
ENV = {"HMAC_KEY": "c4n4ry-hmac-0123456789", "BASIC_PASSWORD": "c4n4ry-basic"}
OUTPUTS = ("url", "basic", "bearer", "header", "es", "loki")


BROKEN = """
from shipper import Attrs, Event, EventFilter


class Broken(EventFilter):
    'A bug that quotes what it was given.'

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        self.scope.log.info("looking at %s of %s", event.get("service"), attrs["file"])
        raise RuntimeError(event.get("service") or event["message"])
"""


def config(host: str, folder: Path) -> str:
    (folder / "token").write_text("c4n4ry-file\n")
    return CONFIG.replace("HOST", host).replace("DELIVERY", DELIVERY)


@pytest.mark.parametrize("status", [401, 500, 302, 0])
def test_secrets_are_shown_nowhere(status: int, tmp_path: Path) -> None:
    """Addresses, headers, tokens, passwords, keys: not on stderr, not in metrics, status or data folder, though the server says them back."""

    def answer(got: Got) -> Say:
        said = json.dumps({"you sent": [got.path, *got.headers.values()]}).encode()
        return Say(status, said, {"Location": got.path, "WWW-Authenticate": said.decode()})

    (tmp_path / "app.log").write_text("ann@example.com\n")
    with Destination(answer) as server:
        host = f"127.0.0.1:{server.port}"
        if not status:
            with socket.create_server(("127.0.0.1", 0)) as nobody:
                host = f"127.0.0.1:{nobody.getsockname()[1]}"
        agent = Agent(config(host, tmp_path) + "shutdown_grace: 100ms\n", tmp_path, env=ENV)
        with agent:
            agent.wait_for(
                lambda: all(agent.metric("shipper_output_retries_total", output=each) >= 2 for each in OUTPUTS)
            )
            pages = agent.get("/metrics")
            assert agent.answers("/status") == 401
            status_page = agent.get("/status", token="c4n4ry-api-token")
            agent.config.write_text(agent.config.read_text().replace("type: redact,", "type: redact, wrong: 1,"))
            agent.signal(1)
            agent.wait_for(lambda: agent.metric("shipper_reloads_total", outcome="failed") == 1)
            pages += agent.get("/status", token="c4n4ry-api-token")
            assert agent.stop() == 0
    state = b"".join(path.read_bytes() for path in agent.data_dir.rglob("*") if path.is_file()).decode("latin-1")
    assert "127.0.0.1" in status_page, "errors are shown, with the address"
    for name, text in {"stderr": agent.stderr, "pages": pages + status_page, "data": state}.items():
        at = text.find(CANARY)
        assert at < 0, f"{name}: {text[max(0, at - 200) : at + 100]}"


def test_validate_does_not_show_them(tmp_path: Path) -> None:
    """Neither for a good configuration nor in the sentences about a bad one, as text and as JSON."""
    file = tmp_path / "shipper.yaml"
    good = config("127.0.0.1:1", tmp_path)
    bad = (
        good.replace("http://c4n4ry-user", "htp://c4n4ry-user")
        .replace("type: bearer, token: c4n4ry-web", "type: bearer, token: [c4n4ry-web]")
        .replace(
            "{X-Api-Key: c4n4ry-header}", '{X-Api-Key: "c4n4ry\\nheader", "c4n4ry: y": [1]}'.replace('"c4n4ry: y"', "Y")
        )
        .replace("key: c4n4ry-apikey", "keyy: c4n4ry-apikey")
        .replace("password: ", "passwort: ")
        .replace('"${HMAC_KEY}"', '"${HMAC_KEY}${NOT_SET}"')
    )
    for text, status in ((good, 0), (bad, 2)):
        file.write_text(text)
        for command in ("validate", "test", "run"):
            if command == "run" and not status:
                continue
            for args in ((), ("--json",)) if command != "run" else ((),):
                done = shipper(command, "-c", file, *args, env=ENV)
                assert done.returncode == status, done.stderr
                assert CANARY not in done.stdout + done.stderr
                assert "Traceback" not in done.stderr


def test_nothing_from_outside_steers_the_log(tmp_path: Path) -> None:
    """Escape sequences, newlines and such in file names, lines and answers reach stderr only as escapes: no line is forged."""
    evil = "\x1b[31m\x07\r\n99:99:99 error  forged"
    name = "evil\x1b[31m\n99:99:99 error  forged.log"
    (tmp_path / name).write_text(json.dumps({"id": 1, "service": evil}) + "\n" + evil + "\n")
    text = """
data_dir: ./data
log: {level: debug}
shutdown_grace: 100ms
inputs: {app: {type: file, include: ["./*.log"], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}, code: {type: python, file: ./code.py, function: change}, broken: {type: broken}}
plugins: [./plugins]
outputs:
  web: {type: http, url: "URL", delivery: {batch: {wait: 10ms}, retry: {first: 20ms, max: 40ms}}}
  file: {type: file, path: "./out/{service}.txt", delivery: {batch: {wait: 10ms}}}
"""
    (tmp_path / "code.py").write_text(
        "def change(event):\n    raise ValueError(event.get('service') or event['message'])\n"
    )
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/broken.py").write_text(BROKEN)
    with Destination(lambda _: Say(500, evil.encode(), {"Retry-After": "0"})) as server:
        with Agent(text.replace("URL", server.url), tmp_path) as agent:
            agent.wait_for(lambda: agent.metric("shipper_output_retries_total", output="web") >= 2)
            agent.wait_for(lambda: agent.dead_letters("file"))
            assert agent.stop() == 0
    said = agent.stderr_file.read_bytes().decode()
    assert "forged" in said, "it is about these things"
    assert not [c for c in said if not c.isprintable() and c != "\n"]
    assert not [line for line in said.split("\n") if line.startswith("99:99:99")]
