"""T59: what is secret is in nothing that is shown, in no form and not by its length."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from tests.faults.bench.answers import Answer
from tests.faults.bench.certificates import Authority
from tests.faults.bench.commands import Commands
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.scenario import Bench
from tests.faults.bench.wire import Asked

pytestmark = pytest.mark.faults

OUTPUTS = ("url", "basic", "bearer", "header", "es", "loki", "proxied")


def canary(name: str, more: str = "") -> str:
    """A secret with characters that each encoding writes in its own way, and one that no text has by accident."""
    return f'c4n4ry/{name}+"&\\{more}'


def forms(name: str) -> Iterator[tuple[str, str]]:
    """How it is called, and a text that must be nowhere."""
    secret = canary(name)
    yield "plain", secret
    yield "percent", quote(secret, safe="")
    yield "percent, slashes kept", quote(secret)
    yield "percent, lower case", quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b")
    yield "form", quote_plus(secret)
    yield "JSON", json.dumps(secret)[1:-1]
    yield "JSON, slashes escaped", json.dumps(secret)[1:-1].replace("/", "\\/")
    yield "JSON twice", json.dumps(json.dumps(secret))[3:-3]
    yield "its beginning", "c4n4ry"
    for shift in range(3):  # wherever it begins in what is encoded
        whole = b64encode(b"\0" * shift + secret.encode()).decode()
        yield f"base64 at {shift}", whole[4 if shift else 0 : -4]


def configured(host: str, folder: Path, more: str = "") -> dict[str, object]:
    """A secret in each option that can hold one: written, from the environment, from a file, in an address."""
    (folder / "token").write_text(canary("file", more) + "\n")
    user, word = quote(canary("user", more), safe=""), quote(canary("word", more), safe="")
    own = {"delivery": {"batch": {"wait": "10ms"}, "timeout": "2s", "retry": {"first": "20ms", "max": "40ms"}}}
    inside = f"{host.replace('://', f'://{user}:{word}@')}/in?key={quote(canary('query', more), safe='')}"
    return {
        "data_dir": "./data",
        "shutdown_grace": "100ms",
        "log": {"level": "debug"},
        "api": {"listen": "127.0.0.1:0", "token": "api-" + canary("api", more)},
        "inputs": {
            "app": {"type": "file", "include": ["./app.log"], "poll_interval": "50ms"},
            "web": {"type": "http", "listen": "127.0.0.1:0", "auth": {"type": "bearer", "token": canary("web", more)}},
        },
        "filters": {"mask": {"type": "redact", "detect": ["email"], "action": "hmac", "key": "${HMAC_KEY}"},
                    "own": {"type": "python", "file": "./own.py", "function": "change"}},
        "outputs": {
            "url": {"type": "http", "url": inside, **own},
            "basic": {"type": "http", "url": host, "auth": {"type": "basic", "user": "ann", "password": "${PASSWORD}"}, **own},
            "bearer": {"type": "http", "url": host, "auth": {"type": "bearer", "token": "${file:./token}"}, **own},
            "header": {"type": "http", "url": host, "headers": {"X-Api-Key": canary("header", more)}, **own},
            "es": {"type": "elasticsearch", "endpoints": [inside], "index": "logs", **own},
            "loki": {"type": "loki", "url": host, "labels": {"a": "b"}, "auth": {"type": "api_key", "key": canary("key", more)}, **own},
            "proxied": {"type": "http", "url": "http://destination.invalid/", "proxy": inside.partition("/in")[0].replace("https", "http"), **own},
        },
    }  # fmt: skip


SECRETS = ("api", "web", "file", "user", "word", "query", "hmac", "env", "header", "key")
ENV = {"HMAC_KEY": canary("hmac", "0123456789"), "PASSWORD": canary("env")}


def leaks(text: str) -> list[str]:
    found = [(how, text.find(form)) for name in SECRETS for how, form in forms(name)]
    return [f"{how}: {text[max(0, at - 100) : at + 60]}" for how, at in found if at >= 0]


@requires("openssl")
@pytest.mark.parametrize(
    "trouble", ["401", "500", "a name that nobody knows", "nobody there", "a foreign certificate", "no TLS"]
)
def test_t59_canary(bench: Bench, trouble: str) -> None:
    """T59: with a canary in every secret option, in the environment, in a file and in addresses, and destinations that answer 401 or 500
    with all they were sent, are unknown, away or show foreign certificates: 0 hits, plain or encoded, in the log at debug with
    tracebacks, in `/metrics` and `/status`, in the data folder, and in what `validate`, `doctor`, `plan` and `plugins show` say.
    """

    def repeats(asked: Asked) -> Answer:
        sent = json.dumps([asked.path, *asked.head.headers.values()])
        return Answer(
            int(trouble) if trouble.isdecimal() else 500,
            sent.encode(),
            {"WWW-Authenticate": sent, "Location": asked.path},
        )

    (bench.folder / "app.log").write_text("ann@example.com\n" * 3)
    (bench.folder / "own.py").write_text("def change(event):\n    raise ValueError(event['message'])\n")
    tls = Authority(bench.folder, "ca").server("own") if trouble == "a foreign certificate" else None
    with Destination(repeats, tls=tls) as server:
        host = {"a name that nobody knows": "http://nobody.invalid", "no TLS": f"https://127.0.0.1:{server.port}"}.get(
            trouble, server.url
        )
        if trouble == "nobody there":
            server.close()
        config = configured(host, bench.folder)
        agent = bench.agent(yaml.safe_dump(config), env=ENV, args=("--debug",))
        token = str(config["api"]["token"])  # type: ignore[index]
        with agent:
            agent.wait_for(
                lambda: all(agent.metric("shipper_output_retries_total", output=each) >= 1 for each in OUTPUTS), 30
            )
            shown = {"metrics": agent.get("/metrics"), "status": agent.get("/status", token=token)}
            with Commands(bench.folder, env=ENV) as run:
                for words in (
                    ("validate",),
                    ("validate", "--json"),
                    ("plan",),
                    ("doctor",),
                    ("files",),
                    ("plugins", "show", "http"),
                ):
                    file = () if words[0] == "plugins" else ("-c", "shipper.yaml")
                    shown[" ".join(words)] = run(*words, *file, limit=60).said
            assert agent.stop() == 0
        tried = [answer for answer in server.requests if answer.status == 401]
    shown["log"] = agent.stderr
    state = [path.read_bytes().decode("latin-1") for path in agent.data_dir.rglob("*") if path.is_file()]
    shown["data folder"] = "\n".join(state)
    hits = {name: found for name, text in shown.items() if (found := leaks(text))}
    bench.figure("places looked at", ">= 10", len(shown))
    bench.figure("secrets, in forms", f"{len(SECRETS)}", f"{len(SECRETS)} in {len(list(forms('x')))}")
    bench.figure("hits", "0", sum(map(len, hits.values())))
    assert all(shown.values()), [name for name, text in shown.items() if not text]
    assert "[secret]" in shown["status"] + shown["log"], "what hides them is in use"
    assert not hits, hits
    assert trouble != "401" or tried


def test_t59_the_looking_finds(bench: Bench) -> None:
    """T59: each form is found where it stands; without this the search could be blind."""
    for name in SECRETS:
        secret = canary(name)
        for text in (secret, quote(secret, safe=""), json.dumps({"x": secret}), b64encode(f"ann:{secret}".encode()).decode(),
                     b64encode(f"a:{secret}".encode()).decode(), b64encode(secret.encode()).decode(), json.dumps(json.dumps(secret))):  # fmt: skip
            assert leaks(f"error: {text} at 127.0.0.1"), text
    assert not leaks("error: [secret] at 127.0.0.1")
    bench.figure("forms that the search finds", "7 of 7", "7 of 7")


def test_t59_the_length_is_not_shown(bench: Bench) -> None:
    """T59: two configurations whose secrets differ by 40 characters make every command say the same, good or with mistakes in each secret."""
    heard: list[dict[str, str]] = []
    for more in ("", "x" * 40):
        config = configured("http://127.0.0.1:9", bench.folder, more)
        broken = json.loads(
            json.dumps(config)
            .replace('"password"', '"passwort"')
            .replace('"api_key"', '"apikey"')
            .replace("http://c4", "htp://c4")
        )
        broken["inputs"]["web"]["auth"]["token"] = [broken["inputs"]["web"]["auth"]["token"]]
        broken["outputs"]["header"]["headers"]["X-Api-Key"] += "\n"
        broken["outputs"]["bearer"]["auth"]["token"] += "${NOT_SET}"
        env = {"HMAC_KEY": canary("hmac", "0123456789" + more), "PASSWORD": canary("env", more)}
        (bench.folder / "own.py").write_text("def change(event):\n    return event\n")
        (bench.folder / "app.log").write_text("")
        said = {}
        with Commands(bench.folder, warm=True, env=env) as run:
            for name, each in (("good", config), ("broken", broken)):
                (bench.folder / "shipper.yaml").write_text(json.dumps(each, indent=1))  # a value a line: columns stay
                for words in (
                    (("validate",), ("validate", "--json"), ("run",))
                    if name == "broken"
                    else (("validate",), ("files",))
                ):
                    done = run(*words, "-c", "shipper.yaml")
                    assert done.status == (2 if name == "broken" else 0), done.said
                    said[f"{name} {words}"] = done.said
        assert not leaks("\n".join(said.values()))
        heard.append(said)
    bench.figure("sentences that tell a length", "0", sum(heard[0][name] != heard[1][name] for name in heard[0]))
    assert heard[0] == heard[1]
