"""An HTTP client for one output: requests in, bounded answers out, every failure typed (RFC 9110, RFC 9112).

Redirects are never followed and the environment is not asked for proxies or passwords: what is sent goes where
the configuration says and nowhere else. Connections are renewed every now and then, so that a destination that
moved and a certificate that was renewed are noticed.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipper.clock import Clock
from shipper.component import Scope
from shipper.errors import Unavailable
from shipper.net.address import hider, secrets_of, userinfo, without_userinfo
from shipper.net.auth import Auth, Basic
from shipper.net.failures import explain, forget
from shipper.net.status import Misdirected, raise_for
from shipper.net.tls import Tls
from shipper.options import HIDDEN, Secret, Url

if TYPE_CHECKING:
    import aiohttp  # 180 ms and 14 MB: imported when a session opens

    from shipper.net.names import Names

__all__ = ["Answer", "Session"]

MOST = 16 << 20  # bytes of an answer that is read at all
LARGE = 512 << 10  # bytes of a body from which on it is written part by part, so that the loop turns between them
PART = 1 << 20  # bytes of an answer that are unpacked at a time
EXCERPT = 64 << 10  # bytes of an error's answer that are read; the rest is not waited for
CONNECT = 10.0  # seconds until a connection stands, name and TLS included
FRESH = 20.0  # seconds after which new connections are made, by the name and the files as they are then


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: an error's body is cut at 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Client:
    """One aiohttp session, and how many requests are under way on it."""

    def __init__(self, inner: aiohttp.ClientSession, made: float) -> None:
        self.inner = inner
        self.made = made
        self.users = 0
        self.retired = False


class Session:
    """The client of one output; as many connections as it has requests at a time, kept alive."""

    def __init__(
        self,
        scope: Scope,
        *,
        tls: Tls | None = None,
        auth: Auth | None = None,
        proxy: Url | None = None,
        headers: Mapping[str, Secret] | None = None,
        urls: Iterable[Url] = (),
    ) -> None:
        """`urls` are those that will be asked: what is secret in them is hidden in whatever a server says."""
        self._scope = scope
        self._clock: Clock = scope.clock
        self._tls = tls or Tls()
        self._auth = auth.header() if auth else None
        self._proxy = proxy
        self._headers = {name: value.reveal() for name, value in (headers or {}).items()}
        asked = [*urls, *((proxy,) if proxy else ())]
        secrets = [*self._headers.values(), *((self._auth or "").partition(" ")[2:])]
        secrets += [value.reveal() for value in vars(auth).values() if isinstance(value, Secret)] if auth else []
        secrets += [value for url in asked for value in secrets_of(url)]
        self._hidden = hider(secrets)
        self._client: _Client | None = None
        self._all: set[_Client] = set()
        self._plain = bool(asked) and self._tls == Tls() and all(url.reveal().startswith("http://") for url in asked)
        """Nobody is asked over TLS: the system's certificates (20 ms, 2.5 MB) are not read."""
        self._context: tuple[Any, ssl.SSLContext] | None = None
        self._trouble = ""
        self._opened = False
        self._names: Names | None = None

    async def open(self) -> None:
        """Raises OSError when the files of `tls` are no use. Nothing is connected yet."""
        import aiohttp  # noqa: F401

        if not self._plain:
            self._context = self._tls.stamp(), self._tls.client(self._scope)
        self._opened = True

    async def close(self) -> None:
        """Drop the connections; harmless when called twice."""
        self._opened, self._client = False, None
        for client in list(self._all):
            self._all.discard(client)
            await client.inner.close()

    async def send(self, method: str, url: Url, body: bytes, headers: Mapping[str, str], *, most: int = MOST) -> Answer:
        """One request; its answer, whatever the status. Raises `Unavailable` when there was none, or one too large."""
        if not self._opened:
            raise Unavailable("the output is not open")
        try:
            client = self._fresh()
            client.users += 1
            try:
                return await self._ask(client.inner, method, url, body, headers=headers, most=most)
            finally:
                client.users -= 1
                await self._let_go(client)
        except Unavailable:
            raise
        except Exception as error:
            reason = explain(error, url, CONNECT)
            if reason is None:
                raise
            if isinstance(error, ssl.SSLError | ssl.CertificateError):
                await self._renew()  # the files may have been replaced since
            forget(error)
            raise Unavailable(self._hide(reason)) from error

    def settle(self, url: Url, answer: Answer) -> None:
        """Return for 2xx, else raise what it means (`raise_for`); says it loudly, once, when a person has to look."""
        try:
            self.judge(answer)
        except Misdirected as trouble:
            if trouble.reason != self._trouble:
                self._trouble = trouble.reason
                self._scope.log.error("%s refuses us, nothing is lost but nothing arrives: %s", url, trouble.reason)
            raise
        if self._trouble:
            self._trouble = ""
            self._scope.log.info("%s takes what we send again", url)

    def judge(self, answer: Answer) -> None:
        """The same without a word in the log."""
        text = self._hide(answer.body[:4096].decode("utf-8", "replace")) if answer.status >= 300 else ""
        raise_for(answer.status, answer.headers, text, now=self._clock.time())

    def __repr__(self) -> str:
        return f"Session(connected={self._client is not None}, clients={len(self._all)}, trouble={self._trouble!r})"

    def _hide(self, text: str) -> str:
        return self._hidden.sub(HIDDEN, text)

    async def _ask(
        self,
        client: aiohttp.ClientSession,
        method: str,
        url: Url,
        body: bytes,
        *,
        headers: Mapping[str, str],
        most: int,
    ) -> Answer:
        mine = {"Accept-Encoding": "identity", **self._headers, **headers}
        who = userinfo(url)
        if self._auth:
            mine["Authorization"] = self._auth
        elif who:
            mine["Authorization"] = Basic(user=who[0], password=Secret(who[1])).header()
        parts = None
        if len(body) >= LARGE:
            from shipper.net.sending import Body

            parts = Body(body)
        async with client.request(
            method,
            without_userinfo(url),
            data=body if parts is None else parts,
            headers=mine,
            allow_redirects=False,
            proxy=self._proxy.reveal() if self._proxy else None,
            server_hostname=self._tls.server_name if url.reveal().startswith("https") else None,
        ) as answer:
            fine = answer.status < 300
            data = await _read(answer, most if fine else EXCERPT)
            if data is None:
                raise Unavailable(f"{url} answered more than {most} bytes")
            if fine and parts is not None and parts.sent < len(body):  # whatever it took, it was not all
                raise Unavailable(f"{url} answered before it was sent all of the request")
            return Answer(answer.status, answer.headers, data)

    def _fresh(self) -> _Client:
        """The client to use now; an old one ends with its last request."""
        now = self._clock.monotonic()
        if self._client is not None and now - self._client.made > FRESH:
            self._client.retired = True
            self._client = None
        if self._client is None:
            self._client = self._connector(now)
            self._all.add(self._client)
        return self._client

    async def _let_go(self, client: _Client) -> None:
        for each in list(self._all):
            if each.retired and not each.users:
                self._all.discard(each)
                await each.inner.close()

    async def _renew(self) -> None:
        if self._client is not None:
            self._client.retired = True
            client, self._client = self._client, None
            await self._let_go(client)

    def _connector(self, now: float) -> _Client:
        import aiohttp

        from shipper.net.names import Names

        if self._names is None:
            self._names = Names()
        stamp = self._tls.stamp()
        if not self._plain and (self._context is None or self._context[0] != stamp):
            try:
                self._context = stamp, self._tls.client(self._scope)
            except OSError:
                if self._context is None:
                    raise
                # a file is being replaced right now: what was read before serves until the next time
        connector = aiohttp.TCPConnector(
            ssl=True if self._context is None else self._context[1],
            resolver=self._names,
            limit=0,  # the core limits requests, so there are never more connections than its `concurrency`
            ttl_dns_cache=int(FRESH // 2),
            keepalive_timeout=60,
        )
        inner = aiohttp.ClientSession(
            connector=connector,
            # the core times the whole request; here only what it cannot see: that nobody is there at all
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT, ceil_threshold=3600),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
            headers={"User-Agent": "shipper"},
        )
        return _Client(inner, now)


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes | None:
    """So much of an answer, unpacked if a proxy packed it unasked; None when a success is longer."""
    whole = answer.status < 300
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most:
            answer.close()  # the connection with it: what else may come is of no interest
            if whole:
                return None
            break
    data = b"".join(parts)[:most]
    if answer.headers.get("Content-Encoding", "").lower() not in ("gzip", "deflate"):
        return data
    unpack = zlib.decompressobj(47)
    parts, size = [], 0
    try:
        while data and size < most:  # in parts: of one large output zlib holds two copies
            parts.append(unpack.decompress(data, min(most - size, PART)))
            size += len(parts[-1])
            data = unpack.unconsumed_tail
    except zlib.error:
        return b""  # no success without a readable answer, and no excerpt of an error
    return None if whole and data else b"".join(parts)
