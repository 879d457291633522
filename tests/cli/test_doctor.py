"""`shipper doctor` finds what stands in the way, names the fix, writes nothing and shows no secret."""

from __future__ import annotations

import json
import socket
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from shipper.cli.doctor import examine
from shipper.config.load import load
from tests.cli.peers import Peer, peer, talking
from tests.e2e.agent import Agent, shipper
from tests.net.certificates import issue

CANARY = "c4n4ry-secret"
HEAD = "data_dir: ./data\napi: null\ninputs: {in: {type: stdin}}\noutputs:\n  out: "
INFO = b'{"version": {"number": "8.15.2"}}'


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("certificates"))


async def doctor(folder: Path, text: str) -> list[str]:
    """The lines of the report."""
    (folder / "shipper.yaml").write_text(text)
    return [str(line) for line in await examine(load([folder / "shipper.yaml"]))]


async def about(folder: Path, output: str) -> list[str]:
    """The lines about one output."""
    return [line for line in await doctor(folder, HEAD + output) if "outputs.out" in line]


def bad(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("ok ")]


# the command
def test_a_healthy_configuration(tmp_path: Path) -> None:
    """Status 0, a line for each check on stdout, the same as JSON; nothing is made."""
    (tmp_path / "app.log").write_text("x\n")
    file = tmp_path / "shipper.yaml"
    file.write_text(
        "data_dir: ./data\napi: {listen: 127.0.0.1:0}\ninputs: {app: {type: file, include: [./*.log]}}\n"
        "outputs: {out: {type: file, path: ./out/x.log}}\n"
    )
    done = shipper("doctor", "-c", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith(("ok      ", "warning ")) for line in done.stdout.splitlines())
    for what in ("clock", "data_dir", "disk", "inotify", "open files", "inputs.app", "api.listen", "outputs.out"):
        assert f" {what}" in done.stdout
    found = json.loads(shipper("doctor", "-c", file, "--json").stdout)
    assert [set(each) for each in found] == [{"level", "what", "found", "fix"}] * len(found)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["app.log", "shipper.yaml"]


def test_statuses(tmp_path: Path) -> None:
    """1 with a problem, 2 for a configuration that is wrong; help has an example."""
    file = tmp_path / "shipper.yaml"
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    file.write_text(HEAD + f"{{type: http, url: 'http://127.0.0.1:{port}/'}}")
    done = shipper("doctor", "-c", file)
    assert done.returncode == 1
    assert f"problem  outputs.out: TCP: 127.0.0.1:{port} refuses connections; fix: start" in done.stdout
    file.write_text("inputs: {}")
    assert shipper("doctor", "-c", file).returncode == 2
    assert "shipper doctor -c shipper.yaml" in shipper("doctor", "--help").stdout.partition("Example:")[2]


def test_beside_the_agent(tmp_path: Path) -> None:
    """Ports that the running agent has and its locked data folder are no problems, and it is not disturbed."""
    text = "data_dir: ./data\ninputs: {web: {type: http, listen: 127.0.0.1:PORT}}\noutputs: {out: {type: blackhole}}\n"
    with socket.create_server(("127.0.0.1", 0)) as free:
        text = text.replace("PORT", str(free.getsockname()[1]))
    with Agent(text, tmp_path) as agent:
        done = shipper("doctor", "-c", agent.config)
        assert done.returncode == 0, done.stdout
        assert agent.process is not None
        assert f"in use, and the agent runs (process {agent.process.pid})" in done.stdout
        assert f"is ours alone, in use by process {agent.process.pid}" in done.stdout
        assert agent.answers("/readyz") == 200
        assert agent.stop() == 0


# destinations
async def test_tls_peers(tmp_path: Path, certificates: Path) -> None:
    """Expired, another host's, another authority's, none: said, with the fix, and no request is sent to them."""
    for name, said in (
        ("expired", "its certificate has expired; fix: renew it"),
        ("wrong_host", "its certificate is not for 127.0.0.1; fix: use a name that stands in the certificate"),
        ("foreign", "is not trusted"),
        ("plain", "no TLS"),
    ):
        async with peer(talking(200), certificates if name != "plain" else None, name) as server:
            out = f"{{type: http, url: 'https://127.0.0.1:{server.port}/', tls: {{ca: '{certificates}/ca.pem'}}}}"
            (line,) = bad(await about(tmp_path, out))
        assert line.startswith(f"problem  outputs.out: TLS: https://127.0.0.1:{server.port}/: ")
        assert said in line and "; fix: " in line
        assert server.asked == []


async def test_a_certificate_that_ends_soon(tmp_path: Path, certificates: Path) -> None:
    """Trusted, and about to end: a warning that says when; the login is tried all the same."""
    async with peer(talking(200), certificates, "good") as server:
        out = f"{{type: http, url: 'https://127.0.0.1:{server.port}/', tls: {{ca: '{certificates}/ca.pem'}}}}"
        (line,) = bad(await about(tmp_path, out))
    assert "the certificate ends in 1 days" in line and line.startswith("warning")
    assert [each.partition(" ")[0] for each in server.asked] == ["HEAD"]


