"""What a client may meet: nobody, somebody else, somebody slow, broken or hostile."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import resource
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shipper.clock import Clock
from shipper.component import Scope
from shipper.errors import Unavailable
from shipper.net.auth import Basic, Bearer
from shipper.net.session import EXCERPT, FRESH, Answer, Session
from shipper.net.tls import Tls
from shipper.options import Secret, Url

CANARY = "c@nary/secret+1"


class Moved(Clock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@asynccontextmanager
async def session(**options: Any) -> AsyncIterator[Session]:
    made = Session(options.pop("scope", None) or Scope("out"), **options)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await made.close()


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


def answering(*answers: bytes, heads: list[bytes] | None = None) -> Any:
    """Give each request the next of these answers; the last one again and again."""
    left = list(answers)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await request(reader)
            if heads is not None:
                heads.append(head)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

    return talk


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def post(made: Session, url: str, body: bytes = b"body", **more: Any) -> Answer:
    return await asyncio.wait_for(made.send("POST", Url(url), body, {"Content-Type": "text/plain"}, **more), 10)


async def refusal(made: Session, url: str, body: bytes = b"body", **more: Any) -> str:
    with pytest.raises(Unavailable) as caught:
        await post(made, url, body, **more)
    return caught.value.reason


async def test_keeps_connections_and_sends_what_it_was_told(serve: Any) -> None:
    """One connection for many requests; headers and credentials as given; nothing else of ours."""
    heads: list[bytes] = []
    connections = 0
    talk = answering(http(200, b"ok"), heads=heads)

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await talk(reader, writer)

    async with serve(counted) as port, session(auth=Bearer(token=Secret("t")), headers={"X-A": Secret("b")}) as made:
        for _ in range(3):
            assert (await post(made, f"http://127.0.0.1:{port}/p?q=%2F")).body == b"ok"
    assert connections == 1
    assert heads[0].startswith(b"POST /p?q=%2F HTTP/1.1\r\n") or heads[0].startswith(b"POST /p?q=/ HTTP/1.1\r\n")
    assert b"Authorization: Bearer t\r\n" in heads[0] and b"X-A: b\r\n" in heads[0]
    assert b"Accept-Encoding: identity" in heads[0] and b"Cookie" not in heads[0]


async def test_userinfo_logs_in(serve: Any) -> None:
    """User and password of an address become the Authorization header; `auth` wins over them."""
    heads: list[bytes] = []
    async with serve(answering(http(200), heads=heads)) as port:
        async with session() as made:
            await post(made, f"http://ann:p%40ss@127.0.0.1:{port}/")
        async with session(auth=Basic(user="bob", password=Secret("x"))) as made:
            await post(made, f"http://ann:p%40ss@127.0.0.1:{port}/")
    assert b"Authorization: Basic YW5uOnBAc3M=" in heads[0]
    assert b"Authorization: Basic Ym9iOng=" in heads[1] and heads[1].count(b"Authorization") == 1


async def test_redirects_are_not_followed(serve: Any) -> None:
    """Wherever it points, nothing is asked there, and the credentials stay here."""
    elsewhere: list[bytes] = []
    async with serve(answering(http(200), heads=elsewhere)) as other:
        moved = http(307, b"", f"Location: http://127.0.0.1:{other}/metadata")
        async with serve(answering(moved)) as port, session(auth=Bearer(token=Secret("t"))) as made:
            assert (await post(made, f"http://127.0.0.1:{port}/")).status == 307
    assert elsewhere == []


async def test_nobody_there(serve: Any) -> None:
    """A closed port, a name without an address and an address that nobody answers say so, without secrets."""
    async with serve(answering(http(200))) as port:
        pass
    async with session() as made:
        reason = await refusal(made, f"http://ann:{CANARY.replace('/', '%2F')}@127.0.0.1:{port}/x?token={CANARY}")
        assert reason == f"connection refused by http://[secret]@127.0.0.1:{port}/x?token=[secret]"
        assert "no address was found" in await refusal(made, "http://nobody.invalid/")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nhello", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello", ""),
        (b"220 mail.example ESMTP\x1b[31m\r\n", "not HTTP"),
        (b"HTTP/1.1 999999 OK\r\n\r\n", "not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "not HTTP"),
    ],
)  # fmt: skip
async def test_broken_answers(serve: Any, answer: bytes, said: str) -> None:
    """Whatever comes that is no whole answer: try again, in words that a person understands."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await writer.drain()

    async with serve(talk) as port, session() as made:
        reason = await refusal(made, f"http://127.0.0.1:{port}/")
    assert said in reason and reason.isprintable() and "127.0.0.1" in reason


