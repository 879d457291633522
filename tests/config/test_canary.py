"""Every option that holds a secret, of every component there is: not shown by anything that prints."""

from __future__ import annotations

import json
import traceback
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
import yaml

from shipper.component import Component
from shipper.config.annotations import hints_of, option_fields
from shipper.config.describe import page
from shipper.config.load import load
from shipper.config.model import ApiOptions, Config, Spec
from shipper.config.walk import walk
from shipper.errors import ConfigError
from shipper.options import Options, Secret, Url
from shipper.registry import KINDS, Registry

CANARY = 'c4n4ry/"s+cret'
FORMS = {CANARY, b64encode(CANARY.encode()).decode(), quote(CANARY, safe=""), quote(CANARY), json.dumps(CANARY)[1:-1]}
ADDRESS = f"http://{quote(CANARY, safe='')}:{quote(CANARY, safe='')}@127.0.0.1:1/x?key={quote(CANARY, safe='')}"
CLIENT: dict[str, Any] = {
    "auth": {"type": "basic", "user": "ann", "password": CANARY}, "headers": {"X-Key": CANARY}, "proxy": ADDRESS,
}  # fmt: skip
AUTHS: list[dict[str, Any]] = [
    {"type": "basic", "user": "ann", "password": CANARY},
    {"type": "bearer", "token": CANARY},
    {"type": "api_key", "key": CANARY},
]
SAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("input", "http"): {"auth": AUTHS[0]},
    ("input", "syslog"): {"listen": "tcp://127.0.0.1:0"},
    ("filter", "redact"): {"detect": ["email"], "action": "hmac", "key": CANARY * 2},
    ("output", "http"): {"url": ADDRESS, **CLIENT},
    ("output", "elasticsearch"): {"endpoints": [ADDRESS], "index": "logs", **CLIENT},
    ("output", "loki"): {"url": ADDRESS, "labels": {"a": "b"}, **CLIENT},
}
"""One of each component that can hold a secret; `tls.key_password` needs a key, so it is tried apart."""