async def test_opt_outs_are_warned_of(tmp_path: Path, certificates: Path) -> None:
    """Whoever does not verify is told so, by the name of the option."""
    async with peer(talking(200), certificates, "foreign") as server:
        out = f"{{type: http, url: 'https://127.0.0.1:{server.port}/', tls: {{insecure_skip_verify: true}}}}"
        (line,) = bad(await about(tmp_path, out))
    assert line.startswith("warning  outputs.out: tls.insecure_skip_verify is on")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (talking(200), None),
        (talking(405), None),
        (talking(501), None),
        (talking(401), "HTTP 401; fix: correct `auth`"),
        (talking(403), "HTTP 403; fix: give this user the right"),
        (talking(302, head="Location: http://x.example/"), "redirects are not followed; fix: write the address"),
        (talking(503), "HTTP 503; fix: look at its log"),
        (talking(200, raw=b"220 mail.example ESMTP\r\n"), "not HTTP"),
        (talking(200, raw=b""), "closed the connection without an answer"),
    ],
)
async def test_http_login(tmp_path: Path, answer: object, said: str | None) -> None:
    """What the server says to HEAD about credentials and the address; that it knows no HEAD is no problem."""
    async with peer(answer) as server:
        lines = bad(await about(tmp_path, f"{{type: http, url: 'http://127.0.0.1:{server.port}/in'}}"))
    assert {each.split()[0] for each in server.asked} == {"HEAD"}
    assert lines == [] if said is None else (said in lines[0] and lines[0].startswith("problem  outputs.out: login: "))


RIGHTS = {"has_all_requested": False}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"/": (200, INFO)}, "login: Elasticsearch 8.15.2"),
        ({"/": (200, b'{"version": {"distribution": "opensearch", "number": "2.19.1"}}')}, "login: OpenSearch 2.19.1"),
        ({"/": (200, b'{"version": {"number": "6.8.0"}}')}, "is Elasticsearch 6.8.0, expected 7 to 9"),
        ({"/": (200, b"<html>")}, "not as Elasticsearch or OpenSearch do"),
        ({"/": (401, b"no")}, "HTTP 401: no; fix: correct `auth`"),
        ({"/": (403, b"no")}, "knows us, and does not tell its version"),
        ({"/": (200, INFO), "/_security/user/_has_privileges": (200, json.dumps(RIGHTS).encode())},
         "HTTP 403: the right create_doc on logs-* is missing; fix: give this user the right"),
    ],
)  # fmt: skip
async def test_elasticsearch_login(tmp_path: Path, answers: dict[str, tuple[int, bytes]], said: str) -> None:
    """Version, login, and the right to write to the index, all by GET."""
    async with peer(Peer.by_path(answers)) as server:
        out = f"{{type: elasticsearch, endpoints: ['http://127.0.0.1:{server.port}'], index: 'logs-{{a:b}}'}}"
        lines = await about(tmp_path, out)
    assert said in "\n".join(lines)
    assert {each.split()[0] for each in server.asked} == {"GET"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"status":"success","data":["a"]}', "ok       outputs.out: login: answers as Loki does"),
        (200, b"<html>", "not as Loki does"),
        (403, b"scope", "ok       outputs.out: login: knows us"),
        (404, b"", "ok       outputs.out: login: answers"),
        (401, b"no org id", "wants a tenant"),
        (401, b"wrong", "HTTP 401: wrong; fix: correct `auth`"),
    ],
)
async def test_loki_login(tmp_path: Path, status: int, body: bytes, said: str) -> None:
    """Its labels are asked for, with the tenant; a token that may only write is no problem."""
    async with peer(talking(status, body)) as server:
        url = f"http://127.0.0.1:{server.port}/gate/loki/api/v1/push"
        lines = await about(tmp_path, f"{{type: loki, url: '{url}', labels: {{a: b}}, tenant: t1}}")
    assert said in "\n".join(lines)
    assert server.asked == ["GET /gate/loki/api/v1/labels HTTP/1.1"]
    assert b"X-Scope-OrgID: t1" in server.heads[0]


async def test_clocks_are_compared(tmp_path: Path) -> None:
    """A destination whose `Date` is not ours: a word from 10 s on, a problem from 10 minutes on."""
    for ahead, level in ((0, "ok"), (60, "warning"), (-3600, "problem")):
        async with peer(talking(200, head=f"Date: {formatdate(time() + ahead, usegmt=True)}")) as server:
            lines = await about(tmp_path, f"{{type: http, url: 'http://127.0.0.1:{server.port}/'}}")
        (line,) = [each for each in lines if ": clock: " in each]
        assert line.startswith(level)
        assert f"{'ahead of' if ahead > 0 else 'behind'} ours" in line or not ahead