async def test_endless_answers_are_cut(serve: Any) -> None:
    """A header or a body without end costs little memory; a success must be whole, of an error the beginning does."""

    def endless(start: bytes) -> Any:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(start)
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        return talk

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with session() as made:
        async with serve(endless(b"HTTP/1.1 200 OK\r\nX-Long: ")) as port:
            assert "not HTTP" in await refusal(made, f"http://127.0.0.1:{port}/")
        async with serve(endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) as port:
            assert "more than 1000000 bytes" in await refusal(made, f"http://127.0.0.1:{port}/", most=1_000_000)
        async with serve(endless(b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n")) as port:
            answer = await post(made, f"http://127.0.0.1:{port}/")
            assert (answer.status, len(answer.body)) == (400, EXCERPT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"]
)
async def test_headers_without_end_are_cut(serve: Any, start: bytes) -> None:
    """A million small headers or trailers cost little memory and are no answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(start)
        while True:
            writer.write(b"X-Some: value of it\r\n" * 3000)
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with serve(talk) as port, session() as made:
        assert "not HTTP" in await refusal(made, f"http://127.0.0.1:{port}/")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_packed_answers_are_bounded(serve: Any) -> None:
    """A proxy that packs unasked is understood; a bomb is not unpacked; garbage is no answer."""
    packed = "Content-Encoding: gzip"
    bomb = gzip.compress(b"\0" * (64 << 20))
    answers = [http(200, gzip.compress(b"hello"), packed), http(200, bomb, packed), http(200, b"junk", packed)]
    async with serve(answering(*answers, http(400, bomb, packed))) as port, session() as made:
        url = f"http://127.0.0.1:{port}/"
        assert (await post(made, url)).body == b"hello"
        assert "more than" in await refusal(made, url)
        assert (await post(made, url)).body == b""
        assert len((await post(made, url)).body) <= EXCERPT


@pytest.mark.parametrize("status", [413, 200, 503])
async def test_an_early_answer_counts(serve: Any, status: int) -> None:
    """A server that answers and closes before it has read the body is heard, or tried again; never an odd error.

    A success is none then: what it did not read it cannot have taken.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(status, b"early", "Connection: close"))
        await writer.drain()

    async with serve(talk) as port, session() as made:
        try:
            assert (await post(made, f"http://127.0.0.1:{port}/", b"x" * (20 << 20))).status == status != 200
        except Unavailable as error:
            assert any(word in error.reason for word in ("broke", "closed", "answered before it was sent all"))


async def test_a_cancelled_request_is_gone_at_once(serve: Any) -> None:
    """Cancelling one that hangs ends within a second, and closing leaves nothing open."""
    asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        asked.set()
        await reader.read()

    async with serve(talk) as port, session() as made:
        task = asyncio.create_task(post(made, f"http://127.0.0.1:{port}/"))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await task
    assert "clients=0" in repr(made)


async def test_connections_are_renewed(serve: Any) -> None:
    """After a while a new connection is made, so that a name that moved is noticed; the old one ends."""
    clock = Moved()
    scope = Scope("out", clock=clock)
    opened = 0
    talk = answering(http(200))

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await talk(reader, writer)

    async with serve(counted) as port, session(scope=scope) as made:
        for ahead, connections in ((0.0, 1), (FRESH + 1, 2), (FRESH + 1, 2), (2 * FRESH + 2, 3)):
            clock.ahead = ahead
            await post(made, f"http://127.0.0.1:{port}/")
            assert opened == connections
            assert "clients=1" in repr(made)


async def test_trouble_is_said_once(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password is an error in the log when it begins, and a word when it ends; never at each try."""
    caplog.set_level(logging.INFO)
    async with serve(answering(http(401), http(401), http(200))) as port, session() as made:
        url = Url(f"http://127.0.0.1:{port}/?key={CANARY}")
        for _ in range(2):
            with pytest.raises(Unavailable, match="HTTP 401"):
                made.settle(url, await made.send("POST", url, b"", {}))
        made.settle(url, await made.send("POST", url, b"", {}))
    assert [record.levelname for record in caplog.records if record.name == "shipper.out"] == ["ERROR", "INFO"]
    assert CANARY not in caplog.text


async def test_a_server_that_repeats_our_secrets(serve: Any) -> None:
    """What a server quotes of credentials, header values and addresses is hidden in the reason."""
    said = f'bad token {CANARY}, header "{CANARY}2", %63 and c%40nary%2Fsecret%2B1'.encode()
    auth, headers = Bearer(token=Secret(CANARY)), {"X-Key": Secret(CANARY + "2")}
    async with serve(answering(http(401, said))) as port, session(auth=auth, headers=headers) as made:
        url = Url(f"http://127.0.0.1:{port}/")
        with pytest.raises(Unavailable) as caught:
            made.settle(url, await made.send("POST", url, b"", {}))
    assert "nary" not in caught.value.reason and "bad token [secret]" in caught.value.reason


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    return Tls(cert=folder / f"{name}.pem", key=folder / f"{name}.key").server()


@pytest.mark.parametrize(
    ("peer", "said"),
    [("wrong_host", "not trusted"), ("foreign", "not trusted"), ("plain", "no TLS"), ("old", "no ")],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_nothing_is_sent_to_a_peer_that_cannot_prove_itself(
    serve: Any, certificates: Path, peer: str, said: str
) -> None:
    """Another host's certificate, another authority's, no TLS, TLS 1.1: not one byte of a request arrives."""
    context = None
    if peer != "plain":
        context = server_context(certificates, "good" if peer == "old" else peer)
    if context and peer == "old":
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    heard = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serve(talk, context) as port, session(tls=Tls(ca=certificates / "ca.pem")) as made:
        assert said in await refusal(made, f"https://127.0.0.1:{port}/")
    assert b"POST" not in heard


async def test_tls_that_holds(serve: Any, certificates: Path) -> None:
    """The right certificate is accepted by address and by `server_name`; a client certificate is shown when asked."""
    good = {"cert": certificates / "good.pem", "key": certificates / "good.key"}
    asking = Tls(**good, ca=certificates / "ca.pem").server()
    async with serve(answering(http(200)), asking) as port:
        url = f"https://127.0.0.1:{port}/"
        for name in (None, "logs.example"):
            async with session(tls=Tls(ca=certificates / "ca.pem", server_name=name, **good)) as made:
                assert (await post(made, url)).status == 200
        async with session(tls=Tls(ca=certificates / "ca.pem", server_name="other.example", **good)) as made:
            assert "not trusted" in await refusal(made, url)
        async with session(tls=Tls(insecure_skip_verify=True, **good)) as made:
            assert (await post(made, url)).status == 200


async def test_a_new_authority_is_noticed(serve: Any, certificates: Path, tmp_path: Path) -> None:
    """When the file of `ca` is replaced, the next try after a refusal uses it."""
    ca = tmp_path / "ca.pem"
    shutil.copy(certificates / "other_ca.pem", ca)
    async with (
        serve(answering(http(200)), server_context(certificates, "good")) as port,
        session(tls=Tls(ca=ca)) as made,
    ):
        url = f"https://127.0.0.1:{port}/"
        assert "not trusted" in await refusal(made, url)
        shutil.copy(certificates / "ca.pem", ca)
        assert (await post(made, url)).status == 200


async def test_the_environment_is_not_asked(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy comes from the option alone, and its password goes to it alone."""
    heads: list[bytes] = []
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serve(answering(http(200), heads=heads)) as port:
        async with session() as made:
            assert (await post(made, f"http://127.0.0.1:{port}/direct")).status == 200
        async with session(proxy=Url(f"http://u:p@127.0.0.1:{port}")) as made:
            assert (await post(made, "http://logs.example/through")).status == 200
    assert heads[0].startswith(b"POST /direct") and b"Proxy-Authorization" not in heads[0]
    assert heads[1].startswith(b"POST http://logs.example/through") and b"Proxy-Authorization: Basic dTpw" in heads[1]


async def test_a_proxy_does_not_hear_what_is_for_the_destination(serve: Any, certificates: Path) -> None:
    """Through CONNECT the proxy gets its own password alone, and the destination never gets that of the proxy."""
    origin: list[bytes] = []
    tunnels: list[bytes] = []

    async with serve(answering(http(200), heads=origin), server_context(certificates, "good")) as there:

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tunnels.append(await reader.readuntil(b"\r\n\r\n"))
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", there)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    target.write(data)
                target.close()

            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

        async with serve(proxy) as port:
            options = {"tls": Tls(ca=certificates / "ca.pem"), "auth": Bearer(token=Secret("t0ken"))}
            headers = {"X-Key": Secret("k3y")}
            async with session(proxy=Url(f"http://u:p@127.0.0.1:{port}"), headers=headers, **options) as made:
                assert (await post(made, f"https://127.0.0.1:{there}/in")).status == 200
    assert tunnels[0].startswith(b"CONNECT ") and b"Proxy-Authorization: Basic dTpw" in tunnels[0]
    assert b"t0ken" not in tunnels[0] and b"k3y" not in tunnels[0]
    assert b"Bearer t0ken" in origin[0] and b"Proxy-Authorization" not in origin[0]


async def test_a_closed_session_says_so() -> None:
    """Sending without open is no crash: try again."""
    made = Session(Scope("out"))
    assert "not open" in await refusal(made, "http://127.0.0.1:1/")


@pytest.mark.parametrize("where", ["127.0.0.1:1", "nobody.invalid:80"], ids=["refused", "no address"])
async def test_a_request_that_failed_leaves_nothing_behind(where: str) -> None:
    """The body of a request that found nobody is gone with it, and not in a cycle that waits for the collector."""

    class Body(bytes):
        pass

    async with session() as made:
        gc.collect()
        gc.disable()
        try:
            bodies = []
            for _ in range(3):
                body = Body(b"x" * 1000)
                bodies.append(body)  # a class of its own can be counted
                with suppress(Unavailable):  # pytest.raises would keep the exception
                    await made.send("POST", Url(f"http://{where}"), body, {})
            del body
            await asyncio.sleep(0)
            assert [sys.getrefcount(each) for each in bodies] == [3, 3, 3]
        finally:
            gc.enable()


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"urls": [Url("http://127.0.0.1:9/")]}, False),
        ({"urls": [Url("https://127.0.0.1:9/")]}, True),
        ({"urls": [Url("http://127.0.0.1:9/"), Url("HTTPS://127.0.0.1:9/")]}, True),
        ({"urls": [Url("http://127.0.0.1:9/")], "proxy": Url("https://127.0.0.1:9/")}, True),
        ({"urls": [Url("http://127.0.0.1:9/")], "tls": Tls(insecure_skip_verify=True)}, True),
        ({}, True),
    ],
)
async def test_certificates_are_read_for_those_who_are_asked_over_tls(options: dict[str, Any], needed: bool) -> None:
    """Without TLS anywhere the system's certificates are not read; wherever it may be spoken they are, at the start."""
    async with session(**options) as made:
        assert (made._context is not None) is needed
        assert made._fresh().inner.connector is not None
        assert (made._context is not None) is needed