def holders(annotation: Any) -> bool:
    """Whether a value of this type can hold a secret, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, Secret | Url):
        return True
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return any(holders(hints_of(annotation)[name]) for name in option_fields(annotation))
    return any(holders(each) for each in get_args(annotation))


def everything() -> Iterator[tuple[str, str, type[Component]]]:
    registry = Registry()
    for kind in KINDS:
        for name in registry.names(kind):
            yield kind, name, registry.get(kind, name)


def configured(kind: str, name: str, options: dict[str, Any]) -> str:
    sections: dict[str, Any] = {"inputs": {"i": {"type": "stdin"}}, "outputs": {"o": {"type": "blackhole"}}}
    sections[f"{kind}s"] = {"subject": {"type": name, **options}}
    return yaml.safe_dump(sections)


def leaks(text: str) -> list[str]:
    return [text[max(0, at - 80) : at + 40] for form in FORMS if (at := text.find(form)) >= 0]


def test_the_samples_are_complete() -> None:
    """A component that takes a secret has a sample here, so that the next one cannot be forgotten."""
    assert {(kind, name) for kind, name, cls in everything() if holders(cls)} == set(SAMPLES)


@pytest.mark.parametrize(("kind", "name"), SAMPLES, ids=lambda each: str(each))
def test_a_loaded_configuration_shows_none(kind: str, name: str, tmp_path: Path) -> None:
    """`repr`, `str`, `format`, a traceback with its local variables: of the whole, each component and each option."""
    file = tmp_path / "shipper.yaml"
    given = SAMPLES[kind, name]
    for auth in AUTHS if "auth" in given else [None]:
        file.write_text(configured(kind, name, {**given, **({"auth": auth} if auth else {})}))
        config = load([file])
        spec = getattr(config, f"{kind}s")["subject"]
        component = spec.make()
        values = [value for _, value in walk(component)]
        assert any(isinstance(value, Secret | Url) for value in values) or name == "syslog"
        shown = [*map(repr, values), *map(str, values), *(f"{value}" for value in values)]
        shown += [repr(config), repr(spec), repr(component), str(component), json.dumps(values, default=str)]
        with pytest.raises(RuntimeError) as caught:
            fail(config, spec, component)
        report = traceback.TracebackException(RuntimeError, caught.value, caught.tb.tb_next, capture_locals=True)
        shown += report.format()
        assert "component = " in shown[-2]
        assert not leaks("\n".join(shown))


def fail(config: Config, spec: Spec, component: Component) -> None:
    raise RuntimeError(component)


@pytest.mark.parametrize(("kind", "name"), SAMPLES, ids=lambda each: str(each))
def test_mistakes_show_none(kind: str, name: str, tmp_path: Path) -> None:
    """Each value in another shape (a list, a mapping, a number of them), each option misspelt: the sentence hides it."""
    file = tmp_path / "shipper.yaml"
    given = SAMPLES[kind, name]
    refused = 0
    for option, value in given.items():
        spoilt = [{**given, option: [[value]]}, {**given, option: {"a": {"b": value}}}, {**given, f"{option}x": value}]
        if isinstance(value, dict):
            spoilt += [{**given, option: {**value, key: [each]}} for key, each in value.items()]
            spoilt += [{**given, option: {**value, f"{key}x": each}} for key, each in value.items()]
        for options in spoilt:
            file.write_text(configured(kind, name, options))
            try:
                load([file])
            except ConfigError as error:
                refused += 1
                assert not leaks(str(error) + repr(error.problems))
    assert refused >= len(given), "else nothing was tried"


def test_the_password_of_a_key(tmp_path: Path) -> None:
    """A key that does not open says so without the password."""
    (tmp_path / "key.pem").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    tls = {"cert": "key.pem", "key": "key.pem", "key_password": CANARY}
    file = tmp_path / "shipper.yaml"
    file.write_text(configured("input", "syslog", {"listen": "tls://127.0.0.1:0", "tls": tls}))
    with pytest.raises(ConfigError) as caught:
        load([file])
    assert "password of the key" in str(caught.value) and not leaks(str(caught.value))


def test_the_reference_shows_none_and_the_token_of_the_api_hides() -> None:
    """Pages are made of annotations, not of values; `api.token` is a secret like the others."""
    for kind, name, _ in everything():
        assert not leaks(page(Registry(), kind, name))
    options = ApiOptions(token=Secret(CANARY))
    assert not leaks(repr(options) + str(options))


def test_credentials_that_protect_nothing_are_refused(tmp_path: Path) -> None:
    """An empty token, password or key is a mistake of the configuration, wherever it stands."""
    file = tmp_path / "shipper.yaml"
    file.write_text(configured("input", "stdin", {}) + "api: {token: ''}\n")
    with pytest.raises(ConfigError, match=r"api\.token: .*at least 1 characters"):
        load([file])
    for auth in (
        {"type": "basic", "user": "ann", "password": ""},
        {"type": "bearer", "token": ""},
        {"type": "api_key", "key": ""},
    ):
        for kind, name, options in (("input", "http", {}), ("output", "http", {"url": "http://127.0.0.1:1/"})):
            file.write_text(configured(kind, name, {**options, "auth": auth}))
            with pytest.raises(ConfigError, match="empty credentials protect nothing"):
                load([file])


@pytest.mark.parametrize("url", ["http://{service}.example/", "http://{host}/", "file:///etc/passwd", "gopher://x/", "http://a b/",
                                 "http://x.example\r\nX: y/", "http:///x", "//x", "http://x<y>/"])  # fmt: skip
def test_no_event_decides_where_events_go(url: str, tmp_path: Path) -> None:
    """A host with a field in it, another scheme, what is no host: refused before anything starts."""
    file = tmp_path / "shipper.yaml"
    file.write_text(configured("output", "http", {"url": url}))
    with pytest.raises(ConfigError, match="an address"):
        load([file])