async def test_the_file_output(tmp_path: Path) -> None:
    """A folder that cannot be: said as the output's own."""
    (tmp_path / "out").write_text("a file")
    (line,) = await about(tmp_path, "{type: file, path: './out/{x:y}.log'}")
    assert line == f"problem  outputs.out: {tmp_path}/out is no folder; fix: look at what it says"


async def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Whatever the server says back and however it fails."""
    for answer in (Peer.echo(401), Peer.echo(500), talking(200, raw=CANARY.encode())):
        async with peer(answer) as server:
            url = f"http://{CANARY}:{CANARY}@127.0.0.1:{server.port}/x?key={CANARY}"
            headers = f"headers: {{X-Key: {CANARY}}}, auth: {{type: bearer, token: {CANARY}}}"
            lines = await about(tmp_path, f"{{type: http, url: '{url}', {headers}}}")
            lines += await about(tmp_path, f"{{type: elasticsearch, endpoints: ['{url}'], index: a, {headers}}}")
            lines += await about(tmp_path, f"{{type: loki, url: '{url}', labels: {{a: b}}, {headers}}}")
        assert bad(lines)
        assert CANARY not in "\n".join(lines).replace(f"answered what is not HTTP: {CANARY}", "")


async def test_nothing_is_listened_to_twice(tmp_path: Path) -> None:
    """A port that somebody else has is a problem; one of another machine too; the API's is looked at as well."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = (
            f"data_dir: ./data\napi: {{listen: '127.0.0.1:{port}'}}\noutputs: {{out: {{type: blackhole}}}}\ninputs:\n"
            f"  taken: {{type: http, listen: '127.0.0.1:{port}'}}\n  far: {{type: http, listen: '192.0.2.1:80'}}\n"
            "  sock: {type: syslog, listen: 'unix://SOCK'}\n"
        ).replace("SOCK", str(tmp_path / "file"))
        (tmp_path / "file").write_text("no socket")
        lines = bad(await doctor(tmp_path, text))
    assert [line for line in lines if "api.listen" in line and "in use by another process" in line]
    assert [line for line in lines if "inputs.taken" in line and "in use by another process" in line]
    assert [line for line in lines if "inputs.far" in line and "write an address of this machine" in line]
    assert [line for line in lines if "inputs.sock" in line and "no socket" in line]


async def test_what_is_open_to_all(tmp_path: Path) -> None:
    """Beyond loopback without a login, or with a password in the clear: warned of."""
    text = (
        "data_dir: ./data\napi: null\noutputs: {out: {type: blackhole}}\ninputs:\n"
        "  open: {type: http, listen: '0.0.0.0:0'}\n  near: {type: http, listen: '127.0.0.1:0'}\n"
        "  clear: {type: http, listen: '0.0.0.0:0', auth: {type: bearer, token: abcd}}\n"
    )
    lines = bad(await doctor(tmp_path, text))
    assert [line.split(": ")[0] for line in lines] == ["warning  inputs.open", "warning  inputs.clear"]
    assert "in the clear" in lines[1]


async def test_who_may_change_what_runs(tmp_path: Path) -> None:
    """A configuration, plugin or Python filter that anybody may write, or exchange, is a problem."""
    (tmp_path / "code.py").write_text("def f(event):\n    return event\n")
    (tmp_path / "plugins").mkdir()
    text = (
        HEAD + "{type: blackhole}\nfilters: {f: {type: python, file: ./code.py, function: f}}\nplugins: [./plugins]\n"
    )
    assert bad(await doctor(tmp_path, text)) == []
    for name, mode in (
        ("code.py", 0o666),
        ("shipper.yaml", 0o602),
        ("plugins", 0o777),
        ("plugins", 0o1777),
        (".", 0o777),
    ):
        path = tmp_path / name
        before = path.stat().st_mode
        path.chmod(mode)
        (line,) = bad(await doctor(tmp_path, text))
        assert line.startswith(f"problem  configuration: {path} can be written by anybody")
        path.chmod(before)


async def test_our_own_certificate(tmp_path: Path, certificates: Path) -> None:
    """What a listener shows to its senders is looked at: expired is a problem, nearly so a warning."""
    for name, said in (("expired", "problem  inputs.web: certificate"), ("good", "warning  inputs.web: certificate")):
        tls = f"tls: {{cert: '{certificates}/{name}.pem', key: '{certificates}/{name}.key'}}"
        text = f"data_dir: ./data\napi: null\ninputs: {{web: {{type: http, listen: '127.0.0.1:0', {tls}}}}}\n"
        (line,) = bad(await doctor(tmp_path, text + "outputs: {out: {type: blackhole}}\n"))
        assert line.startswith(said)
